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
import type { Dataset } from './options.ts'
import { readBody } from './rows.ts'

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

/** @throws EngineError INVALID_ARGUMENT naming file and line, or where nothing is left to learn */
export async function readDataset(path: string, task: TrainTask, badLines: 'skip' | 'error'): Promise<FileDataset> {
  const samples: TrainSample[] = []
  const skipped: SkippedLine[] = []
  const folder = dirname(resolve(path))
  for await (const { row: line, fields, error } of readRows(path, '.jsonl')) {
    try {
      if (!fields) throw invalidArgument(error ?? 'cannot be read')
      samples.push(readSample(fields, task, line, folder))
    } catch (error) {
      const reason = (error as Error).message
      const id = fields && idOf(fields)
      if (badLines === 'error') throw invalidArgument(`${path}: line ${line}: ${reason}${id ? ` (id ${id})` : ''}`, error)
      skipped.push({ file: path, line, ...(id && { id }), reason })
    }
  }
  checkContent(path, samples, task)
  const fingerprint = await fingerprintOf(path)
  return { samples, skipped, fingerprint, size: samples.length, at: (index) => samples[index] as TrainSample }
}

/** Nothing can be learnt from no sample, nor from labels that all say the same. */
function checkContent(path: string, samples: readonly TrainSample[], task: TrainTask): void {
  if (samples.length === 0) throw invalidArgument(`${path}: holds no sample`)
  if (task === 'policy') return
  const labels = samples.flatMap((s) => (s.labels ?? []).filter((l) => l !== null))
  if (labels.length === 0) throw invalidArgument(`${path}: holds no label`)
  const [low, high] = labels.reduce(([a, b], l) => [Math.min(a, l), Math.max(b, l)], [1, 0])
  if (low === high) {
    throw invalidArgument(`${path}: all ${labels.length} labels are ${low}: a PRM needs right steps and wrong ones`)
  }
}

function idOf({ id }: Fields): string | undefined {
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined
}

function readSample(row: Fields, task: TrainTask, line: number, folder: string): TrainSample {
  const { question: written, steps, labels, image: given } = readBody(row)
  const problem = row['problemId']
  const { question, images = [] } = askedQuestion({ question: written, images: readImages(given, folder) })
  const [image] = images
  const group = typeof problem === 'string' ? problem : question
  const common = {
    id: idOf(row) ?? `line ${line}`,
    group,
    question,
    ...(images.length > 1 ? { images } : image !== undefined && { image }),
  }
  if (task === 'policy') {
    const answer = row['answer']
    if (typeof answer !== 'string') throw invalidArgument('"answer" must be a string')
    const hasAnswerStep = steps.at(-1)?.trim() === answer.trim()
    return { ...common, steps: hasAnswerStep ? steps.slice(0, -1) : steps, answer }
  }
  return { ...common, steps, ...readLabels(labels, row['weights'], steps.length) }
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
