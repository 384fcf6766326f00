/**
 * Scores a task's solutions, each durable as it comes: one line per solution with the hash of its row, so that a run goes
 * on where it ended and never over other files. A second scorer has a file of its own.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { invalidArgument, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import { forEachLimited } from './limited.ts'
import { type LineHead, LineStore } from './line-store.ts'
import { hashRow } from './row-hash.ts'
import { scoreFile } from './scores.ts'
import { isProblems } from './solutions.ts'
import type { ItemScores, StepItem } from './step-task.ts'

export interface StepRunOptions {
  items: readonly StepItem[]
  scorer: StepScorer
  /** Folder of this task's results. */
  out: string
  resume: boolean
  /** Solutions in work at once. */
  inFlight?: number
  signal?: AbortSignal
  onProgress?: (done: number, total: number) => void
}

export interface StepRun {
  /** In the order of the items. */
  scores: ItemScores[]
  /** What could not be scored, and why. */
  unscored: { id: string; message: string }[]
}

type Scored = { scores: number[] } | { error: string }
type Line = LineHead & Scored

/** Pictures by what they hold: their folder may move. */
async function hashOf({ question, images, steps }: StepItem, scorer: string): Promise<string> {
  const row = await hashRow({ question, steps }, images)
  return createHash('sha256').update(JSON.stringify([scorer, row])).digest('hex') // biome-ignore format: one hash
}

async function scoreItem(item: StepItem, scorer: StepScorer, signal?: AbortSignal): Promise<Scored> {
  try {
    const problem = { id: item.id, question: item.question, answer: '', ...(item.images.length > 0 && { images: item.images }) }
    const [scored] = await scorer.score({ problem, solutions: [item.steps] }, signal)
    if (scored && scored.error === undefined) return { scores: [...scored.scores] }
    return { error: scored?.error ?? 'no scores came back' }
  } catch (error) {
    if (isProblems(error)) return { error: error.message }
    throw error
  }
}

/** Hashes of all items, by id. @throws EngineError INVALID_ARGUMENT: what is stored is of other rows */
async function hashesOf(items: readonly StepItem[], scorer: string, store: LineStore<Line, Line>) {
  const hashes = new Map<string, string>()
  for (const item of items) {
    const hash = await hashOf(item, scorer)
    const [before] = store.kept(item.id)
    // What could not be scored is tried again with what is there now: it holds nothing that could be lost.
    if (before && before.hash !== hash && 'scores' in before)
      throw invalidArgument(`${store.path}: "${item.id}" was scored from another row; name another folder`)
    hashes.set(item.id, hash)
  }
  return hashes
}

/**
 * @throws EngineError STORE: the folder holds results and `resume` is not set, or cannot be written; INVALID_ARGUMENT: what it
 *   holds is of other rows; ABORTED
 */
export async function scoreItems(o: StepRunOptions): Promise<StepRun> {
  const { items, scorer, out, resume, inFlight = 4, signal, onProgress } = o
  makeFolder(out)
  const path = join(out, scoreFile(scorer.name))
  if (!resume && existsSync(path)) throw storeError(`${out} holds results already; --resume goes on with them`)
  await using store = await LineStore.open<Line, Line>(path, (line) => line)
  const hashes = await hashesOf(items, scorer.name, store)
  const lineOf = (id: string): Line | undefined => store.kept(id).find(({ hash }) => hash === hashes.get(id))
  const waiting = items.filter(({ id }) => !lineOf(id))
  let done = items.length - waiting.length
  await forEachLimited(waiting, inFlight, async (item) => {
    const hash = hashes.get(item.id) as string
    await store.append({ id: item.id, hash, ...(await scoreItem(item, scorer, signal)) })
    onProgress?.(++done, items.length)
  })
  const lines = items.map(({ id }) => lineOf(id) as Line)
  return {
    scores: lines.map((line) => ('scores' in line ? line.scores : null)),
    unscored: lines.flatMap((line) => ('error' in line ? [{ id: line.id, message: line.error }] : [])),
  }
}
