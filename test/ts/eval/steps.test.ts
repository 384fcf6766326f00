/** Thresholds of step-level sets, and labels that name no step. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hash32 } from '../../../ts/contracts/random.ts'
import { type LoadedTask, tuneThreshold } from '../../../ts/eval/step-task.ts'
import { processBench, SUBSETS, tune } from '../../../ts/eval/tasks/processbench.ts'

const test = suite('steps')
const unit = (text: string) => (hash32(text) >>> 0) / 2 ** 32

/** GSM8K at its published size: more distinct scores than any coarse grid has. */
function gsm8k(): { loaded: LoadedTask; scores: number[][]; labels: number[] } {
  const steps = Array.from({ length: SUBSETS.gsm8k }, (_, i) => 1 + Math.floor(9 * unit(`steps ${i}`)))
  const labels = steps.map((n, i) => (unit(`label ${i}`) < 0.5 ? -1 : Math.floor(n * unit(`where ${i}`))))
  const value = (i: number) => ({
    id: `gsm8k-${i}`,
    problem: '?',
    steps: Array<string>(steps[i] as number).fill('s'),
    label: labels[i],
  })
  const rows = labels.map((_, i) => ({ row: i + 1, value: value(i) }))
  const scores = steps.map((n, i) => Array.from({ length: n }, (_, j) => unit(`${i} ${j}`) ** (labels[i] === j ? 2 : 0.3)))
  return { loaded: processBench.load({ 'gsm8k.json': rows }, '/'), scores, labels }
}

test('the tuned threshold is the best of all, not of a coarse grid', () => {
  const { loaded, scores, labels } = gsm8k()
  const best = tune(scores.map((of, i) => ({ label: labels[i] as number, scores: of })))
  assert.ok(new Set(scores.flat()).size > 1000)
  const threshold = tuneThreshold(loaded, scores) as number
  assert.ok(best.thresholds.includes(threshold), `${threshold} is none of ${best.thresholds}`)
})

test('a label that names no step is refused by row', () => {
  const row = { id: 'a', problem: '?', steps: ['s', 't'], label: 2 }
  const load = (label: number) => processBench.load({ 'gsm8k.json': [{ row: 7, value: { ...row, label } }] }, '/')
  assert.throws(() => load(2), /gsm8k\.json, row 7: label: 2 names no step: there are 2, counted from 0/)
  assert.is(load(1).items.length, 1)
})

test.run()
