/**
 * PRMBench (Song et al. 2025): solutions with planted faults of nine classes. PRMScore = ½F1 of the right steps + ½F1 of
 * the wrong ones; class `multi_solutions` has no wrong step and counts F1 alone.
 */
import { z } from 'zod'
import { add, type Confusion, count, harmonic, noSteps, ratio } from '../f1.ts'
import { parseRows, type StepTask } from '../step-task.ts'

export const NUM_ROWS = 6216
export const GROUPS = {
  simplicity: ['redundency', 'circular'],
  soundness: ['counterfactual', 'step_contradiction', 'domain_inconsistency', 'confidence'],
  sensitivity: ['missing_condition', 'deception', 'multi_solutions'],
} as const
/** Spelled as in the files. */
export const CLASSES = Object.values(GROUPS).flat()
export type PrmBenchClass = (typeof CLASSES)[number]

export const rowSchema = z.object({
  idx: z.string(),
  question: z.string(),
  modified_question: z.string().optional(),
  original_question: z.string().optional(),
  original_process: z.array(z.string()).min(1),
  modified_process: z.array(z.string()).min(1),
  /** From 1. */
  error_steps: z.array(z.int().min(1)),
  classification: z.enum(CLASSES),
})
export type PrmBenchRow = z.output<typeof rowSchema>

/** One solution that is judged: the loader's order, `idx` with its class in front. */
export interface PrmBenchItem {
  idx: string
  /** `idx` of its row: a solution and its original have the same. */
  row: string
  classification: PrmBenchClass | 'correct'
  question: string
  steps: string[]
  /** From 1. */
  errorSteps: number[]
}

/** Rows as they are evaluated: of class `redundency` the original solution too, as class `correct`. */
export function evaluatedItems(rows: readonly PrmBenchRow[]): PrmBenchItem[] {
  return rows.flatMap((row) => {
    const item = (classification: PrmBenchItem['classification'], steps: string[], errorSteps: number[]) => ({
      ...{ idx: `${classification}_${row.idx}`, row: row.idx, classification, steps, errorSteps },
      question: (classification === 'correct' ? row.original_question : row.modified_question) ?? row.question,
    })
    const modified = item(row.classification, row.modified_process, row.error_steps)
    return row.classification === 'redundency' ? [item('correct', row.original_process, []), modified] : [modified]
  })
}

export interface ClassFigures {
  /** Each null where there is no such step. */
  correctStepAcc: number | null
  wrongStepAcc: number | null
  totalStepAcc: number | null
  firstErrorAcc: number | null
  /** Mean |share of steps called wrong less that of the original solution|, where the original is judged too. */
  similarity: number | null
  precision: number | null
  recall: number | null
  f1: number | null
  negativePrecision: number | null
  negativeRecall: number | null
  negativeF1: number | null
}

export interface PrmBenchFigures {
  prmScore: number
  perClass: Record<PrmBenchClass, number>
  groups: Record<keyof typeof GROUPS, number>
  /** Over all steps but those of class `correct`. */
  total: ClassFigures
  byClass: Record<string, ClassFigures>
}

interface Tally {
  confusion: Confusion
  firstErrors: number
  firstErrorsFound: number
  /** Of solutions whose original was judged. */
  differences: number[]
}

const emptyTally = (): Tally => ({ confusion: noSteps(), firstErrors: 0, firstErrorsFound: 0, differences: [] })

const shareWrong = (isRight: readonly boolean[]) => isRight.filter((right) => !right).length / isRight.length

function tallyItem(item: PrmBenchItem, isRight: readonly boolean[]): Tally {
  const tally = emptyTally()
  const wrong = new Set(item.errorSteps)
  const first = Math.min(...item.errorSteps)
  for (let i = 0; i < item.steps.length; i++) count(tally.confusion, !wrong.has(i + 1), isRight[i] === true)
  if (item.errorSteps.length > 0) {
    tally.firstErrors = 1
    tally.firstErrorsFound = isRight[first - 1] === false ? 1 : 0
  }
  return tally
}

/** Harmonic mean of precision and recall; without a value where it has none, or where neither of them has one. */
function officialF1(precision: number | null, recall: number | null): number | null {
  if (precision === null && recall === null) return null
  return precision === null || recall === null ? 0 : harmonic(precision, recall)
}

