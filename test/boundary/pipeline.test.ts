/** The commands one after the other, each on what the one before left: pictures and answers in, chosen answers out. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Behaviour, type ChatRequest, completion, sendJson, startChatServer } from '../helpers/chat-server.ts'
import { startCli } from '../helpers/cli.ts'

const ROOT = join(import.meta.dirname, '../..')
const POLICY = join(ROOT, 'models/mini-policy')
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-pipeline-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))
const at = (...parts: string[]) => join(scratch, ...parts)
const linesOf = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line)) // biome-ignore format: short

/** What a command prints with --json; it is expected to succeed. */
function run(...args: string[]) {
  const child = spawnSync(process.execPath, [join(ROOT, 'dist/cli/main.js'), ...args], { encoding: 'utf8' })
  assert.is(child.status, 0, `${args[0]}: ${child.stderr}`)
  return args.includes('--json') ? JSON.parse(child.stdout) : undefined
}

const PROBLEMS = 24
const problems = at('tasks', 'problems.jsonl')

test('tasks, then search: every problem has a tree, and the policy is right in some rollouts and wrong in others', () => {
  run('tasks', '--out', at('tasks'), '--count', String(PROBLEMS), '--seed', 'pipeline')
  assert.is(linesOf(problems).length, PROBLEMS)
  const args = [
    '--problems',
    problems,
    '--model',
    POLICY,
    '--num-rollouts',
    '8',
    '--rollout-budget',
    '64',
    '--seed',
    '3',
    '--json',
  ]
  const summary = run('search', '--out', at('run'), ...args)
  assert.equal(summary.problems, { running: 0, done: PROBLEMS, failed: 0 })
  assert.ok(summary.correct > 0 && summary.correct < summary.rollouts, JSON.stringify(summary))
  assert.ok(summary.unparsed + summary.truncated < 0.1 * summary.rollouts, 'the policy writes what can be read')
})

test('dataset: labels of both kinds, pictures where the trainer finds them', () => {
  const args = ['--run', at('run'), '--out', at('data'), '--min-words', '1', '--after-error', 'wrong', '--json']
  const manifest = run('dataset', ...args)
  assert.ok(manifest.kinds.negative > 0 && manifest.kinds.positive > 0, JSON.stringify(manifest.kinds))
  const samples = linesOf(at('data', 'train.jsonl'))
  assert.is(samples.length, manifest.samples.train)
  for (const { image, labels, steps } of samples) {
    assert.ok(readFileSync(image).length > 0)
    assert.is(labels.length, steps.length)
  }
})

test('dataset with a judge: Ctrl-C loses none of its answers, --resume asks for the others only', async () => {
  const out = at('judged')
  const start = (baseUrl: string, ...more: string[]) =>
    startCli(['dataset', '--run', at('run'), '--out', out, '--judge-model', 'm', '--judge-endpoint', baseUrl, '--json', ...more])
  const none: Behaviour = (_, response) => sendJson(response, 200, completion(['None']))
  const prompts = (requests: readonly ChatRequest[]) => requests.map((r) => JSON.stringify(r['messages'])).sort()

  const whenKept = (count: number, then: () => void) => {
    const file = `${out}.judged.jsonl`
    if (existsSync(file) && linesOf(file).length === count + 1) then()
    else setTimeout(() => whenKept(count, then), 20)
  }
  let served = 0
  const judge = await startChatServer((request, response, attempt) => {
    if (++served <= 5) return none(request, response, attempt)
    if (served === 6) whenKept(5, () => run.child.kill('SIGINT')) // it waits for this answer and has kept the others
  })
  const run = start(judge.baseUrl)
  const stopped = await run.ended
  assert.is(stopped.code, 130, stopped.stderr)
  assert.match(stopped.stderr, /--resume goes on/)
  assert.not.ok(existsSync(join(out, 'manifest.json')))
  const answered = linesOf(`${out}.judged.jsonl`).length - 1
  assert.is(answered, 5)
  await judge.close()

  const again = await startChatServer(none)
  const refused = await start(again.baseUrl).ended
  assert.match(refused.stderr, /left by work that was stopped; --resume goes on/)
  assert.is(again.requests.length, 0)
  const resumed = await start(again.baseUrl, '--resume').ended
  assert.is(resumed.code, 0, resumed.stderr)
  assert.not.ok(existsSync(`${out}.judged.jsonl`))
  const whole = await startChatServer(none)
  const fresh = await start(whole.baseUrl).ended
  assert.is(again.requests.length, whole.requests.length - answered)
  assert.ok(prompts(again.requests).every((prompt) => prompts(whole.requests).includes(prompt)))
  const [a, b] = [resumed, fresh].map(({ stdout }) => JSON.parse(stdout))
  assert.equal(a, b)
  assert.is(a.kinds.negative, 0, 'the judge finds no error anywhere')
  assert.ok(a.dropped.contested > 0 && a.kinds.positive > 0)
  await Promise.all([again.close(), whole.close()])
})

test('train, then best-of-n with what was trained: an answer per problem, and a table', () => {
  run('train', '--task', 'prm', '--init', POLICY, '--data', at('data', 'train.jsonl'), '--out', at('prm'), '--seed', '0')
  const args = ['--problems', problems, '--model', POLICY, '--prm', at('prm'), '-n', '4', '--seed', '4', '--json']
  run('best-of-n', '--out', at('chosen'), ...args)
  const answers = linesOf(at('chosen', 'answers.jsonl'))
  assert.equal(answers.map((a) => a.id).sort(), linesOf(problems).map((p) => p.id).sort()) // biome-ignore format: short
  for (const { answer, index, value } of answers) {
    assert.ok(answer === null || typeof answer === 'string')
    assert.ok(index >= 0 && index < 4)
    assert.ok(value === null || Number.isFinite(value))
  }
})

test.run()
