/** Active learning: what an ensemble knows is dropped, the rest is labelled as long as the judge's budget lasts. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import type { CandidateRecord } from '../../../ts/contracts/records.ts'
import type { FirstErrorJudge } from '../../../ts/contracts/verifier.ts'
import { activeSamples, isKnown, noActiveCounts, type Sample } from '../../../ts/dataset/index.ts'
import { completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'
import { startCli } from '../../helpers/cli.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-active-'))
test.after(() => rmSync(work, { recursive: true, force: true }))

test('known: sure of every step up to the first that is held for wrong', () => {
  const cases: [scores: number[], std: number[], known: boolean][] = [
    [[0.95, 0.99], [0.005, 0.01], true],
    [[0.95, 0.99], [0.005, 0.02], false],
    [[0.95, 0.8], [0.005, 0.005], false],
    [[0.95, 0.05, 0.6], [0.005, 0.005, 0.4], true], // behind the first error nothing counts
    [[0.95, 0.3, 0.05], [0.005, 0.005, 0.005], false],
    [[0.1], [0.01], true],
    [[0.11], [0.01], false],
    [[], [], true],
  ]
  for (const [scores, std, known] of cases) assert.is(isKnown(scores, std), known, JSON.stringify([scores, std]))
  assert.ok(isKnown([0.7, 0.8], [0.2, 0.2], { maxStd: 0.2, sure: 0.7 }))
  assert.not(isKnown([0.7, 0.4], [0.2, 0.2], { maxStd: 0.2, sure: 0.7 }))
  assert.ok(isKnown([0.95, 0.6, 0.7], [0, 0, 0], { sure: 0.6, threshold: 0.65 }))
})

const problem = (id: string) => ({ id, question: `${id}?`, answer: '7' })
const candidate = (problemId: string, index: number, more: Partial<CandidateRecord>): CandidateRecord => ({
  ...{ problemId, index, outcome: 'complete', steps: [`${index} a`, `${index} b`, `${index} c`], answer: '7', correct: true },
  ...more,
})
const sure = { scores: [0.99, 0.99, 0.99], std: [0, 0, 0] }
const unsure = { scores: [0.99, 0.6, 0.99], std: [0, 0.2, 0] }

async function collect(lists: [string, CandidateRecord[]][], judge: FirstErrorJudge, options: object = {}) {
  async function* candidates() {
    for (const [id, list] of lists) yield { problem: problem(id), candidates: list }
  }
  const counts = noActiveCounts()
  const samples: Sample[] = []
  for await (const sample of activeSamples({ candidates: candidates(), judge, counts }, options)) samples.push(sample)
  return { samples: samples.map((s) => [s.id, s.kind, s.steps.map((step) => step.label)]), counts }
}

test('the judge labels what is not known, until its budget is spent', async () => {
  const lists: [string, CandidateRecord[]][] = [
    ['p', [candidate('p', 0, sure), candidate('p', 1, unsure), candidate('p', 2, { outcome: 'truncated' })]],
    ['q', [candidate('q', 0, unsure), candidate('q', 1, unsure), candidate('q', 2, {}), candidate('q', 3, unsure)]],
  ]
  const asked: string[] = []
  const judge: FirstErrorJudge = async ({ id }, steps) => {
    asked.push(`${id} ${steps[0]}`)
    return id === 'p' ? 1 : steps[0]?.startsWith('0') ? null : 'unread'
  }
  const all = await collect(lists, judge)
  assert.equal(all.samples, [
    ['p#1', 'negative', [1, 0, null]],
    ['q#0', 'positive', [1, 1, 1]],
  ])
  assert.equal(all.counts, { seen: 6, unscored: 1, known: 1, asked: 4, unread: 2, beyondBudget: 0 })
  asked.length = 0
  const few = await collect(lists, judge, { budget: 2 })
  assert.equal(asked, ['p 1 a', 'q 0 a'])
  assert.equal([few.counts.asked, few.counts.beyondBudget], [2, 2])
  const error = await collect([['p', [candidate('p', 0, { scores: [1, 1, 1] })]]], judge).catch((e) => e)
  assert.match((error as EngineError).message, /problem "p": its scores have no spread: an ensemble tells one/)
})

test('from the command line: a run, a judge on a server; stopped and resumed nothing is asked twice', async () => {
  const problems = join(work, 'problems.jsonl')
  writeFileSync(problems, ['p', 'q'].map((id) => JSON.stringify(problem(id))).join('\n'))
  const scorer = join(work, 'ensemble.mjs')
  writeFileSync(
    scorer,
    "export default { name: 'e', score: async ({ solutions }) => solutions.map((s) => ({ scores: s.map(() => 0.95), std: s.map((x) => (x.includes('8') ? 0.3 : 0)) })) }",
  )
  let [asks, failing] = [0, true]
  const server = await startChatServer((request, response) => {
    if (request['model'] === 'judge') {
      asks++
      if (failing && asks > 1) return sendJson(response, 400, { error: { message: 'no more' } })
      return sendJson(response, 200, completion(['1']))
    }
    const sums = Array.from({ length: request.n ?? 1 }, (_, i) => 7 + (((request.seed ?? 0) + i) % 2))
    sendJson(response, 200, completion(sums.map((sum) => `<step>3 + 4 = ${sum}</step><answer>${sum}</answer>`)))
  })
  const policy = ['--policy', 'openai', '--endpoint', server.baseUrl, '--model', 'm']
  const out = join(work, 'run')
  const search = [
    'search',
    '--strategy',
    'best-of-n',
    '--set',
    'n=4',
    '--problems',
    problems,
    '--out',
    out,
    '--scorer',
    scorer,
    ...policy,
  ]
  const searched = await startCli(search).ended
  assert.is(searched.code, 0, searched.stderr)
  const output = join(work, 'train.jsonl')
  const active = [
    'active',
    '--run',
    out,
    '--output',
    output,
    '--judge-model',
    'judge',
    '--judge-endpoint',
    server.baseUrl,
    '--json',
  ]
  const stopped = await startCli(active).ended
  assert.is(stopped.code, 1, stopped.stderr)
  assert.not(existsSync(output))
  failing = false
  const before = asks
  const refused = await startCli(active).ended
  assert.match(refused.stderr, /--resume goes on with it/)
  const resumed = await startCli([...active, '--resume']).ended
  await server.close()
  assert.is(resumed.code, 0, resumed.stderr)
  const { asked, written, known, seen } = JSON.parse(resumed.stdout)
  assert.equal([seen, known, asked, written], [8, 4, 4, 4])
  assert.ok(asks - before < 4, 'what was decided before is not asked again')
  const rows = readFileSync(output, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.equal(
    rows.map(({ problemId, steps, labels }) => [problemId, steps[0], labels]),
    ['p', 'p', 'q', 'q'].map((id) => [id, '3 + 4 = 8', [0, null]]),
  )
})

test.run()
