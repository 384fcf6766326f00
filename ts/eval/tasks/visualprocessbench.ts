/**
 * VisualProcessBench (Wang et al. 2025): every step of solutions to problems with pictures, right (1), wrong (−1) or
 * neutral (0, left out). Figures: ½(F1 of right steps + F1 of wrong steps) per source and over all steps.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { add, type Confusion, count, noSteps, rightF1, wrongF1 } from '../f1.ts'
import { parseRows, type StepTask } from '../step-task.ts'

export const NUM_ROWS = 2866

export const rowSchema = z
  .object({
    image: z.array(z.string()),
    question: z.string(),
    response: z.object({ steps: z.array(z.string()).min(1), process_correctness: z.array(z.literal([-1, 0, 1])) }),
    data_source: z.string(),
  })
  .refine((row) => row.response.steps.length === row.response.process_correctness.length, {
    message: '"process_correctness" must have one entry per step',
  })
export type VisualProcessBenchRow = z.output<typeof rowSchema>

export interface MacroFigures {
  correctF1: number
  incorrectF1: number
  macroF1: number
  /** Steps that count: neutral ones are left out. */
  numSteps: number
  droppedNeutral: number
  /** Steps without a verdict: each is missed by its own class. */
  unread: number
}

export interface VisualFigures {
  /** Over all steps: the figure to quote. */
  overall: MacroFigures
  meanOfSources: number
  bySource: Record<string, MacroFigures & { numSamples: number }>
}

/** What was said of each step of a row: right, wrong, or nothing that could be read. */
export type StepVerdict = boolean | null

interface Tally {
  confusion: Confusion
  neutral: number
  /** Steps without a verdict that are right, and that are wrong. */
  unreadRight: number
  unreadWrong: number
  samples: number
}

const emptyTally = (): Tally => ({ confusion: noSteps(), neutral: 0, unreadRight: 0, unreadWrong: 0, samples: 0 })

function tallyRow(row: VisualProcessBenchRow, verdicts: readonly StepVerdict[]): Tally {
  const tally = { ...emptyTally(), samples: 1 }
  for (const [i, truth] of row.response.process_correctness.entries()) {
    const verdict = verdicts[i] ?? null
    if (truth === 0) tally.neutral++
    else if (verdict === null) tally[truth === 1 ? 'unreadRight' : 'unreadWrong']++
    else count(tally.confusion, truth === 1, verdict)
  }
  return tally
}

function figures({ confusion, neutral, unreadRight, unreadWrong }: Tally): MacroFigures {
  // An unread step was called neither right nor wrong: it is missed by its own class alone.
  const c = confusion
  const correct = rightF1({ ...c, falseNegative: c.falseNegative + unreadRight })
  const incorrect = wrongF1({ ...c, falsePositive: c.falsePositive + unreadWrong })
  const numSteps = c.truePositive + c.falsePositive + c.trueNegative + c.falseNegative + unreadRight + unreadWrong
  return {
    ...{ correctF1: correct, incorrectF1: incorrect, macroF1: (correct + incorrect) / 2, numSteps },
    ...{ droppedNeutral: neutral, unread: unreadRight + unreadWrong },
  }
}

export function visualFigures(
  rows: readonly VisualProcessBenchRow[],
  verdicts: readonly (readonly StepVerdict[])[],
): VisualFigures {
  const all = emptyTally()
  const bySource = new Map<string, Tally>()
  for (const [i, row] of rows.entries()) {
    const tally = tallyRow(row, verdicts[i] ?? [])
    const source = bySource.get(row.data_source) ?? emptyTally()
    bySource.set(row.data_source, source)
    for (const sum of [all, source]) {
      add(sum.confusion, tally.confusion)
      for (const key of ['neutral', 'unreadRight', 'unreadWrong', 'samples'] as const) sum[key] += tally[key]
    }
  }
  const sources = [...bySource].sort(([a], [b]) => (a < b ? -1 : 1))
  const named = sources.map(([name, tally]) => [name, { ...figures(tally), numSamples: tally.samples }] as const)
  const mean = named.reduce((sum, [, f]) => sum + f.macroF1, 0) / named.length
  return { overall: figures(all), meanOfSources: mean, bySource: Object.fromEntries(named) }
}

const FILE = 'test.jsonl'
/** The largest source. */
const TUNING_SOURCE = 'MathVerse'

export const visualProcessBench: StepTask = {
  name: 'visualprocessbench',
  figure: 'macro F1 over all steps',
  files: { [FILE]: NUM_ROWS },
  columns: ['image', 'question', 'response', 'data_source'],
  load(files, folder) {
    const rows = parseRows(rowSchema, FILE, files[FILE] ?? [])
    const figuresOver = (verdicts: readonly (readonly boolean[] | null)[], of: readonly number[]) =>
      visualFigures(
        of.map((i) => rows[i] as VisualProcessBenchRow),
        of.map((i) => verdicts[i] ?? []),
      )
    return {
      items: rows.map(({ image, question, response }, i) => ({
        ...{ id: String(i), question, steps: response.steps },
        images: image.map((path) => join(folder, path)),
      })),
      headline: (verdicts, of) => 100 * figuresOver(verdicts, of).overall.macroF1,
      figures: (verdicts) => figuresOver(verdicts, [...rows.keys()]),
      tuningSplit: { name: TUNING_SOURCE, items: rows.flatMap((row, i) => (row.data_source === TUNING_SOURCE ? [i] : [])) },
      rules: [],
    }
  },
}
