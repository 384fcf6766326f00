/**
 * Problems from files: JSON (the reference's seed form: a list of {id, question, correct_answer, image_path}),
 * JSON lines, CSV and Parquet (embedded images too). Rows are checked one by one; a bad one is reported with its
 * place and field, and the others go on.
 */
import { dirname, isAbsolute, resolve } from 'node:path'
import type { Problem } from '../contracts/problem.ts'
import { type Fields, IMAGE_COLUMNS, readRows } from '../rows/index.ts'

/** One row: a problem, or why it is none. `row` counts from 1 as its format does (line, record, element). */
export type ProblemRow =
  /** `note`: what was set right in it. */
  { row: number; problem: Problem; note?: string } | { row: number; id: string | null; error: string }

const NAMES = {
  id: ['id', 'problem_id', 'qid'],
  question: ['question', 'problem', 'query'],
  answer: ['answer', 'correct_answer', 'solution_answer', 'gold'],
  image: IMAGE_COLUMNS,
} as const
const KNOWN = new Set<string>(Object.values(NAMES).flat())

function pick(fields: Fields, key: keyof typeof NAMES): unknown {
  for (const name of NAMES[key]) if (fields[name] !== undefined && fields[name] !== null) return fields[name]
  return undefined
}

const asText = (value: unknown) => (typeof value === 'string' ? value : Number.isFinite(value) ? String(value) : undefined)

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

/**
 * Rows of a problem file, in order; the format follows the file's ending. An id that appeared before is an error
 * of its second row.
 * @throws EngineError INVALID_ARGUMENT where the file as a whole cannot be read
 */
export async function* readProblems(path: string): AsyncGenerator<ProblemRow> {
  const folder = dirname(resolve(path))
  const rowOf = new Map<string, number>()
  for await (const { row, fields, error, note } of readRows(path)) {
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
    else yield { row, problem, ...(note && { note }) }
    if (before === undefined) rowOf.set(problem.id, row)
  }
}
