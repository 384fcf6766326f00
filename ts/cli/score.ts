/** `mm-prm score`: step scores for every line of a JSONL file, in input order. */

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { invalidArgument } from '../contracts/errors.ts'
import { suggest } from '../contracts/suggest.ts'
import { Engine } from '../engine/engine.ts'
import { type Command, EXIT, oneOf, positiveInteger, readOptions, required } from './command.ts'
import { inputBytes, type JsonLine, readJsonLines } from './jsonl.ts'
import { badLine, lineId, writeLine } from './lines.ts'
import { Progress } from './progress.ts'

const USAGE = `usage: mm-prm score --model DIR --input FILE.jsonl [options]

Each input line is {"id", "question", "image"?, "steps": [...]} or {"id", "question", "image"?, "solutions": [[...], ...]};
each output line {"id", "scores"}, in input order. A bad line becomes {"id", "error": {"code", "message", "line"}} in its
place, and the exit code is then ${EXIT.someLinesBad}. An image is a data URI or a path relative to the input file.

  --model DIR        checkpoint folder
  --input FILE       JSON lines; - for standard input
  --output FILE      where results go (default: standard output)
  --scoring NAME     scoring family (default: what the checkpoint says or shows)
  --dtype f32|bf16   precision of the weights (default bf16)
  --threads N        threads (default: one per usable core)
  --max-tiles N      tiles per image at most (default: as the checkpoint's config says)
  --isa NAME         instruction set (default: the best)`

const OPTIONS = {
  model: { type: 'string' },
  input: { type: 'string' },
  output: { type: 'string' },
  scoring: { type: 'string' },
  dtype: { type: 'string' },
  threads: { type: 'string' },
  'max-tiles': { type: 'string' },
  isa: { type: 'string' },
} as const

const KEYS = ['id', 'question', 'image', 'steps', 'solutions']
/** Lines worked on at once: the engine runs one while the next ones' images are decoded. */
const IN_FLIGHT = 4

type Id = string | number
interface ScoreLine {
  id: Id
  question: string
  image?: string
  steps?: string[]
  solutions?: string[][]
}

function isSteps(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((step) => typeof step === 'string')
}

/** Checks one line; the message names the field. Other keys are the user's own, unless they look misspelt. */
function readScoreLine(value: Record<string, unknown>, folder: string): ScoreLine {
  const { id, question, image, steps, solutions } = value
  if (typeof id !== 'string' && typeof id !== 'number') throw invalidArgument('"id" must be a string or a number')
  if (typeof question !== 'string') throw invalidArgument('"question" must be a string')
  if (image !== undefined && image !== null && typeof image !== 'string')
    throw invalidArgument('"image" must be a path or a data URI')
  for (const key of Object.keys(value)) {
    const hint = KEYS.includes(key) ? '' : suggest(key, KEYS)
    if (hint.startsWith(' (did')) throw invalidArgument(`unknown key "${key}"${hint}`)
  }
  if ((steps === undefined) === (solutions === undefined))
    throw invalidArgument('exactly one of "steps" and "solutions" is needed')
  const line: ScoreLine = { id, question }
  if (typeof image === 'string') line.image = /^data:/i.test(image) || isAbsolute(image) ? image : resolve(folder, image)
  if (steps !== undefined) {
    if (!isSteps(steps)) throw invalidArgument('"steps" must be a list of strings')
    line.steps = steps
  } else {
    if (!Array.isArray(solutions) || !solutions.every(isSteps))
      throw invalidArgument('"solutions" must be a list of lists of strings')
    line.solutions = solutions
  }
  return line
}

/** One output line; never rejects for reasons that lie in the input line. */
async function scoreLine(engine: Engine, input: JsonLine, folder: string): Promise<{ text: string; bad: boolean }> {
  const id = lineId(input)
  try {
    if (!input.value) throw invalidArgument(input.problem ?? 'unreadable')
    const { steps, solutions, ...common } = readScoreLine(input.value, folder)
    const scores = steps
      ? await engine.scoreSteps({ question: common.question, ...(common.image && { image: common.image }), steps })
      : await engine.scoreSteps({
          question: common.question,
          ...(common.image && { image: common.image }),
          solutions: solutions ?? [],
        })
    return { text: JSON.stringify({ id, scores }), bad: false }
  } catch (error) {
    return { text: JSON.stringify(badLine(input, error)), bad: true }
  }
}

async function openModel(argv: ReturnType<typeof readScoreOptions>): Promise<Engine> {
  const progress = new Progress('opening')
  const engine = await Engine.open({
    ...argv.engine,
    onProgress: ({ doneBytes, totalBytes }) => progress.update(`${(doneBytes / 1e6).toFixed(0)} MB`, doneBytes / totalBytes),
  })
  progress.finish(`${engine.info().architecture}, ${engine.info().scoring}`)
  return engine
}

function readScoreOptions(argv: readonly string[]) {
  const { values } = readOptions(argv, OPTIONS)
  const threads = positiveInteger(values.threads, 'threads')
  const maxTiles = positiveInteger(values['max-tiles'], 'max-tiles')
  const weights = oneOf(values.dtype, 'dtype', ['f32', 'bf16'])
  const isa = oneOf(values.isa, 'isa', ['reference', 'avx2', 'avx512', 'avx512bf16'])
  return {
    input: required(values.input, 'input'),
    output: values.output,
    engine: {
      model: required(values.model, 'model'),
      ...(values.scoring !== undefined && { scoring: values.scoring }),
      ...(weights && { weights }),
      ...(threads && { threads }),
      ...(maxTiles && { maxTiles }),
      ...(isa && { isa }),
    },
  }
}

async function openOutput(path: string | undefined): Promise<Writable> {
  if (path === undefined) return process.stdout
  const out = createWriteStream(path)
  await once(out, 'open').catch((error: Error) => {
    throw invalidArgument(`--output ${path}: ${error.message}`, error)
  })
  return out
}

async function run(argv: readonly string[]): Promise<number> {
  const options = readScoreOptions(argv)
  const totalBytes = await inputBytes(options.input)
  const out = await openOutput(options.output)
  await using engine = await openModel(options)
  const progress = new Progress('scoring')
  const folder = options.input === '-' ? process.cwd() : dirname(resolve(options.input))
  const counts = { done: 0, bad: 0 }
  const waiting: { result: Promise<{ text: string; bad: boolean }>; bytesRead: number }[] = []

  const writeFirst = async () => {
    const first = waiting.shift()
    if (!first) return
    const { text, bad } = await first.result
    await writeLine(out, text)
    counts.done++
    if (bad) counts.bad++
    progress.update(`${counts.done} lines`, totalBytes && first.bytesRead / totalBytes)
  }
  for await (const line of readJsonLines(options.input)) {
    const result = scoreLine(engine, line, folder)
    result.catch(() => {}) // reported when its turn comes
    waiting.push({ result, bytesRead: line.bytesRead })
    if (waiting.length >= IN_FLIGHT) await writeFirst()
  }
  while (waiting.length > 0) await writeFirst()
  if (options.output !== undefined) {
    out.end()
    await once(out, 'finish')
  }
  progress.finish(`${counts.done} lines${counts.bad > 0 ? `, ${counts.bad} bad` : ''}`)
  return counts.bad > 0 ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }
