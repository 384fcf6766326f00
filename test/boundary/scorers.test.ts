/** Scorers by name and by path: the policy's own model as a judge, and modules of the user's own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { openScorer } from '../../ts/kit/index.ts'
import { openRun } from '../../ts/store/reader.ts'
import { type Behaviour, completion, sendJson, startChatServer } from '../helpers/chat-server.ts'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { startCli } from '../helpers/cli.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-scorers-'))
test.after(() => rmSync(work, { recursive: true, force: true }))

const problem = { id: 'p', question: 'What is 3 + 4?', answer: '7' }
const problems = join(work, 'problems.jsonl')
writeFileSync(problems, JSON.stringify(problem))
const solutions = [
  ['3 + 4 = 7', '7'],
  ['3 + 4 = 8', '8'],
]
const moduleOf = (name: string, text: string) => {
  const path = join(work, name)
  writeFileSync(path, text)
  return path
}
const refusal = async (promise: Promise<unknown>) => ((await promise.catch((e) => e)) as EngineError).message

/** Writes solutions of which one in four is right, and as a judge of its own finds the error of the others. */
const itself: Behaviour = (request, response) => {
  const asked = JSON.stringify(request['messages'])
  if (asked.includes('paragraph_0')) return sendJson(response, 200, completion([`\\boxed{${asked.includes('= 7') ? -1 : 0}}`]))
  const sums = Array.from({ length: request.n }, (_, i) => 7 + (((request.seed ?? 0) + i) % 4))
  const texts = sums.map((sum) => `<step>3 + 4 = ${sum}</step><answer>The final answer is ${sum}</answer>`)
  sendJson(response, 200, completion(texts))
}

test('a name: the policy judges its own samples, and the run says so', async () => {
  const server = await startChatServer(itself)
  const asked = [
    'best-of-n',
    '--problems',
    problems,
    '--policy',
    'openai',
    '--endpoint',
    server.baseUrl,
    '--model',
    'm',
    '-n',
    '8',
  ]
  const out = join(work, 'self')
  const chosen = startCli([...asked, '--out', out, '--prm', 'critique', '--judgements', '2', '--json'])
  const other = [...asked, '--out', join(work, 'none')]
  const foreign = startCli([...other, '--prm', 'critique', '--prm-model', 'x'])
  const twice = startCli([...other, '--prm', 'critique', '--scoring', 'r-prm'])
  const misspelt = startCli([...other, '--prm', 'critque'])
  const [best, strange, both, unknown] = await Promise.all([chosen.ended, foreign.ended, twice.ended, misspelt.ended])
  await server.close()
  assert.is(best.code, 0, best.stderr)
  const { table } = JSON.parse(best.stdout)
  const value = (name: string) => table.rows.find((row: { name: string }) => row.name === name).estimate.value
  assert.equal([value('pass@1'), value('mean')], [0.25, 1], best.stdout)
  assert.match(openRun(out).identity.scorer ?? '', /^critique@m\+n=2\+tokens=4096\+seed=0$/)
  assert.equal(new Set(server.requests.map((r) => r['model'])), new Set(['m']))
  assert.match(strange.stderr, /--prm-model is for another model: critique is a judge on the policy's own/)
  assert.match(both.stderr, /critique is a judge on the policy's own model: --scoring r-prm is for another one's/)
  assert.match(unknown.stderr, /critque/)
  assert.is(unknown.code, 1)
})

test('an engine that is open already judges, and stays open', async () => {
  const model = pickCheckpoint({ architecture: /^Qwen2ForCausalLM$/, scoring: 'recognised' })
  await using engine = await Engine.open({ model })
  const asking = { scoring: 'critique', judgements: 1, judgementTokens: 4 }
  const own = await openScorer({ engine, ...asking })
  await using anew = await openScorer({ model, ...asking })
  assert.is(own.name, anew.name)
  assert.equal(await own.score({ problem, solutions }), await anew.score({ problem, solutions }))
  await own.close()
  assert.is((await engine.generate({ messages: [{ role: 'user', content: 'Go on.' }], maxTokens: 2 })).length, 1)
})

test('a module scores, and what it gives is looked at', async () => {
  const text = `export default () => ({
    name: 'sevens',
    score: async ({ solutions }) => solutions.map((steps) => ({ scores: steps.map((s) => (s.includes('7') ? 0.9 : 0.1)) })),
  })`
  const path = moduleOf('sevens.mjs', text)
  await using scorer = await openScorer({ module: path })
  assert.match(scorer.name, /^sevens@[0-9a-f]{16}$/)
  assert.equal(
    (await scorer.score({ problem, solutions })).map((s) => s.scores),
    [
      [0.9, 0.9],
      [0.1, 0.1],
    ],
  )
  await using changed = await openScorer({ module: moduleOf('changed.mjs', `${text} // another`) })
  assert.not.equal(changed.name, scorer.name, 'another file is another scorer')
  const server = await startChatServer(itself)
  const asked = [
    '--policy',
    'openai',
    '--endpoint',
    server.baseUrl,
    '--model',
    'm',
    '--problems',
    problems,
    '--out',
    join(work, 'm'),
  ]
  const ended = await startCli(['search', '--strategy', 'best-of-n', '--set', 'n=4', '--scorer', path, '--json', ...asked]).ended
  await server.close()
  assert.is(ended.code, 0, ended.stderr)
  for await (const { candidates } of openRun(join(work, 'm')).candidates())
    assert.equal(candidates.map((c) => [c.correct, c.scores?.[0]]).sort(), [
      [false, 0.1],
      [false, 0.1],
      [false, 0.1],
      [true, 0.9],
    ])
})

test('what is no scorer, or gives no scores, is named', async () => {
  const gives = (name: string, value: string) => moduleOf(name, `export default { name: 'x', score: async () => ${value} }`)
  const scored = async (path: string) => {
    await using scorer = await openScorer({ module: path })
    return scorer.score({ problem, solutions })
  }
  const cases = [
    [
      openScorer({ module: moduleOf('none.mjs', 'export const scorer = 1') }),
      /none\.mjs: its default export must be \{ name, score \}/,
    ],
    [openScorer({ module: moduleOf('broken.mjs', 'export default {') }), /scorer .*broken\.mjs: /],
    [openScorer({ module: join(work, 'absent.mjs') }), /absent\.mjs: ENOENT/],
    [scored(gives('few.mjs', '[]')), /problem "p": scorer x: gave 0 results for 2 solutions/],
    [scored(gives('short.mjs', '[{ scores: [1] }, { scores: [1, 1] }]')), /"scores" of solution 0 must be 2 numbers in \[0, 1\]/],
    [scored(gives('large.mjs', '[{ scores: [1, 0] }, { scores: [1, 7] }]')), /"scores" of solution 1 must be 2 numbers/],
    [scored(gives('nan.mjs', '[{ scores: [1, 0] }, { scores: [NaN, 0] }]')), /"scores" of solution 1 must be 2 numbers/],
    [scored(gives('nothing.mjs', '7')), /gave no list for 2 solutions/],
  ] as const
  const messages = await Promise.all(cases.map(([promise]) => refusal(promise)))
  for (const [i, [, expected]] of cases.entries()) assert.match(String(messages[i]), expected)
})

test.run()
