/**
 * Training data from files: JSON lines, JSON, CSV or Parquet, in the forms that `rows.ts` knows; every row is checked
 * before any training starts. Steps end with the answer step, as everywhere; a policy's rows may hold the answer apart.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { askedQuestion } from '../contracts/problem.ts'
import type { TrainSample, TrainTask } from '../contracts/trainer.ts'
import { type Fields, readRows } from '../rows/index.ts'
import { readConversation, readPair, type Said } from './conversations.ts'
import type { Dataset } from './options.ts'
import { readBody, withoutAnswerStep } from './rows.ts'

/** A row of the file that was left out. */
export interface SkippedLine {
  file: string
  /** As its format counts, from 1. */
  line: number
  /** Where it has one. */
  id?: string
  reason: string
}

export interface FileDataset extends Dataset {
  readonly samples: readonly TrainSample[]
  readonly skipped: readonly SkippedLine[]
}

async function fingerprintOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** What rows hold: solutions, labelled steps, or pairs of answers. */
export type RowKind = TrainTask | 'pairs'

/** @throws EngineError INVALID_ARGUMENT naming file and line, or where nothing is left to learn */
export async function readDataset(path: string, kind: RowKind, badLines: 'skip' | 'error'): Promise<FileDataset> {
  const dataset = await readSamples(path, kind, badLines)
  if (kind === 'prm') checkLabels(path, dataset.samples)
  return dataset
}

/** A file by itself, whatever its labels say. @throws EngineError INVALID_ARGUMENT naming file and line */
export async function readSamples(path: string, kind: RowKind, badLines: 'skip' | 'error'): Promise<FileDataset> {
  const samples: TrainSample[] = []
  const skipped: SkippedLine[] = []
  const folder = dirname(resolve(path))
  for await (const { row: line, fields, error } of readRows(path, '.jsonl')) {
    try {
      if (!fields) throw invalidArgument(error ?? 'cannot be read')
      samples.push(readSample(fields, kind, line, folder))
    } catch (error) {
      const reason = (error as Error).message
      const id = fields && idOf(fields)
      if (badLines === 'error') throw invalidArgument(`${path}: line ${line}: ${reason}${id ? ` (id ${id})` : ''}`, error)
      skipped.push({ file: path, line, ...(id && { id }), reason })
    }
  }
  if (samples.length === 0) throw invalidArgument(`${path}: holds no sample`)
  const fingerprint = await fingerprintOf(path)
  return { samples, skipped, fingerprint, size: samples.length, at: (index) => samples[index] as TrainSample }
}

/** Nothing can be learnt from labels that all say the same. @throws EngineError INVALID_ARGUMENT */
export function checkLabels(path: string, samples: readonly TrainSample[]): void {
  const labels = samples.flatMap((s) => labelsOf(s).filter((l) => l !== null))
  if (labels.length === 0) throw invalidArgument(`${path}: holds no label`)
  const [low, high] = labels.reduce(([a, b], l) => [Math.min(a, l), Math.max(b, l)], [1, 0])
  if (low === high) {
    throw invalidArgument(`${path}: all ${labels.length} labels are ${low}: a PRM needs right steps and wrong ones`)
  }
}

const labelsOf = ({ labels = [], siblings = [] }: TrainSample) => [...labels, ...siblings.map(({ label }) => label)]

/** @throws EngineError INVALID_ARGUMENT where no two siblings differ enough to be ranked */
export function checkSiblings(path: string, samples: readonly TrainSample[], margin: number): void {
  const groups = samples.flatMap(({ siblings }) => siblings ?? []).length
  if (groups === 0) {
    throw invalidArgument(
      `${path}: loss rank learns from next steps of one prefix, and no row has some: rows of "prefix" and "steps" are expected, as mm-prm dataset --samples groups --format groups writes them`,
    )
  }
  const gap = ({ siblings = [] }: TrainSample) => {
    const labels = siblings.flatMap(({ label }) => label ?? [])
    return Math.max(...labels) - Math.min(...labels)
  }
  if (samples.some((sample) => gap(sample) > 0 && gap(sample) >= margin - 1e-6)) return
  throw invalidArgument(
    `${path}: loss rank has nothing to learn: no two siblings have labels that differ by ${margin}, its margin`,
  )
}

