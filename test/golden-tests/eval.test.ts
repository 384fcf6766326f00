// biome-ignore-all lint/suspicious/noExplicitAny: golden files are plain JSON
/** Step-level benchmarks: the official figures on look-alike files. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as prmbench from '../../ts/eval/tasks/prmbench.ts'
import * as processbench from '../../ts/eval/tasks/processbench.ts'
import * as visual from '../../ts/eval/tasks/visualprocessbench.ts'
import { GOLDEN_ROOT, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('eval')

const test = suite('eval')
const FOLDER = join(GOLDEN_ROOT, 'eval')
const at = (...names: string[]) => join(FOLDER, ...names)
const readLines = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

/** Equal to 1e-9; official code writes -1 or NaN where a figure has no value. */
function near(actual: number | null | undefined, expected: number | null, where: string): void {
  const value = expected === -1 ? null : expected
  if (value === null) assert.is(actual ?? null, null, where)
  else assert.ok(Math.abs((actual ?? Number.NaN) - value) <= 1e-9, `${where}: ${actual} is not ${value}`)
}

let ran = 0
const has = (name: string) => existsSync(at(name))

if (has('processbench')) {
  test('processbench', () => {
    const expected = readJson(at('processbench', 'expected.json'))
    const responses = readLines(at('processbench', 'responses.jsonl'))
    const subsets = Object.keys(processbench.SUBSETS).filter((name) => existsSync(at('processbench', `${name}.json`)))
    const rowsOf = (name: string) =>
      readJson(at('processbench', `${name}.json`)).map((row: unknown) => processbench.rowSchema.parse(row))
    const answersOf = (name: string) => {
      const of = new Map(responses.filter((r) => r.subset === name).map((r) => [r.id, r]))
      return rowsOf(name).map((row: processbench.ProcessBenchRow) => ({ row, answer: of.get(row.id) }))
    }
    const check = (want: any, predict: (answer: any) => processbench.Prediction, where: string) => {
      const all = subsets.map((name) => {
        const items = answersOf(name).map(({ row, answer }: any) => ({
          id: row.id,
          label: row.label,
          prediction: predict(answer),
        }))
        const { predictions, printed: _, ...figures } = want.subsets[name]
        for (const { id, prediction } of items) if (predictions) assert.is(prediction, predictions[id], `${where} ${id}`)
        const actual = processbench.subsetFigures(items)
        for (const [key, value] of Object.entries<number | null>(figures))
          near(actual[key as keyof typeof actual], value, `${where} ${name} ${key}`)
        ran++
        return actual
      })
      near(processbench.averageF1(all), want.averageF1, `${where} average`)
    }
    for (const [key, want] of Object.entries(expected)) {
      if (key === 'critique') check(want, (a) => processbench.readCritique(a.critique), key)
      else if (key === 'voting') check(want, (a) => processbench.readVotes(a.votes), key)
      else if (key === 'critiqueUnread') check(want, () => null, key)
      else if (key === 'scores') {
        for (const [threshold, w] of Object.entries(want as object))
          check(w, (a) => processbench.firstError(a.scores, Number(threshold)), `scores ${threshold}`)
      } else if (key === 'tuned') {
        for (const [name, w] of Object.entries<{ bestF1: number; thresholds: number[] }>(want as never)) {
          const tuned = processbench.tune(
            answersOf(name).map(({ row, answer }: any) => ({ label: row.label, scores: answer.scores })),
          )
          near(tuned.bestF1, w.bestF1, `tuned ${name}`)
          assert.is(tuned.thresholds.length, w.thresholds.length, `tuned ${name}`)
          for (const [i, t] of w.thresholds.entries()) near(tuned.thresholds[i], t, `tuned ${name} ${i}`)
          ran++
        }
      } else assert.unreachable(`processbench: unknown key ${key}`)
    }
  })
}

