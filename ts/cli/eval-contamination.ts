/** Which problems of a set also stand in what a model was trained on: the same text, or the same picture. */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import { type ProblemImage, picturesOf, withoutMarks } from '../contracts/problem.ts'
import type { RunReader } from '../contracts/run-store.ts'
import { HIDDEN, withoutUserinfo } from '../contracts/secrets.ts'
import type { AnswerSet, AnswerTaskResults } from '../eval/index.ts'
import { hashPixels } from '../images/index.ts'
import { normalizeQuestion, readQuestion } from '../problems/index.ts'
import { readRows } from '../rows/index.ts'
import { isDatabase, openRun } from '../store/reader.ts'
import { readBody } from '../train/rows.ts'

const MAX_NAMED = 100
/** A shorter question says too little without its picture: "Find x." */
const MIN_WORDS = 6
const RUN_FILE = 'run.db'

/** A question as its file has it, with its pictures; undefined where the row has none. */
type Asked = { readonly question: string; readonly images: readonly ProblemImage[] } | undefined

/** What a model was trained on, as hashes. */
export interface Trained {
  /** As it was named, but for a password. */
  readonly against: string
  readonly texts: ReadonlySet<string>
  readonly pictures: ReadonlySet<string>
  /** Rows without a question, and pictures that cannot be read. */
  readonly unread: number
}

function textKey(question: string): string | undefined {
  const text = normalizeQuestion(withoutMarks(question))
  return text.split(' ').length >= MIN_WORDS ? createHash('sha256').update(text).digest('hex') : undefined
}

/** By pixels, whatever the file; undefined for a picture that cannot be read, which is like no other. */
async function pictureKey(image: ProblemImage, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await hashPixels(image, { signal })
  } catch (error) {
    if (error instanceof EngineError && error.code === 'ERR_ENGINE_INVALID_ARGUMENT') return undefined
    throw error
  }
}

/** Of problems, and of training sets in every form that `mm-prm train` reads. */
async function* askedInFile(path: string): AsyncGenerator<Asked> {
  const folder = dirname(resolve(path))
  for await (const { fields } of readRows(path)) {
    const asked = fields && readQuestion(fields, folder)
    if (asked && !('error' in asked)) yield asked
    else yield fields && askedInTraining(fields, folder)
  }
}

function askedInTraining(fields: Readonly<Record<string, unknown>>, folder: string): Asked {
  try {
    const { question, image } = readBody(fields)
    const asked = readQuestion({ question, image }, folder)
    return 'error' in asked ? undefined : asked
  } catch {
    return undefined // counted
  }
}

async function* askedInRun(uri: string): AsyncGenerator<Asked> {
  const reader: RunReader = await openRun(uri)
  try {
    for await (const { problem } of reader.candidates()) yield { question: problem.question, images: picturesOf(problem) }
  } finally {
    await reader.close()
  }
}

function askedIn(path: string): AsyncGenerator<Asked> {
  if (isDatabase(path) && path.includes(HIDDEN))
    throw invalidArgument(`--contamination ${path}: passwords are not kept: name the run again, with its own`)
  if (isDatabase(path)) return askedInRun(path)
  if (basename(path) === RUN_FILE) return askedInRun(dirname(path))
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? askedInRun(path) : askedInFile(path)
}

/** @throws EngineError INVALID_ARGUMENT: a file that cannot be read, or holds no question; STORE: no run */
export async function readTrained(against: string, signal: AbortSignal): Promise<Trained> {
  const [texts, pictures, seen] = [new Set<string>(), new Set<string>(), new Set<ProblemImage>()]
  let [asked, unread] = [0, 0]
  for await (const one of askedIn(against)) {
    if (one) asked++
    else unread++
    const text = one && textKey(one.question)
    if (text !== undefined) texts.add(text)
    for (const image of one?.images ?? []) {
      if (seen.has(image)) continue // a training set has many rows for one problem
      if (typeof image === 'string') seen.add(image)
      const key = await pictureKey(image, signal)
      if (key === undefined) unread++
      else pictures.add(key)
    }
  }
  if (asked === 0) throw invalidArgument(`--contamination ${against}: no row there has a question`)
  return { against: withoutUserinfo(against), texts, pictures, unread }
}

export async function contaminationOf(
  { items }: AnswerSet,
  { against, texts, pictures, unread }: Trained,
  signal: AbortSignal,
): Promise<NonNullable<AnswerTaskResults['contamination']>> {
  const found: { id: string; byText: boolean; byPicture: boolean }[] = []
  for (const { problem } of items) {
    const text = textKey(problem.question)
    const byText = text !== undefined && texts.has(text)
    const keys = pictures.size > 0 ? await Promise.all(picturesOf(problem).map((image) => pictureKey(image, signal))) : []
    const byPicture = keys.some((key) => key !== undefined && pictures.has(key))
    if (byText || byPicture) found.push({ id: problem.id, byText, byPicture })
  }
  return {
    ...{ against, unread, problems: found.length },
    byText: found.filter((one) => one.byText).length,
    byPicture: found.filter((one) => one.byPicture).length,
    ids: found.slice(0, MAX_NAMED).map(({ id }) => id),
  }
}
