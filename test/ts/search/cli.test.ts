/** `mm-prm search` as a process, against a server on the loopback interface. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openRun } from '../../../ts/store/reader.ts'
import { type Behaviour, completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'
import { startCli } from '../../helpers/cli.ts'
import { dumpRun } from '../../helpers/dump-run.ts'
import { simulate, simulatedProblem } from '../../helpers/simulated-policy.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-cli-'))
let runs = 0
const newRun = () => join(scratch, `run-${runs++}`)
const problems = Array.from({ length: 6 }, (_, i) => simulatedProblem(i))
const problemFile = join(scratch, 'problems.jsonl')
writeFileSync(problemFile, problems.map((p) => JSON.stringify(p)).join('\n'))

/** The simulated policy behind the reference's prompt; its texts carry the tags of a trained policy. */
const policyServer: Behaviour = async (request, response) => {
  await sleep(5)
  const prompt = String(request['messages'][0].content)
  const problem = problems.find((p) => prompt.includes(p.question))
  if (!problem) return sendJson(response, 400, { error: 'no such problem' })
  const prefix = [...prompt.matchAll(/<step>(.*?)<\/step>/gs)].map((match) => match[1] as string)
  const texts = Array.from({ length: request.n }, (_, i) => {
    const { outcome, steps, text } = simulate({ problem, prefix, seed: request.seed, from: 0, count: 1 }, i)
    if (outcome !== 'complete') return text
    return `${steps
      .slice(0, -1)
      .map((step) => `<step>${step}</step>`)
      .join('')}<answer>${steps.at(-1)}</answer>`
  })
  sendJson(response, 200, completion(texts))
}

const start = (args: string[], onStderr?: (text: string) => void) => startCli(['search', ...args], onStderr)
const run = (args: string[]) => start(args).ended

function searchArgs(baseUrl: string, out: string, more: string[] = []): string[] {
  const policy = ['--policy', 'openai', '--model', 'sim', '--endpoint', baseUrl]
  return [
    '--problems',
    problemFile,
    '--out',
    out,
    ...policy,
    '--num-rollouts',
    '4',
    '--rollout-budget',
    '60',
    '--seed',
    '3',
    ...more,
  ]
}

test('searches, reports, and says on a second run that it holds one', async () => {
  const server = await startChatServer(policyServer)
  const out = newRun()
  const ended = await run(searchArgs(server.baseUrl, out, ['--json']))
  assert.is(ended.code, 0, ended.stderr)
  const summary = JSON.parse(ended.stdout)
  assert.equal(summary.problems, { running: 0, done: 6, failed: 0 })
  assert.ok(summary.rollouts >= 60 && summary.correct > 0 && summary.unparsed > 0)
  assert.match(ended.stderr, /searching {2}6 of 6 problems/)
  const reader = openRun(out)
  assert.equal(
    [reader.identity.policy.kind, reader.identity.policy.template, reader.identity.options['numRollouts']],
    ['openai', 'mm-prm-v1', 4],
  )
  let trees = 0
  for await (const { root } of reader.trees()) trees += root.counts ? 1 : 0
  reader.close()
  assert.is(trees, 6)
  const again = await run(searchArgs(server.baseUrl, out))
  assert.equal([again.code, /holds a run already/.test(again.stderr)], [1, true])
  const other = await run(searchArgs(server.baseUrl, out, ['--resume', '--alpha', '0.9']))
  assert.match(other.stderr, /options\.alpha: 0\.5 → 0\.9.*\[ERR_ENGINE_STORE\]/)
  await server.close()
})

test('Ctrl-C stops cleanly; a resume ends with the same contents', async () => {
  const server = await startChatServer(policyServer)
  const whole = newRun()
  assert.is((await run(searchArgs(server.baseUrl, whole))).code, 0)
  const stopped = newRun()
  const { child, ended } = start(searchArgs(server.baseUrl, stopped, ['--in-flight', '2']))
  while (!existsSync(join(stopped, 'run.db-wal')) || server.requests.length < 150) await sleep(5)
  child.kill('SIGINT')
  const result = await ended
  assert.is(result.code, 130, result.stderr)
  assert.match(result.stderr, /stopped; the same command with --resume goes on/)
  assert.match(result.stdout, /interrupted {2}true/)
  const resumed = await run(searchArgs(server.baseUrl, stopped, ['--resume', '--in-flight', '3']))
  assert.is(resumed.code, 0, resumed.stderr)
  assert.equal(dumpRun(stopped), dumpRun(whole))
  await server.close()
})

test('a server that fails for one problem leaves that one unfinished, by name; a resume takes it up', async () => {
  let isBroken = true
  const server = await startChatServer((request, response, attempt) => {
    const prompt = String(request['messages'][0].content)
    if (isBroken && prompt.includes('problem 4?')) return sendJson(response, 400, { error: 'too long' })
    return policyServer(request, response, attempt)
  })
  const out = newRun()
  const ended = await run(searchArgs(server.baseUrl, out))
  assert.is(ended.code, 3, ended.stderr)
  assert.match(ended.stdout, /unfinished {2}sim-4: problem "sim-4": .*status 400: \{"error":"too long"\}/)
  isBroken = false
  const resumed = await run(searchArgs(server.baseUrl, out, ['--resume', '--json']))
  assert.is(resumed.code, 0, resumed.stderr)
  assert.equal(JSON.parse(resumed.stdout).problems, { running: 0, done: 6, failed: 0 })
  await server.close()
})

test('bad rows end the command before any work, or are left out when told', async () => {
  const server = await startChatServer(policyServer)
  const file = join(scratch, 'bad.jsonl')
  writeFileSync(
    file,
    `${readFileSync(problemFile, 'utf8')}\n{"id":"x","answer":"4"}\n{"id":"sim-0","question":"q","answer":"1"}\n`,
  )
  const out = newRun()
  const args = [...searchArgs(server.baseUrl, out), '--problems', file]
  const ended = await run(args)
  assert.is(ended.code, 1)
  assert.match(ended.stderr, /2 of 8 rows cannot be read: row 7 \("x"\).*row 8 \("sim-0"\)/)
  assert.is(server.requests.length, 0)
  assert.not.ok(existsSync(out))
  const lenient = await run([...args, '--skip-bad'])
  assert.is(lenient.code, 3, lenient.stderr)
  await server.close()
})

test('wrong options are told with the right ones', async () => {
  const cases: [string[], RegExp][] = [
    [['--problem', 'x'], /unknown option --problem \(did you mean "problems"\?\)/],
    [['--out', 'x'], /--problems is required/],
    [
      searchArgs('http://127.0.0.1:1/v1', newRun(), ['--strategy', 'omga']),
      /no search strategy "omga" \(did you mean "omega"\?\)/,
    ],
    [searchArgs('http://127.0.0.1:1/v1', newRun(), ['--set', 'fil=none']), /unknown option "fil" \(did you mean "fill"\?\)/],
    [
      searchArgs('http://127.0.0.1:1/v1', newRun(), ['--strategy', 'beam', '--set', 'width=2']),
      /unknown option "numRollouts"|needs --scorer/,
    ],
    [searchArgs('http://127.0.0.1:1/v1', newRun(), ['--threads', '2']), /--threads is for --policy native/],
  ]
  for (const [args, message] of cases) {
    const ended = await run(args)
    assert.ok(ended.code === 1 || ended.code === 2, `${args.join(' ')}: ${ended.code}`)
    assert.match(ended.stderr, message)
  }
})

test.after(() => rmSync(scratch, { recursive: true, force: true }))

test.run()
