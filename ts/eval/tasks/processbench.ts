/**
 * ProcessBench (Zheng et al. 2024): find the first wrong step of a text-only solution, or say that there is none.
 * Figures per subset: accuracy on solutions with an error, accuracy on those without, their harmonic mean.
 */
import { z } from 'zod'
import { harmonic } from '../f1.ts'
import { parseRows, type StepTask, thresholdGrid } from '../step-task.ts'

export const SUBSETS = { gsm8k: 400, math: 1000, olympiadbench: 1000, omnimath: 1000 } as const
export type Subset = keyof typeof SUBSETS

export const rowSchema = z
  .object({
    id: z.string(),
    problem: z.string(),
    steps: z.array(z.string()).min(1),
    /** Index of the first wrong step from 0; −1: none. */
    label: z.int().min(-1),
  })
  .superRefine(({ label, steps }, context) => {
    const message = `${label} names no step: there are ${steps.length}, counted from 0`
    if (label >= steps.length) context.addIssue({ code: 'custom', path: ['label'], message })
  })
export type ProcessBenchRow = z.output<typeof rowSchema>

/** Where the first error was seen: an index, −1 for none, null for a judge whose words hold no answer. */
export type Prediction = number | null

export interface SubsetFigures {
  wrong: number
  right: number
  wrongMatched: number
  rightMatched: number
  /** Percent; 0 where the subset has no such solution. */
  errorAcc: number
  correctAcc: number
  /** Percent; null where both accuracies are 0. */
  f1: number | null
}

/** A step is right iff its score is above the threshold; the first that is not is the prediction. */
export function firstError(scores: readonly number[], threshold: number): number {
  return scores.findIndex((score) => !(score > threshold))
}

const percent = (hits: number, of: number) => (of === 0 ? 0 : (100 * hits) / of)

export function subsetFigures(items: readonly { label: number; prediction: Prediction }[]): SubsetFigures {
  const wrong = items.filter((item) => item.label !== -1)
  const right = items.filter((item) => item.label === -1)
  const matched = (list: typeof wrong) => list.filter((item) => item.prediction === item.label).length
  const [wrongMatched, rightMatched] = [matched(wrong), matched(right)]
  const [errorAcc, correctAcc] = [percent(wrongMatched, wrong.length), percent(rightMatched, right.length)]
  return {
    ...{ wrong: wrong.length, right: right.length, wrongMatched, rightMatched },
    ...{ errorAcc, correctAcc, f1: harmonic(errorAcc, correctAcc) },
  }
}

/** Mean over subsets; null where one of them has no value. */
export function averageF1(subsets: readonly SubsetFigures[]): number | null {
  const values = subsets.map((s) => s.f1)
  return values.some((v) => v === null) ? null : (values as number[]).reduce((a, b) => a + b, 0) / values.length
}

export interface Tuned {
  bestF1: number
  /** Every threshold of the grid that reaches it, rising: midpoints of neighbouring scores, one below, one above. */
  thresholds: number[]
}

/** The thresholds with the best F1 on these solutions. */
export function tune(items: readonly { label: number; scores: readonly number[] }[]): Tuned {
  let best: Tuned = { bestF1: -1, thresholds: [] }
  for (const threshold of thresholdGrid(items.flatMap((item) => item.scores))) {
    const predicted = items.map(({ label, scores }) => ({ label, prediction: firstError(scores, threshold) }))
    const value = subsetFigures(predicted).f1 ?? 0
    if (value > best.bestF1 + 1e-12) best = { bestF1: value, thresholds: [threshold] }
    else if (value > best.bestF1 - 1e-12) best.thresholds.push(threshold)
  }
  return best
}

/** The last box up to its first closing brace, as a whole number; null where there is none. */
export function readCritique(text: string): Prediction {
  const boxes = [...text.matchAll(/\\boxed\{([^}]*)\}/g)]
  const content = boxes.at(-1)?.[1]?.trim()
  return content !== undefined && /^[+-]?\d+$/.test(content) ? Number(content) : null
}

/** The most frequent box of several critiques as it is written, the first seen among equals. */
export function readVotes(texts: readonly string[]): Prediction {
  const counts = new Map<string, number>()
  for (const text of texts) {
    const content = [...text.matchAll(/\\boxed\{([^}]*)\}/g)].at(-1)?.[1]
    if (content !== undefined) counts.set(content.trim(), (counts.get(content.trim()) ?? 0) + 1)
  }
  let best: string | undefined
  for (const [content, n] of counts) if (best === undefined || n > (counts.get(best) as number)) best = content
  return best !== undefined && /^[+-]?\d+$/.test(best) ? Number(best) : null
}

/** Where the first step lies that was not called right. */
const predicted = (isRight: readonly boolean[] | null): Prediction => isRight?.indexOf(false) ?? null

export const processBench: StepTask = {
  name: 'processbench',
  figure: 'mean F1 of four subsets',
  files: Object.fromEntries(Object.entries(SUBSETS).map(([subset, rows]) => [`${subset}.json`, rows])),
  columns: ['id', 'problem', 'steps', 'label'],
  load(files) {
    const subsets = Object.keys(SUBSETS) as Subset[]
    const rows = subsets.flatMap((subset) => {
      const file = `${subset}.json`
      return parseRows(rowSchema, file, files[file] ?? []).map((row) => ({ ...row, subset }))
    })
    const bySubset = (verdicts: readonly (readonly boolean[] | null)[], of: readonly number[]) => {
      const items = of.map((i) => {
        const { subset, label } = rows[i] as (typeof rows)[number]
        return { subset, label, prediction: predicted(verdicts[i] ?? null) }
      })
      const named = subsets.map((name) => [name, items.filter((item) => item.subset === name)] as const)
      return named.filter(([, list]) => list.length > 0).map(([name, list]) => [name, subsetFigures(list)] as const)
    }
    const gsm8k = rows.flatMap((row, i) => (row.subset === 'gsm8k' ? [i] : []))
    return {
      items: rows.map((row) => ({ id: row.id, question: row.problem, images: [], steps: row.steps })),
      headline: (verdicts, of) => averageF1(bySubset(verdicts, of).map(([, figures]) => figures)),
      figures: (verdicts) => Object.fromEntries(bySubset(verdicts, [...rows.keys()])),
      tuningSplit: { name: 'gsm8k', items: gsm8k },
      rules: [],
    }
  },
}
