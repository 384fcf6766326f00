/**
 * What commands share that run a model over a JSONL file: options, opening, lines worked on ahead of their turn,
 * answers in input order, a bad line reported in its place, progress, exit code.
 */
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { inputBytes, type JsonLine, readJsonLines } from '../contracts/json-lines.ts'
import { suggest } from '../contracts/suggest.ts'
import { Engine } from '../engine/engine.ts'
import { EXIT, required } from './command.ts'
import {
  ADAPTER_OPTIONS,
  adapterUsage,
  ENGINE_OPTIONS,
  engineUsage,
  readAdapters,
  readEngineOptions,
  shown,
} from './engine-options.ts'
import { withFolders } from './hub-model.ts'
import { badLine, LineFile, type LineSink, lineId, standardOutput } from './lines.ts'
import { Progress } from './progress.ts'

export const MODEL_OPTIONS = {
  model: { type: 'string' },
  input: { type: 'string' },
  output: { type: 'string' },
  ...ADAPTER_OPTIONS,
  ...ENGINE_OPTIONS,
} as const

export const MODEL_USAGE = `  --model DIR|NAME         checkpoint folder, or org/name[@revision] on a hub
${adapterUsage(24)}
  --input FILE             JSON lines; - for standard input
  --output FILE            where results go (default: standard output)
${engineUsage(24)}`

type Values = { [K in Exclude<keyof typeof MODEL_OPTIONS, 'adapter'>]?: string | undefined } & { adapter?: string[] | undefined }

export interface ModelJob {
  input: string
  output: string | undefined
  engine: Parameters<typeof Engine.open>[0]
}

export function readModelJob(values: Values): ModelJob {
  return {
    input: required(values.input, 'input'),
    output: values.output,
    engine: { model: required(values.model, 'model'), ...readAdapters(values.adapter), ...readEngineOptions(values) },
  }
}

export interface QuestionLine {
  id: string | number
  question: string
  image?: string
  images?: string[]
}

export function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** The fields every line has. Other keys are the user's own, unless they look like a misspelt one of `known`. */
export function readQuestionLine(value: Record<string, unknown>, folder: string, known: readonly string[]): QuestionLine {
  const { id, question, image, images } = value
  if (typeof id !== 'string' && typeof id !== 'number') throw invalidArgument('"id" must be a string or a number')
  if (typeof question !== 'string') throw invalidArgument('"question" must be a string')
  if (image !== undefined && image !== null && (typeof image !== 'string' || image === ''))
    throw invalidArgument('"image" must be a path or a data URI')
  if (images !== undefined && images !== null && !(isStringList(images) && images.every((one) => one !== '')))
    throw invalidArgument('"images" must be a list of paths or data URIs')
  if (typeof image === 'string' && isStringList(images))
    throw invalidArgument('"image" is short for one of "images": give one of the two')
  for (const key of Object.keys(value)) {
    const hint = known.includes(key) ? '' : suggest(key, known)
    if (hint.startsWith(' (did')) throw invalidArgument(`unknown key "${key}"${hint}`)
  }
  return {
    id,
    question,
    ...(typeof image === 'string' && { image: located(image, folder) }),
    ...(isStringList(images) && { images: images.map((one) => located(one, folder)) }),
  }
}

/** WHY URLs pass unchanged: the engine says that it fetches none; as a path they would only be absent. */
function located(image: string, folder: string): string {
  return /^(data:|[a-z][a-z0-9+.-]+:\/\/)/i.test(image) ? image : resolve(folder, image)
}

/**
 * Answers one line: what follows its id, `errors` where a part of it could not be answered.
 * Throws INVALID_ARGUMENT for what is the line's own fault.
 */
export type AnswerLine = (engine: Engine, value: Record<string, unknown>, folder: string) => Promise<object>

/** One output line; never rejects for reasons that lie in the input line. */
async function answerLine(engine: Engine, input: JsonLine, folder: string, answer: AnswerLine) {
  try {
    if (!input.value) throw invalidArgument(input.problem ?? 'unreadable')
    const answered = await answer(engine, input.value, folder)
    return { text: JSON.stringify({ id: lineId(input), ...answered }), bad: 'errors' in answered }
  } catch (error) {
    return { text: JSON.stringify(badLine(input, error)), bad: true }
  }
}

/** Opened before the model, so that a bad path costs no wait; emptied when the first result is there. */
async function openOutput({ input, output }: ModelJob): Promise<LineFile | undefined> {
  if (output === undefined) return undefined
  const [from, to] = await Promise.all([input, output].map((path) => stat(path).catch(() => undefined)))
  if (from && to?.isFile() && from.dev === to.dev && from.ino === to.ino) {
    throw invalidArgument(`--output ${output}: is the input file; name another one`)
  }
  return LineFile.open(output, 'a')
}

async function emptied(file: LineFile | undefined): Promise<LineSink> {
  await file?.empty()
  return file ?? standardOutput
}

/** Resolves to the exit code. `inFlight`: lines worked on at once. */
export async function runModelJob(job: ModelJob, label: string, inFlight: number, answer: AnswerLine): Promise<number> {
  const totalBytes = await inputBytes(job.input)
  await using file = await openOutput(job)
  const options = await withFolders(job.engine)
  const opened = await shown(async (onProgress) => ({ engine: await Engine.open({ ...options, onProgress }) }))
  await using engine = opened.engine
  const progress = new Progress(label)
  const folder = job.input === '-' ? process.cwd() : dirname(resolve(job.input))
  const counts = { done: 0, bad: 0 }
  let out: LineSink | undefined
  const waiting: { result: ReturnType<typeof answerLine>; bytesRead: number }[] = []

  const writeFirst = async () => {
    const first = waiting.shift()
    if (!first) return
    const { text, bad } = await first.result
    out ??= await emptied(file)
    await out.write(text)
    counts.done++
    if (bad) counts.bad++
    progress.update(`${counts.done} lines`, totalBytes && first.bytesRead / totalBytes)
  }
  for await (const line of readJsonLines(job.input)) {
    const result = answerLine(engine, line, folder, answer)
    result.catch(() => {}) // reported when its turn comes
    waiting.push({ result, bytesRead: line.bytesRead })
    if (waiting.length >= inFlight) await writeFirst()
  }
  while (waiting.length > 0) await writeFirst()
  out ??= await emptied(file)
  progress.finish(`${counts.done} lines${counts.bad > 0 ? `, ${counts.bad} bad` : ''}`)
  return counts.bad > 0 ? EXIT.someLinesBad : EXIT.ok
}
