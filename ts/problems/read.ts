/**
 * Problems from files: JSON (the reference's seed form: a list of {id, question, correct_answer, image_path}),
 * JSON lines, CSV and Parquet (embedded images too). Rows are checked one by one; a bad one is reported with its
 * place and field, and the others go on.
 */
import { dirname, isAbsolute, resolve } from 'node:path'
import type { Problem, ProblemImage } from '../contracts/problem.ts'
import { pictureInText } from '../images/index.ts'
import { type Fields, IMAGE_COLUMNS, readRows } from '../rows/index.ts'

/** One row: a problem, or why it is none. `row` counts from 1 as its format does (line, record, element). */
export type ProblemRow =
  /** `note`: what was set right in it. */
  { row: number; problem: Problem; note?: string } | { row: number; id: string | null; error: string }

const NAMES = {
  id: ['id', 'problem_id', 'qid', 'pid', 'ID', 'sample_index', 'unique_id', 'question_id'],
  question: ['question', 'problem', 'query'],
  answer: ['answer', 'correct_answer', 'solution_answer', 'gold', 'ground_truth', 'final_answer'],
  image: IMAGE_COLUMNS,
} as const
const KNOWN = new Set<string>(Object.values(NAMES).flat())

function pick(fields: Fields, key: keyof typeof NAMES): unknown {
  for (const name of NAMES[key]) if (fields[name] !== undefined && fields[name] !== null) return fields[name]
  return undefined
}

const asText = (value: unknown) => (typeof value === 'string' ? value : Number.isFinite(value) ? String(value) : undefined)

/** Columns of several pictures, in the order of their numbers. */
const NUMBERED_IMAGES = Array.from({ length: 9 }, (_, i) => [`image_${i + 1}`, `image${i + 1}`]).flat()
const GSM8K_MARK = '####'

/** A path (relative to the file), a data URI, bytes, or {bytes, path} as data sets embed them: bytes win. */
function asImage(value: unknown, folder: string): ProblemImage | undefined | { error: string } {
  if (value === '' || value === undefined || value === null) return undefined
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string')
    return pictureInText(value) ?? (/^data:/i.test(value) || isAbsolute(value) ? value : resolve(folder, value))
  if (typeof value === 'object') {
    const { bytes, path } = value as { bytes?: unknown; path?: unknown }
    if (bytes !== undefined && bytes !== null) return asImage(bytes, folder)
    if (typeof path === 'string') return asImage(path, folder)
  }
  return { error: 'must be a path, a data URI or embedded bytes' }
}

const isError = (value: unknown): value is { error: string } => typeof value === 'object' && value !== null && 'error' in value

/** All pictures of a row: those of the numbered columns, or of the first other one that has any; embedded before a path. */
function asImages(fields: Fields, folder: string): ProblemImage[] | { error: string } {
  const present = NAMES.image.map((name) => fields[name]).filter((value) => value !== undefined && value !== null && value !== '')
  const embedded = present.find((value) => isEmbedded(value))
  const numbered = NUMBERED_IMAGES.map((name) => fields[name])
  const one = embedded ?? present[0]
  const values = one === undefined ? numbered : Array.isArray(one) ? one : [one]
  const images: ProblemImage[] = []
  for (const value of values) {
    const image = asImage(value, folder)
    if (isError(image)) return image
    if (image !== undefined) images.push(image)
  }
  return images
}

function isEmbedded(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isEmbedded)
  if (typeof value === 'string') return pictureInText(value) !== undefined
  if (value instanceof Uint8Array) return true
  return typeof value === 'object' && value !== null && Boolean((value as { bytes?: unknown }).bytes)
}

