/**
 * Problems from files: JSON (the reference's seed form: a list of {id, question, correct_answer, image_path}),
 * JSON lines, CSV and Parquet (embedded images too). Rows are checked one by one; a bad one is reported with its
 * place and field, and the others go on.
 */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, extname, isAbsolute, resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { inputBytes, readJsonLines } from '../contracts/json-lines.ts'
import type { Problem } from '../contracts/problem.ts'

/** One row: a problem, or why it is none. `row` counts from 1 as its format does (line, record, element). */
export type ProblemRow = { row: number; problem: Problem } | { row: number; id: string | null; error: string }

type Fields = Record<string, unknown>
type RawRow = { row: number; fields?: Fields; error?: string }

const NAMES = {
  id: ['id', 'problem_id', 'qid'],
  question: ['question', 'problem', 'query'],
  answer: ['answer', 'correct_answer', 'solution_answer', 'gold'],
  image: ['image', 'image_path', 'images', 'decoded_image'],
} as const
const KNOWN = new Set<string>(Object.values(NAMES).flat())

function pick(fields: Fields, key: keyof typeof NAMES): unknown {
  for (const name of NAMES[key]) if (fields[name] !== undefined && fields[name] !== null) return fields[name]
  return undefined
}

const asText = (value: unknown) =>
  typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined

/** A path (relative to the file), a data URI, bytes, or {bytes, path} as data sets embed them. */
function asImage(value: unknown, folder: string): Problem['image'] | { error: string } {
  if (Array.isArray(value)) {
    if (value.length > 1) return { error: 'more than one image' }
    return value.length === 0 ? undefined : asImage(value[0], folder)
  }
  if (value === '' || value === undefined) return undefined
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string') return /^data:/i.test(value) || isAbsolute(value) ? value : resolve(folder, value)
  if (typeof value === 'object' && value !== null) {
    const { bytes, path } = value as { bytes?: unknown; path?: unknown }
    if (bytes !== undefined && bytes !== null) return asImage(bytes, folder)
    if (typeof path === 'string') return asImage(path, folder)
  }
  return { error: 'must be a path, a data URI or embedded bytes' }
}

function toProblem(fields: Fields, folder: string): Problem | { error: string } {
  const id = asText(pick(fields, 'id'))
  if (id === undefined || id === '') return { error: '"id" is missing or not a string' }
  const question = asText(pick(fields, 'question'))
  if (question === undefined || question.trim() === '') return { error: '"question" is missing, empty or not a string' }
  const answer = asText(pick(fields, 'answer'))
  if (answer === undefined || answer.trim() === '')
    return { error: '"answer" (or "correct_answer") is missing, empty or not a string' }
  const image = asImage(pick(fields, 'image'), folder)
  if (typeof image === 'object' && 'error' in image) return { error: `"image": ${image.error}` }
  const meta = Object.fromEntries(Object.entries(fields).filter(([key]) => !KNOWN.has(key)))
  return { id, question, answer, ...(image !== undefined && { image }), ...(Object.keys(meta).length > 0 && { meta }) }
}

async function* jsonRows(path: string): AsyncGenerator<RawRow> {
  let list: unknown
  try {
    list = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw invalidArgument(`${path}: ${(error as Error).message}`, error)
  }
  if (!Array.isArray(list)) throw invalidArgument(`${path}: a list of problems is expected`)
  for (const [i, value] of list.entries()) yield asRow(i + 1, value)
}

function asRow(row: number, value: unknown): RawRow {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? { row, fields: value as Fields } : { row, error: 'an object is expected' }
}

async function* jsonlRows(path: string): AsyncGenerator<RawRow> {
  for await (const { line, value, problem } of readJsonLines(path)) {
    yield value ? { row: line, fields: value } : { row: line, error: problem ?? 'cannot be read' }
  }
}

async function* csvRows(path: string): AsyncGenerator<RawRow> {
  const { parse } = await import('csv-parse')
  const parser = createReadStream(path).pipe(parse({ columns: true, bom: true, info: true, skip_empty_lines: true }))
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: Fields; info: { lines: number } }>)
      yield { row: info.lines, fields: record }
  } catch (error) {
    throw invalidArgument(`${path}: ${(error as Error).message}`, error)
  }
}

const PARQUET_ROWS = 256

async function* parquetRows(path: string): AsyncGenerator<RawRow> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet')
  try {
    const file = await asyncBufferFromFile(path)
    const metadata = await parquetMetadataAsync(file)
    const total = Number(metadata.num_rows)
    for (let first = 0; first < total; first += PARQUET_ROWS) {
      // WHY utf8 off: embedded images are byte arrays, and would be garbled as text.
      const options = { file, metadata, rowStart: first, rowEnd: Math.min(total, first + PARQUET_ROWS), utf8: false }
      for (const [i, record] of (await parquetReadObjects(options)).entries())
        yield { row: first + i + 1, fields: decodeTexts(record) }
    }
  } catch (error) {
    throw invalidArgument(`${path}: ${(error as Error).message}`, error)
  }
}

/** Byte arrays that are not images, but texts without a type. */
function decodeTexts(record: Fields): Fields {
  const isImage = new Set<string>(NAMES.image)
  return Object.fromEntries(
    Object.entries(record).map(([key, v]) => [
      key,
      v instanceof Uint8Array && !isImage.has(key) ? Buffer.from(v).toString('utf8') : v,
    ]),
  )
}

const READERS: Record<string, (path: string) => AsyncGenerator<RawRow>> = {
  '.json': jsonRows,
  '.jsonl': jsonlRows,
  '.csv': csvRows,
  '.parquet': parquetRows,
}

/**
 * Rows of a problem file, in order; the format follows the file's ending. An id that appeared before is an error
 * of its second row.
 * @throws EngineError INVALID_ARGUMENT where the file as a whole cannot be read
 */
export async function* readProblems(path: string): AsyncGenerator<ProblemRow> {
  const reader = READERS[extname(path).toLowerCase()]
  if (!reader) throw invalidArgument(`${path}: problem files end in ${Object.keys(READERS).join(', ')}`)
  await inputBytes(path)
  const folder = dirname(resolve(path))
  const rowOf = new Map<string, number>()
  for await (const { row, fields, error } of reader(path)) {
    if (!fields) {
      yield { row, id: null, error: error ?? 'unreadable' }
      continue
    }
    const problem = toProblem(fields, folder)
    if ('error' in problem) {
      yield { row, id: asText(pick(fields, 'id')) ?? null, error: problem.error }
      continue
    }
    const before = rowOf.get(problem.id)
    if (before !== undefined) yield { row, id: problem.id, error: `"id" ${problem.id} was used in row ${before} already` }
    else yield { row, problem }
    if (before === undefined) rowOf.set(problem.id, row)
  }
}