function idOf({ id }: Fields): string | undefined {
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined
}

function readSample(row: Fields, kind: RowKind, line: number, folder: string): TrainSample {
  const common = (written: string, given: unknown) => {
    const { question, images = [] } = askedQuestion({ question: written, images: readImages(given, folder) })
    const [image] = images
    const problem = row['problemId']
    const group = typeof problem === 'string' ? problem : question
    const shown = images.length > 1 ? { images } : image !== undefined && { image }
    return { id: idOf(row) ?? `line ${line}`, group, question, ...shown }
  }
  const said = kind === 'pairs' ? readPair(row) : isConversation(row, kind) ? readConversation(row) : undefined
  if (said) return saidSample(common(said.question, said.image), said)
  const { question, steps, labels, image, siblings } = readBody(row)
  const known = common(question, image)
  if (kind === 'policy') {
    if (siblings) throw invalidArgument('"prefix": next steps side by side are for a PRM: a policy learns from whole solutions')
    const answer = row['answer']
    if (typeof answer !== 'string') throw invalidArgument('"answer" must be a string')
    return { ...known, steps: withoutAnswerStep(steps, answer), answer }
  }
  if (siblings) {
    if (row['weights'] !== undefined && row['weights'] !== null)
      throw invalidArgument(
        '"weights": siblings behind a "prefix" count alike: leave them out, or write each as a path of its own',
      )
    const read = readLabels(labels, undefined, siblings.length).labels
    return { ...known, steps, siblings: siblings.map((step, i) => ({ step, label: read[i] as number | null })) }
  }
  return { ...known, steps, ...readLabels(labels, row['weights'], steps.length) }
}

/** ms-swift's rows have messages too, and steps beside them. */
const isConversation = (row: Fields, kind: RowKind) => kind === 'policy' && 'messages' in row && !('steps' in row)

function saidSample(common: Omit<TrainSample, 'steps'>, { turns, own, rejected }: Said): TrainSample {
  return { ...common, ...(turns && { turns }), steps: [], ...own, ...(rejected && { rejected }) }
}

/** One picture or a list of them. */
function readImages(given: unknown, folder: string): (string | Uint8Array)[] {
  if (given === undefined || given === null) return []
  return (Array.isArray(given) ? given : [given]).map((image: unknown) => readImage(image, folder))
}

/** A path, a data URI, encoded bytes, or one of these as {bytes, path}, as data sets embed them. */
function readImage(image: unknown, folder: string): string | Uint8Array {
  if (image instanceof Uint8Array) return image
  if (typeof image === 'object' && image !== null) {
    const { bytes, path } = image as { bytes?: unknown; path?: unknown }
    return readImage(bytes ?? path ?? 'no path', folder)
  }
  if (typeof image !== 'string') throw invalidArgument('"image" must be a path or a data URI')
  if (/^data:/i.test(image)) return image
  const path = isAbsolute(image) ? image : resolve(folder, image)
  if (!existsSync(path)) throw invalidArgument(`image ${path}: no such file`)
  return path
}

function readLabels(labels: unknown, weights: unknown, numSteps: number): { labels: (number | null)[]; weights?: number[] } {
  if (!Array.isArray(labels)) throw invalidArgument('"labels" must be a list, one per step')
  if (labels.length !== numSteps) throw invalidArgument(`${labels.length} labels for ${numSteps} steps with markers`)
  const numbers = labels.map((label: unknown, i) => {
    if (typeof label === 'boolean') return label ? 1 : 0
    if (label === null || (typeof label === 'number' && label >= 0 && label <= 1)) return label
    throw invalidArgument(`label ${i} is ${JSON.stringify(label)}; a number between 0 and 1, true, false or null is expected`)
  })
  if (weights === undefined || weights === null) return { labels: numbers }
  const good = Array.isArray(weights) && weights.length === numSteps && weights.every((w) => Number.isFinite(w) && w >= 0)
  if (!good) throw invalidArgument('"weights" must be one number from 0 up per step')
  return { labels: numbers, weights }
}