function figures({ confusion: c, firstErrors, firstErrorsFound, differences }: Tally): ClassFigures {
  const right = c.truePositive + c.falseNegative
  const wrong = c.trueNegative + c.falsePositive
  const precision = ratio(c.truePositive, c.truePositive + c.falsePositive)
  const recall = ratio(c.truePositive, right)
  const negativePrecision = ratio(c.trueNegative, c.trueNegative + c.falseNegative)
  const negativeRecall = ratio(c.trueNegative, wrong)
  return {
    correctStepAcc: recall,
    wrongStepAcc: negativeRecall,
    totalStepAcc: ratio(c.truePositive + c.trueNegative, right + wrong),
    firstErrorAcc: ratio(firstErrorsFound, firstErrors),
    similarity: differences.length === 0 ? null : mean(differences),
    ...{ precision, recall, f1: officialF1(precision, recall) },
    ...{ negativePrecision, negativeRecall, negativeF1: officialF1(negativePrecision, negativeRecall) },
  }
}

/** ½F1 + ½F1 of wrong steps; F1 alone where the class has no wrong steps. What has no value counts as 0. */
function score({ f1, negativeF1 }: ClassFigures, name?: PrmBenchClass): number {
  return name === 'multi_solutions' ? (f1 ?? 0) : ((f1 ?? 0) + (negativeF1 ?? 0)) / 2
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** @param verdicts per item, one per step: whether it was called right; an item without verdicts is left out */
export function prmBenchFigures(
  items: readonly PrmBenchItem[],
  verdicts: readonly (readonly boolean[] | null)[],
): PrmBenchFigures {
  const total = emptyTally()
  const byClass = new Map<string, Tally>()
  const originals = new Map<string, readonly boolean[]>()
  for (const [i, item] of items.entries()) {
    const isRight = verdicts[i]
    if (!isRight) continue
    const original = originals.get(item.row)
    if (item.classification === 'correct') originals.set(item.row, isRight)
    const tally = tallyItem(item, isRight)
    const own = byClass.get(item.classification) ?? emptyTally()
    byClass.set(item.classification, own)
    for (const sum of item.classification === 'correct' ? [own] : [own, total]) {
      add(sum.confusion, tally.confusion)
      sum.firstErrors += tally.firstErrors
      sum.firstErrorsFound += tally.firstErrorsFound
      if (original) sum.differences.push(Math.abs(shareWrong(isRight) - shareWrong(original)))
    }
  }
  const scoreOf = (name: PrmBenchClass) => score(figures(byClass.get(name) ?? emptyTally()), name)
  const perClass = Object.fromEntries(CLASSES.map((name) => [name, scoreOf(name)])) as PrmBenchFigures['perClass']
  const groups = Object.entries(GROUPS).map(([name, classes]) => [name, mean(classes.map((c) => perClass[c]))])
  return {
    prmScore: score(figures(total)),
    perClass,
    groups: Object.fromEntries(groups) as PrmBenchFigures['groups'],
    total: figures(total),
    byClass: Object.fromEntries([...byClass].map(([name, tally]) => [name, figures(tally)])),
  }
}

/** Right iff above `threshold`. */
export const rightAbove = (scores: readonly number[], threshold: number) => scores.map((score) => score > threshold)

/** The rule for value heads (Skywork): right iff the score does not fall by 0.05 or more; the first counts from 0. */
export const rightByDifference = (scores: readonly number[]) => scores.map((score, i) => score - (scores[i - 1] ?? 0) > -0.05)

/** Of classes about superfluous steps, right iff the redundancy is small; elsewhere iff the score is above 0.5. */
export function rightByRedundancy(item: PrmBenchItem, scores: readonly number[], redundancy: readonly number[]): boolean[] {
  const bySize = item.classification === 'redundency' || item.classification === 'circular'
  return bySize ? redundancy.map((r) => r <= 0.15) : rightAbove(scores, 0.5)
}

const FILE = 'prmtest_classified.jsonl'
/** Its threshold may be tuned here; what is learnt from one kind of fault is then tried on the others. */
const TUNING_CLASS: PrmBenchClass = 'counterfactual'

export const prmBench: StepTask = {
  name: 'prmbench',
  figure: 'PRMScore',
  files: { [FILE]: NUM_ROWS },
  columns: ['idx', 'original_process', 'modified_process', 'error_steps', 'classification'],
  load(files) {
    const items = evaluatedItems(parseRows(rowSchema, FILE, files[FILE] ?? []))
    const figuresOver = (verdicts: readonly (readonly boolean[] | null)[], of: readonly number[]) =>
      prmBenchFigures(
        of.map((i) => items[i] as PrmBenchItem),
        of.map((i) => verdicts[i] ?? null),
      )
    return {
      items: items.map(({ idx, question, steps }) => ({ id: idx, question, images: [], steps })),
      headline: (verdicts, of) => 100 * figuresOver(verdicts, of).prmScore,
      figures: (verdicts) => figuresOver(verdicts, [...items.keys()]),
      tuningSplit: { name: TUNING_CLASS, items: items.flatMap((item, i) => (item.classification === TUNING_CLASS ? [i] : [])) },
      rules: [{ name: 'difference above -0.05', isRight: rightByDifference }],
    }
  },
}