/** Options as a list, or by letters from A on; undefined where the column holds something else. */
function asChoices(value: unknown): string[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const names = Object.keys(value).sort()
  const isLettered = !Array.isArray(value)
  if (isLettered && !names.every((name, i) => name === String.fromCharCode(65 + i))) return undefined
  const choices = isLettered ? names.map((name) => (value as Record<string, unknown>)[name]) : (value as unknown[])
  const texts = choices.map(asText)
  return texts.length > 0 && texts.every((text) => text !== undefined) ? (texts as string[]) : undefined
}

/** Reference answers; of a worked solution what stands behind its mark. */
function asAnswers(value: unknown): string[] | undefined {
  const texts = (Array.isArray(value) ? value : [value]).map(asText)
  if (texts.length === 0 || texts.some((text) => text === undefined || text.trim() === '')) return undefined
  return (texts as string[]).map((text) => (text.includes(GSM8K_MARK) ? (text.split(GSM8K_MARK).at(-1) as string).trim() : text))
}

const asNumber = (value: unknown) => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

/** What else a row says of its answer. */
function answerFields(fields: Fields): Partial<Problem> {
  const [unit, answerType] = [asText(fields['unit']), asText(fields['answer_type'] ?? fields['answerType'])]
  const [precision, tolerance] = [asNumber(fields['precision']), asNumber(fields['tolerance'] ?? fields['error'])]
  const choices = asChoices(fields['choices']) ?? asChoices(fields['options'])
  return {
    ...(unit && { unit }),
    ...(answerType && { answerType }),
    ...(precision !== undefined && { precision }),
    ...(tolerance !== undefined && { tolerance }),
    ...(choices && { choices }),
  }
}

/** A row's question and pictures, whatever else it holds: rows of training sets have no answer, or no id. */
export function readQuestion(fields: Fields, folder: string): { question: string; images: ProblemImage[] } | { error: string } {
  const question = asText(pick(fields, 'question'))
  if (question === undefined || question.trim() === '') return { error: '"question" is missing, empty or not a string' }
  const images = asImages(fields, folder)
  return isError(images) ? { error: `"image": ${images.error}` } : { question, images }
}

/** @param row the id, where the file has no column of ids */
function toProblem(fields: Fields, folder: string, maxPictures: number, row?: number): Problem | { error: string } {
  const id = asText(pick(fields, 'id') ?? row)
  if (id === undefined || id === '') return { error: '"id" is missing or not a string' }
  const asked = readQuestion(fields, folder)
  if ('error' in asked) return asked
  const { question, images } = asked
  const answers = asAnswers(pick(fields, 'answer'))
  if (!answers) return { error: '"answer" (or "correct_answer") is missing, empty or not a string' }
  if (images.length > maxPictures) return { error: `"image": ${images.length} pictures; ${maxPictures} can be taken` }
  const meta = Object.fromEntries(Object.entries(fields).filter(([key]) => !KNOWN.has(key)))
  const [image] = images
  const [answer = '', ...more] = answers
  return {
    ...{ id, question, answer },
    ...(more.length > 0 && { answers: more }),
    ...(images.length > 1 ? { images } : image !== undefined && { image }),
    ...answerFields(fields),
    ...(Object.keys(meta).length > 0 && { meta }),
  }
}

/**
 * Rows of a problem file, in order; the format follows the file's ending. An id that appeared before is an error
 * of its second row; where the first row has no column of ids, the rows' numbers are theirs.
 * @param maxPictures a row with more is an error; a search takes one
 * @throws EngineError INVALID_ARGUMENT where the file as a whole cannot be read
 */
export async function* readProblems(path: string, maxPictures = 1): AsyncGenerator<ProblemRow> {
  const folder = dirname(resolve(path))
  const rowOf = new Map<string, number>()
  let hasIds: boolean | undefined
  for await (const { row, fields, error, note } of readRows(path)) {
    if (!fields) {
      yield { row, id: null, error: error ?? 'unreadable' }
      continue
    }
    hasIds ??= NAMES.id.some((name) => name in fields)
    const problem = toProblem(fields, folder, maxPictures, hasIds ? undefined : row)
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
