/** Step-level sets: the forms that they are found in, thresholds, and labels that name no step. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hash32 } from '../../../ts/contracts/random.ts'
import { STEP_TASKS } from '../../../ts/eval/registry.ts'
import { type LoadedTask, loadTask, tuneThreshold } from '../../../ts/eval/step-task.ts'
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

test('a set is found by its columns in another format; of two that fit neither is guessed', async () => {
  const golden = join(import.meta.dirname, '../../golden/eval')
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-steps-'))
  const rowsIn = (path: string): object[] =>
    path.endsWith('.json')
      ? JSON.parse(readFileSync(path, 'utf8'))
      : readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line)) // biome-ignore format: one list
  const write = (path: string, rows: readonly object[]) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    const asLines = rows.map((row) => JSON.stringify(row)).join('\n')
    writeFileSync(join(folder, path), path.endsWith('.json') ? JSON.stringify(rows) : asLines)
  }
  for (const name of Object.keys(SUBSETS))
    write(`processbench/data/${name}.jsonl`, rowsIn(join(golden, `processbench/${name}.json`)))
  const faults = rowsIn(join(golden, 'prmbench/prmtest_classified.jsonl'))
  write('prmbench/train-00000-of-00002.json', faults.slice(0, 5))
  write('prmbench/train-00001-of-00002.json', faults.slice(5))
  write('prmbench/responses.jsonl', faults)
  write('visualprocessbench/all.json', rowsIn(join(golden, 'visualprocessbench/test.jsonl')))
  cpSync(join(golden, 'visualprocessbench/images'), join(folder, 'visualprocessbench/images'), { recursive: true })
  for (const task of STEP_TASKS) {
    const [published, other] = [await loadTask(task, golden, 1e6), await loadTask(task, folder, 1e6)]
    const moved = JSON.parse(JSON.stringify(other.items).replaceAll(folder, golden))
    assert.equal(moved, JSON.parse(JSON.stringify(published.items)), task.name)
  }
  write('prmbench/more.json', faults)
  const refusal = await loadTask(STEP_TASKS[1] as (typeof STEP_TASKS)[number], folder, 1).catch((error: Error) => error)
  assert.match((refusal as Error).message, /prmbench may be any of .*more\.json/)
  rmSync(folder, { recursive: true })
})

test.run()
