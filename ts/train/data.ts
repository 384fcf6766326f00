/**
 * Training data from JSON lines. Rows of `mm-prm dataset` (format `steps`), of the reference (`conversations` with
 * markers) and of a generator (`steps`, `answer`); every line is checked before any training starts. Steps end with the
 * answer step, as everywhere; a policy's rows may hold the answer apart.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, isAbsolute, resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import type { TrainSample, TrainTask } from '../contracts/trainer.ts'
import type { Dataset } from './options.ts'

const MARKER = '<prm>'

export interface FileDataset extends Dataset {
  readonly samples: readonly TrainSample[]
  /** Lines that were left out, with their reason. */
  readonly skipped: readonly { line: number; reason: string }[]
}

/** @throws EngineError INVALID_ARGUMENT naming file and line, or where nothing is left to learn */
export async function readDataset(path: string, task: TrainTask, badLines: 'skip' | 'error'): Promise<FileDataset> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument(`${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`, error)
  })
  const samples: TrainSample[] = []
  const skipped: { line: number; reason: string }[] = []
  bytes
    .toString('utf8')
    .split('\n')
    .forEach((text, i) => {
      if (text.trim() === '') return
      try {
        samples.push(readSample(JSON.parse(text), task, i + 1, dirname(resolve(path))))
      } catch (error) {
        const reason = (error as Error).message
        if (badLines === 'error') throw invalidArgument(`${path}: line ${i + 1}: ${reason}`, error)
        skipped.push({ line: i + 1, reason })
      }
    })
  checkContent(path, samples, task)
  const fingerprint = createHash('sha256').update(bytes).digest('hex')
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

type Row = Record<string, unknown>

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function readSample(value: unknown, task: TrainTask, line: number, folder: string): TrainSample {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidArgument('a JSON object is expected')
  const row = value as Row
  const body = 'conversations' in row ? readConversation(row) : readSteps(row)
  const id = typeof row['id'] === 'string' || typeof row['id'] === 'number' ? String(row['id']) : `line ${line}`
  const problem = row['problemId']
  const image = readImage(row['image'], folder)
  const common = { id, group: typeof problem === 'string' ? problem : body.question, ...(image !== undefined && { image }) }
  if (task === 'policy') {
    const answer = row['answer']
    if (typeof answer !== 'string') throw invalidArgument('"answer" must be a string')
    const hasAnswerStep = body.steps.at(-1)?.trim() === answer.trim()
    return { ...common, question: body.question, steps: hasAnswerStep ? body.steps.slice(0, -1) : body.steps, answer }
  }
  return { ...common, ...body, ...readLabels(row, body.steps.length) }
}

function readImage(image: unknown, folder: string): string | undefined {
  if (image === undefined || image === null) return undefined
  if (typeof image !== 'string') throw invalidArgument('"image" must be a path or a data URI')
  if (/^data:/i.test(image)) return image
  const path = isAbsolute(image) ? image : resolve(folder, image)
  if (!existsSync(path)) throw invalidArgument(`image ${path}: no such file`)
  return path
}

function readSteps(row: Row): { question: string; steps: string[] } {
  const { question, steps } = row
  if (typeof question !== 'string') throw invalidArgument('"question" must be a string')
  if (!isStrings(steps) || steps.length === 0) throw invalidArgument('"steps" must be a list of strings')
  return { question, steps: checkSteps(steps) }
}

/** Scoring refuses empty steps too. */
function checkSteps(steps: string[]): string[] {
  const empty = steps.findIndex((step) => step.trim() === '')
  if (empty >= 0) throw invalidArgument(`steps[${empty}] is empty: a step needs text`)
  return steps
}

/** `Question: …\nProcess: s1<prm>\n\ns2<prm>` in the answering turn. */
function readConversation(row: Row): { question: string; steps: string[] } {
  const turns = row['conversations'] as { from?: unknown; value?: unknown }[]
  const value = Array.isArray(turns) ? turns.findLast((turn) => turn?.from === 'gpt')?.value : undefined
  const match = typeof value === 'string' && /^(?:<image>\n)?Question: ([\s\S]*?)\nProcess: ([\s\S]*)$/.exec(value)
  if (!match) throw invalidArgument('"conversations" must end in a turn of "gpt": Question: …\\nProcess: … with its markers')
  const parts = (match[2] as string).split(MARKER)
  if (parts.pop()?.trim() !== '') throw invalidArgument(`the process must end in ${MARKER}`)
  if (parts.length === 0) throw invalidArgument(`the process has no ${MARKER}`)
  return { question: match[1] as string, steps: checkSteps(parts.map((part) => part.replace(/^\n\n/, ''))) }
}

function readLabels(row: Row, numSteps: number): { labels: (number | null)[]; weights?: number[] } {
  const { labels, weights } = row
  if (!Array.isArray(labels)) throw invalidArgument('"labels" must be a list, one per step')
  if (labels.length !== numSteps) throw invalidArgument(`${labels.length} labels for ${numSteps} steps with markers`)
  labels.forEach((label: unknown, i) => {
    if (label !== null && !(typeof label === 'number' && label >= 0 && label <= 1)) {
      throw invalidArgument(`label ${i} is ${JSON.stringify(label)}; a number between 0 and 1, or null, is expected`)
    }
  })
  if (weights === undefined) return { labels }
  const good = Array.isArray(weights) && weights.length === numSteps && weights.every((w) => Number.isFinite(w) && w >= 0)
  if (!good) throw invalidArgument('"weights" must be one number from 0 up per step')
  return { labels, weights }
}