if (has('prmbench')) {
  test('prmbench', () => {
    const expected = readJson(at('prmbench', 'expected.json'))
    const rows = readLines(at('prmbench', 'prmtest_classified.jsonl')).map((row) => prmbench.rowSchema.parse(row))
    const items = prmbench.evaluatedItems(rows)
    assert.equal(
      items.map((item) => ({ idx: item.idx, classification: item.classification, steps: item.steps.length })),
      expected.evaluated,
    )
    const answers = readLines(at('prmbench', 'responses.jsonl')).flatMap((r) => {
      const modified = { scores: r.scores, redundancy: r.redundancy }
      return r.classification === 'redundency'
        ? [{ scores: r.originalScores, redundancy: r.originalRedundancy }, modified]
        : [modified]
    })
    const rules: Record<string, (item: prmbench.PrmBenchItem, i: number) => boolean[] | null> = {
      'above0.5': (_, i) => prmbench.rightAbove(answers[i]?.scores ?? [], 0.5),
      'differenceAbove-0.05': (_, i) => prmbench.rightByDifference(answers[i]?.scores ?? []),
      validityAndRedundancy: (item, i) =>
        prmbench.rightByRedundancy(item, answers[i]?.scores ?? [], answers[i]?.redundancy ?? []),
      'above0.5WithoutTheLastTwoResults': (_, i) =>
        i >= items.length - 2 ? null : prmbench.rightAbove(answers[i]?.scores ?? [], 0.5),
    }
    const NAMES = {
      ...{ correct_step_acc: 'correctStepAcc', wrong_step_acc: 'wrongStepAcc', total_step_acc: 'totalStepAcc' },
      ...{ first_error_acc: 'firstErrorAcc', precision: 'precision', recall: 'recall', f1: 'f1', similarity: 'similarity' },
      ...{ negative_precision: 'negativePrecision', negative_recall: 'negativeRecall', negative_f1: 'negativeF1' },
    }
    for (const [name, want] of Object.entries<any>(expected.results)) {
      const rule = rules[name]
      if (!rule) return assert.unreachable(`prmbench: unknown result ${name}`)
      const actual = prmbench.prmBenchFigures(items, items.map(rule))
      near(actual.prmScore, want.prmScore, `${name} prmScore`)
      for (const [key, value] of Object.entries<number>(want.perClass))
        near((actual.perClass as any)[key], value, `${name} ${key}`)
      for (const [key, value] of Object.entries<number>(want.groups)) near((actual.groups as any)[key], value, `${name} ${key}`)
      for (const [key, own] of Object.entries(NAMES)) {
        near((actual.total as any)[own], want.total[key], `${name} total ${key}`)
        for (const [c, value] of Object.entries<number>(want.byClass[key] ?? {}))
          near((actual.byClass[c] as any)?.[own], value, `${name} ${c} ${key}`)
      }
      ran++
    }
  })
}

if (has('visualprocessbench')) {
  test('visualprocessbench', () => {
    const expected = readJson(at('visualprocessbench', 'expected.json'))
    const rows = readLines(at('visualprocessbench', 'test.jsonl')).map((row) => visual.rowSchema.parse(row))
    const answers = readLines(at('visualprocessbench', 'responses.jsonl'))
    const checkOne = (actual: visual.MacroFigures | undefined, want: any, where: string) => {
      near(actual?.correctF1, want.correct_f1, `${where} correct`)
      near(actual?.incorrectF1, want.incorrect_f1, `${where} incorrect`)
      near(actual?.macroF1, want.macro_f1, `${where} macro`)
      assert.is(actual?.numSteps, want.num_steps_eval, where)
      assert.is(actual?.droppedNeutral, want.dropped_neutral_steps, where)
      assert.is(actual?.unread, want.invalid_predictions, where)
    }
    const check = (want: any, verdicts: visual.StepVerdict[][], where: string) => {
      const actual = visual.visualFigures(rows, verdicts)
      checkOne(actual.overall, want.overall_step_macro_f1, where)
      near(actual.meanOfSources, want.mean_source_macro_f1, where)
      for (const [source, w] of Object.entries<any>(want.by_source)) {
        checkOne(actual.bySource[source], w, `${where} ${source}`)
        assert.is(actual.bySource[source]?.numSamples, w.num_samples)
      }
      ran++
    }
    for (const [threshold, want] of Object.entries<any>(expected.scores))
      check(
        want,
        answers.map((a) => a.scores.map((s: number) => s > Number(threshold))),
        `above ${threshold}`,
      )
    check(
      expected.judged,
      answers.map((a) => a.judged.map((j: number | null) => (j === null ? null : j === 1))),
      'judged',
    )
  })
}

test('some cases ran', () => {
  if (!existsSync(FOLDER)) return
  console.log(`golden/eval: ${ran} tables ran`)
  assert.ok(ran > 0)
})

test.run()
