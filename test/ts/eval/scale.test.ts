/** An evaluation with a scripted policy and scorer: what it costs beside the models, and that no solution stays in memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { makeGrader } from '../../../ts/cli/eval-answers.ts'
import { hash32 } from '../../../ts/contracts/random.ts'
import type { StepScorer } from '../../../ts/contracts/scorer.ts'
import * as evaluation from '../../../ts/eval/index.ts'
import { scriptedPolicy } from '../../../ts/policy/index.ts'
import * as select from '../../../ts/select/index.ts'

/** The paper's table for one policy has 8630 problems and 138,080 solutions: `MM_PRM_EVAL_PROBLEMS=8630` runs it whole. */
const PROBLEMS = Number(process.env['MM_PRM_EVAL_PROBLEMS'] ?? 400)
const N = 16
const MAX_MIB = 256

const test = suite('evaluation at scale')
const folder = mkdtempSync(join(tmpdir(), 'mm-prm-eval-scale-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

const unit = (text: string) => (hash32(text) >>> 0) / 2 ** 32
/** Two of three solutions are right, and the scorer knows it three times of four. */
const answerOf = (id: string, index: number) => Number(id) + 1 + (unit(`${id}/${index}`) < 1 / 3 ? 1 : 0)

const policy = scriptedPolicy(({ problem: { id } }, index) => {
  const answer = answerOf(id, index)
  const words = `Way ${index}: ${'as it is written in the text above, '.repeat(10)}`
  const steps = [`We start from ${id}.`, `${words}we add one.`, `That gives ${answer}.`, `\\boxed{${answer}}`]
  const text = `${steps.slice(0, -1).map((step) => `<step>${step}</step>`).join('')}<answer>${steps.at(-1)}</answer>` // biome-ignore format: one text
  return { outcome: 'complete', steps, text, numTokens: 100 }
})

const scorer: StepScorer = {
  name: 'scripted',
  async score({ problem: { id }, solutions }) {
    return solutions.map((steps) => {
      const isRight = (steps.at(-1) === `\\boxed{${Number(id) + 1}}`) === unit(`${id}${steps[1]}`) < 0.75
      return { scores: steps.map((_, i) => (isRight ? 0.9 : 0.3) + 0.09 * unit(`${id}${steps[1]}${i}`)) }
    })
  },
}

test(`${PROBLEMS * N} solutions`, async () => {
  const rows = Array.from({ length: PROBLEMS }, (_, i) => ({ question: `What follows ${i}?`, answer: `We add.\n#### ${i + 1}` }))
  writeFileSync(join(folder, 'test.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
  const task = evaluation.ANSWER_TASKS.find(({ name }) => name === 'gsm8k') as evaluation.AnswerTask
  const { items, hashes } = await evaluation.loadAnswerSet(task, folder, PROBLEMS)
  const before = process.cpuUsage()
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 20)
  await using solutions = await evaluation.openSolutions(folder)
  await evaluation.sampleSolutions(solutions, { items, hashes, policy, n: N, seed: 0, inFlight: 8 })
  await using scores = await evaluation.openScores(folder, scorer.name)
  await evaluation.scoreSolutions(solutions, scores, { items, scorer, n: N })
  await using judged = await evaluation.LineStore.open<evaluation.JudgedLine, evaluation.JudgedLine>(
    join(folder, 'judged.jsonl'),
    (line) => line,
  )
  const graded = await evaluation.gradeSolutions(solutions, { items, hashes, n: N, grader: makeGrader(), judged })
  const all: evaluation.JudgedItem[] = []
  for (const [i, item] of items.entries()) {
    const one = graded[i] as evaluation.GradedItem
    all.push({ item, graded: one, scored: (await evaluation.readScores(scores, item.problem.id, N)).scored })
  }
  const options = { selection: select, seed: 0, grade: 'both' as const, scorer: scorer.name }
  const { results } = evaluation.answerResults(task, all, { refused: [], unscored: [] }, options)
  clearInterval(timer)
  const { user, system } = process.cpuUsage(before)
  const [micros, mib] = [(user + system) / PROBLEMS / N, peak / 2 ** 20]
  console.log(`${PROBLEMS * N} solutions: ${micros.toFixed(0)} µs of processor time each, ${mib.toFixed(0)} MiB at most`)
  const right = items.reduce((sum, { problem: { id } }) => {
    return (
      sum + Array.from({ length: N }, (_, j) => (answerOf(id, j) === Number(id) + 1 ? 1 : 0)).reduce((a: number, b) => a + b, 0)
    )
  }, 0)
  assert.ok(Math.abs((results.policy.accuracy ?? 0) - right / PROBLEMS / N) < 1e-12)
  assert.is(results.official?.policy.accuracy, results.policy.accuracy)
  const { gainLow, accuracy } = results.prm?.selection['mean'] ?? {}
  assert.ok((gainLow ?? 0) > 0, `${accuracy}`)
  assert.is(results.policy.oracle.accuracy, 1)
  assert.ok(mib < MAX_MIB, `${mib} MiB`)
})

test.run()
