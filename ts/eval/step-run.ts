/**
 * Scores a task's solutions, each durable as it comes: `scores.jsonl` holds one line per solution with the hash of its
 * row, so that a run goes on where it ended and never over other files.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError, invalidArgument, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { StepScorer } from '../contracts/scorer.ts'
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

interface Line {
  id: string
  hash: string
  scores?: number[]
  error?: string
}

const FILE = 'scores.jsonl'
const hashOf = (item: StepItem, scorer: string) =>
  createHash('sha256')
    .update(JSON.stringify([scorer, item.question, item.images, item.steps]))
    .digest('hex')

/** What earlier runs left; half a line at the end, from a kill, is cut off. */
async function readDone(path: string): Promise<Map<string, Line>> {
  if (!existsSync(path)) return new Map()
  const text = await readFile(path, 'utf8')
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  if (whole !== text) await truncate(path, Buffer.byteLength(whole))
  const lines = whole.split('\n').filter((line) => line !== '')
  return new Map(
    lines.map((line, i) => {
      try {
        const parsed = JSON.parse(line) as Line
        return [parsed.id, parsed]
      } catch (error) {
        throw storeError(`${path}, line ${i + 1}: not valid JSON; the file was changed`, error)
      }
    }),
  )
}

async function scoreItem(item: StepItem, scorer: StepScorer, signal?: AbortSignal): Promise<Pick<Line, 'scores' | 'error'>> {
  try {
    const problem = { id: item.id, question: item.question, answer: '', ...(item.images.length > 0 && { images: item.images }) }
    const [scored] = await scorer.score({ problem, solutions: [item.steps] }, signal)
    return { scores: [...(scored?.scores ?? [])] }
  } catch (error) {
    if (error instanceof EngineError && error.code === 'ERR_ENGINE_INVALID_ARGUMENT') return { error: error.message }
    throw error
  }
}

/**
 * @throws EngineError STORE: the folder holds results and `resume` is not set, or cannot be written; INVALID_ARGUMENT: what it
 *   holds is of other rows or another scorer; ABORTED
 */
export async function scoreItems({
  items,
  scorer,
  out,
  resume,
  inFlight = 4,
  signal,
  onProgress,
}: StepRunOptions): Promise<StepRun> {
  makeFolder(out)
  const path = join(out, FILE)
  if (!resume && existsSync(path)) throw storeError(`${out} holds results already; --resume goes on with them`)
  const done = await readDone(path)
  for (const item of items) {
    const line = done.get(item.id)
    if (line && line.hash !== hashOf(item, scorer.name)) {
      throw invalidArgument(`${path}: "${item.id}" was scored from another row, or by another model; name another folder`)
    }
  }
  const waiting = items.filter((item) => !done.has(item.id)).values()
  await using file = await open(path, 'a')
  const worker = async () => {
    for (const item of waiting) {
      const line: Line = { id: item.id, hash: hashOf(item, scorer.name), ...(await scoreItem(item, scorer, signal)) }
      await file.appendFile(`${JSON.stringify(line)}\n`).catch((error: Error) => {
        throw storeError(`cannot write ${path}: ${error.message}`, error)
      })
      done.set(item.id, line)
      onProgress?.(done.size, items.length)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  const lines = items.map((item) => done.get(item.id) as Line)
  return {
    scores: lines.map((line) => line.scores ?? null),
    unscored: lines.flatMap(({ id, error }) => (error === undefined ? [] : [{ id, message: error }])),
  }
}
