/** Pupils' sums, what a PRM's order of solutions is worth, and the systems that train PRMs with reward heads, on a few problems. */
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { actPrm } from '../../../bench/systems/active.ts'
import { at } from '../../../bench/systems/plan.ts'
import { pupils } from '../../../bench/systems/pupils.ts'
import { prmBas } from '../../../bench/systems/ranked.ts'
import { rightAboveWrong } from '../../../bench/systems/runs.ts'
import { languageModel } from '../../../bench/systems/text-models.ts'
import type { CandidateRecord } from '../../../ts/contracts/records.ts'

process.chdir(mkdtempSync(join(tmpdir(), 'mm-prm-systems-trained-')))

/** One token for each word. */
const tokens = (step: string) => step.split(' ').length

test('pupils go on behind any step, as their seed says, and carry mistakes on', async () => {
  const { problems, policy, truths } = pupils('smoke', 30, tokens)
  const work = (prefix: readonly string[], maxSteps?: number) =>
    policy.rollouts(problems.map((problem) => ({ problem, prefix, seed: 7, from: 0, count: 20, ...(maxSteps && { maxSteps }) })))
  const whole = await work([])
  assert.equal(await work([]), whole)
  let [right, holding] = [0, 0]
  for (const [i, { id, answer }] of problems.entries()) {
    for (const { outcome, steps, numTokens } of whole[i] ?? []) {
      assert.is(outcome, 'complete')
      assert.is(steps.length, 4)
      assert.is(numTokens, steps.join(' ').split(' ').length)
      const isRight = truths.get(id)?.(steps).every(Boolean)
      if (isRight) assert.is(steps.at(-1), answer)
      right += isRight ? 1 : 0
      holding += isRight || steps.at(-1) !== answer ? 1 : 0
    }
  }
  assert.ok(right > 60 && right < 300, `${right} of 600 are right`)
  assert.ok(holding > 590, `${600 - holding} of 600 come to the right answer in a wrong way`)
  const [one] = await work(['1 + 1 = 2.'], 1)
  assert.ok(one?.every(({ outcome, steps }) => outcome === 'stopped' && steps.length === 1 && steps[0]?.startsWith('2 ')))
})

test('how often a right solution is worth more than a wrong one', () => {
  const of = (correct: boolean, ...scores: number[]): CandidateRecord => ({
    ...{ problemId: 'p', index: 0, outcome: 'complete', answer: '1', correct, steps: scores.map(() => 's') },
    scores,
  })
  const run = (...candidates: CandidateRecord[]) => ({
    problems: [{ problem: { id: 'p', question: 'q', answer: '1' }, candidates, cost: { generated: 0, scored: 0 } }],
  })
  assert.is(rightAboveWrong(run(of(true, 0.9, 0.4), of(false, 0.5, 0.3), of(false, 0.9, 0.8), of(false, 0.4)), 'min'), 0.5)
  assert.is(rightAboveWrong(run(of(true, 0.9)), 'min'), 0.5)
})

const architecture = (model: string) =>
  JSON.parse(readFileSync(join(at('models', model), 'config.json'), 'utf8')).architectures[0] as string
const rowsOf = (name: string) =>
  readFileSync(at('data', name, 'train.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')

test('an ensemble learns what it was unsure of, another as many labels by lot', async () => {
  await languageModel(64)
  const [row] = await actPrm(tokens, { first: 6, more: 12, n: 4, labels: 20, epochs: 1, problems: 6, pool: 4 })
  assert.is(row?.problems, 6)
  assert.is(architecture('active-unsure'), 'Qwen2ForEnsemblePRM')
  const [before, unsure, lot] = ['first', 'unsure', 'lot'].map((name) => rowsOf(`active-${name}`))
  assert.is(before?.length, 24)
  assert.is(unsure?.length, lot?.length)
  assert.not.equal(unsure, lot)
  assert.match(row?.what ?? '', new RegExp(`learnt ${(unsure?.length ?? 0) - 24} labels`))
})

test('a value head learns siblings with and without their order; both guide the same search', async () => {
  const plan = { learnt: 12, siblings: { branch: 3, numRollouts: 4 }, epochs: 1, problems: 6, pool: 8, n: 4 }
  const rows = await prmBas(tokens, plan)
  assert.equal(
    rows.map(({ what, problems }) => [/alone|order/.exec(what)?.[0], problems]),
    [['order', 6], ['alone', 6], ['order', 6]], // biome-ignore format: a list
  )
  assert.is(architecture('ranked-rank'), 'Qwen2ForPrmModel')
  const record = (loss: string) => JSON.parse(readFileSync(join(at('models', `ranked-${loss}`), 'mm-prm.json'), 'utf8')).training
  assert.equal(
    ['rank', 'bce'].map((loss) => record(loss).objective),
    ['rank', 'bce'],
  )
  assert.is(record('rank').fingerprint, record('bce').fingerprint)
})

test.run()
