/**
 * A step-level task: solutions whose steps are known to be right or wrong, and the figures of what a scorer says of them.
 * A new benchmark is one file that exports such a task, and one line in `registry.ts`.
 */
import type { z } from 'zod'
import { invalidArgument } from '../contracts/errors.ts'
import { interval } from './bootstrap.ts'
import { type Row, readStepRows } from './files.ts'

/** One solution to be scored. */
export interface StepItem {
  /** Unique within the task. */
  readonly id: string
  readonly question: string
  /** Paths, in the order of their places in the question. */
  readonly images: readonly string[]
  readonly steps: readonly string[]
}

/** Scores of an item's steps; null where it could not be scored. */
export type ItemScores = readonly number[] | null

/** How scores become verdicts: a step is right iff its score is above a threshold, or by a rule of the benchmark's own. */
export interface Decision {
  readonly name: string
  readonly isRight: (scores: readonly number[]) => boolean[]
}

export const aboveThreshold = (name: string, threshold: number): Decision => ({
  name,
  isRight: (scores) => scores.map((score) => score > threshold),
})

/** As checkpoints record it: a step that scores less is wrong. */
export const fromThreshold = (name: string, threshold: number): Decision => ({
  name,
  isRight: (scores) => scores.map((score) => score >= threshold),
})

/** What stands in `results.json` for one decision. */
export interface StepFigures {
  /** The figure to quote, in percent; null where it has no value. */
  readonly value: number | null
  /** 95 % bootstrap interval over solutions. */
  readonly low: number | null
  readonly high: number | null
  /** The benchmark's own table. */
  readonly figures: object
}

/** A set that was read: what to score, and what follows from the scores. */
export interface LoadedTask {
  readonly items: readonly StepItem[]
  /** The figure to quote over some of the items, given whether each step was called right; null has no value. */
  headline(verdicts: readonly (readonly boolean[] | null)[], of: readonly number[]): number | null
  figures(verdicts: readonly (readonly boolean[] | null)[]): object
  /** Items on which a threshold may be tuned. */
  readonly tuningSplit: { readonly name: string; readonly items: readonly number[] }
  /** Rules of the benchmark's own, beside thresholds. */
  readonly rules: readonly Decision[]
}

export interface StepTask {
  readonly kind?: 'steps'
  readonly name: string
  /** What its figure is, for people. */
  readonly figure: string
  /** Files of the set as they are published, each with how many rows it has; in another format they have the same names. */
  readonly files: Readonly<Record<string, number>>
  /** Columns that a file of this set has. */
  readonly columns: readonly string[]
  load(rows: Readonly<Record<string, readonly Row[]>>, folder: string): LoadedTask
}

/** The rows as a task wants them. @throws EngineError INVALID_ARGUMENT with file and row of the first that does not fit */
export function parseRows<S extends z.ZodType>(schema: S, file: string, rows: readonly Row[]): z.output<S>[] {
  return rows.map(({ row, value }) => {
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw invalidArgument(`${file}, row ${row}: ${issue?.path.join('.')}: ${issue?.message}`, parsed.error)
  })
}

/**
 * Reads a task's files and makes sure that they are the whole set.
 * @param data its folder, or a parent of several
 * @param limit take the first so many rows of each file, whatever their number
 * @throws EngineError INVALID_ARGUMENT: a missing column, another number of rows, an id that appears twice
 */
export async function loadTask(task: StepTask, data: string, limit?: number): Promise<LoadedTask> {
  const { folder, rows: found } = await readStepRows(task, data)
  const rows: Record<string, readonly Row[]> = {}
  for (const [file, expected] of Object.entries(task.files)) {
    const all = found[file] ?? []
    const missing = task.columns.filter((column) => !(column in (all[0]?.value ?? {})))
    if (missing.length > 0)
      throw invalidArgument(`${folder}/${file} is no file of ${task.name}: it has no column ${missing.join(', ')}`)
    if (limit === undefined && all.length !== expected) {
      throw invalidArgument(`${folder}/${file} has ${all.length} rows, ${task.name} has ${expected}; --limit takes part of a set`)
    }
    rows[file] = all.slice(0, limit)
  }
  const loaded = task.load(rows, folder)
  const seen = new Set<string>()
  for (const { id } of loaded.items) {
    if (seen.has(id)) throw invalidArgument(`${folder}: the id "${id}" appears twice`)
    seen.add(id)
  }
  return loaded
}

/** Figures under one decision, with the interval of what is quoted. */
export function figuresOf(
  task: LoadedTask,
  scores: readonly ItemScores[],
  decision: Decision,
  seed: string | number,
): StepFigures {
  const verdicts = scores.map((s) => s && decision.isRight(s))
  const all = scores.map((_, i) => i)
  const value = task.headline(verdicts, all)
  return { value, ...interval(all, (of) => task.headline(verdicts, of), seed), figures: task.figures(verdicts) }
}

/** Values between which no verdict changes, with one below and one above all scores. */
export function thresholdGrid(scores: readonly number[]): number[] {
  const sorted = [...new Set(scores)].sort((a, b) => a - b)
  if (sorted.length === 0) return []
  const middles = sorted.slice(1).map((score, i) => ((sorted[i] as number) + score) / 2)
  return [(sorted[0] as number) - 1, ...middles, (sorted.at(-1) as number) + 1]
}

/** The threshold with the best figure on the tuning split, of all that tell its scores apart; the middle one of equals; null without scores there. */
export function tuneThreshold(task: LoadedTask, scores: readonly ItemScores[]): number | null {
  const { items } = task.tuningSplit
  const verdicts = scores.map((of) => of?.map(() => true) ?? null)
  const rising = items.flatMap((item) => (scores[item] ?? []).map((score, step) => ({ score, item, step })))
  rising.sort((a, b) => a.score - b.score)
  let below = 0
  let best: { value: number; thresholds: number[] } = { value: -1, thresholds: [] }
  for (const threshold of thresholdGrid(rising.map(({ score }) => score))) {
    for (let next = rising[below]; next && next.score <= threshold; next = rising[++below])
      (verdicts[next.item] as boolean[])[next.step] = false
    const value = task.headline(verdicts, items) ?? -1
    if (value > best.value) best = { value, thresholds: [threshold] }
    else if (value === best.value) best.thresholds.push(threshold)
  }
  return best.thresholds[Math.floor((best.thresholds.length - 1) / 2)] ?? null
}
