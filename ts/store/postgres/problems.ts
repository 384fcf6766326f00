/** Problems of a database: for a worker whole, with the bytes of their pictures; for a reader as every store tells them. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'
import { storeError } from '../../contracts/errors.ts'
import { type Problem, type ProblemImage, picturesOf } from '../../contracts/problem.ts'
import type { Row } from '../driver.ts'
import { canonicalJson } from '../identity.ts'
import { checkImage, imageColumns, imageFrom, type Reference, toProblem } from '../rows.ts'
import type { Sql } from './connection.ts'

/** What is known of a picture that is named by its path: its bytes, or where workers read it themselves, their hash. */
export type SubmittedPicture = { readonly bytes: Uint8Array } | { readonly hash: string }

/** A problem as it is submitted, with what its pictures are, in their order, where they are named by paths. */
export interface SubmittedProblem {
  readonly problem: Problem
  readonly pictures?: readonly (SubmittedPicture | undefined)[]
}

/** Where the pictures lie that were submitted without their bytes: there, and on this machine. */
export interface ImageRoots {
  readonly submitted: string | undefined
  readonly here: string | undefined
}

type StoredProblem = Omit<Problem, 'images'> & { images?: readonly Reference[] }

export interface PreparedProblem {
  readonly row: {
    ordinal: number
    id: string
    problem: string
    path: string | null
    hash: string | null
    bytesHash: string | null
  }
  readonly images: readonly (readonly [hash: string, bytes: Uint8Array])[]
}

export const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

/** The columns of a problem, and the pictures to be kept. @throws EngineError STORE for an id that no database keeps */
export function prepareProblem({ problem, pictures = [] }: SubmittedProblem, ordinal: number): PreparedProblem {
  const { id, image, images, ...rest } = problem
  if (id.includes('\0')) throw storeError(`problem ${JSON.stringify(id)}: its id holds a NUL, which a database does not keep`)
  const kept: [string, Uint8Array][] = []
  const references = picturesOf(problem).map((picture, i): Reference & { given: string | null } => {
    const { path, hash, bytes } = imageColumns(picture)
    if (hash && bytes) kept.push([hash, bytes])
    const of = pictures[i]
    const known = of && ('bytes' in of ? sha256(of.bytes) : of.hash)
    if (of && 'bytes' in of && known !== hash) kept.push([known as string, of.bytes])
    return { path, hash: known ?? hash, given: hash }
  })
  const list = images && { images: references.map(({ path, hash }) => ({ path, hash })) }
  const only = image === undefined ? undefined : references[0]
  const columns = { path: only?.path ?? null, hash: only?.given ?? null, bytesHash: only?.hash ?? null }
  return { row: { ordinal, id, problem: JSON.stringify({ ...rest, ...list }), ...columns }, images: kept }
}

/** As `RunReader` tells it. */
export async function readProblem(sql: Sql, row: Row): Promise<Problem> {
  const { question, answer, meta, images, ...rest } = JSON.parse(String(row['problem'])) as StoredProblem
  const given = images?.map(({ path, hash }): Reference => (path === null ? { path, hash } : { path, hash: null }))
  const only = { image_path: row['image_path'] ?? null, image_hash: row['image_hash'] ?? null }
  const kept = new Map<Row[string], Uint8Array | undefined>()
  for (const hash of [only.image_hash, ...(given ?? []).map((reference) => reference.hash)])
    if (hash !== null) kept.set(hash, await storedBytes(sql, hash))
  const told = { ...{ id: row['id'] as string, question, answer }, meta: meta ? JSON.stringify(meta) : null }
  const others = canonicalJson({ ...rest, ...(given && { images: given }) })
  return toProblem({ ...told, ...only, rest: others }, (hash) => kept.get(hash))
}

/** All of it, its pictures as bytes wherever their files may be. @throws EngineError STORE naming a picture that is not there */
export async function readProblemWhole(sql: Sql, row: Row, roots: ImageRoots): Promise<Problem> {
  const { images, ...rest } = JSON.parse(String(row['problem'])) as StoredProblem
  const id = row['id'] as string
  const read = (reference: Reference) => pictureOf(sql, id, reference, roots)
  const only = { path: (row['image_path'] ?? null) as string | null, hash: (row['bytes_hash'] ?? null) as string | null }
  const hasOne = only.path !== null || only.hash !== null
  return {
    ...rest,
    id,
    ...(hasOne && { image: await read(only) }),
    ...(images && { images: await Promise.all(images.map(read)) }),
  }
}

async function storedBytes(sql: Sql, hash: Row[string]): Promise<Uint8Array | undefined> {
  const [row] = await sql.query('SELECT bytes FROM mm_prm.images WHERE hash = $1', [hash])
  return row?.['bytes'] as Uint8Array | undefined
}

async function pictureOf(sql: Sql, id: string, { path, hash }: Reference, roots: ImageRoots): Promise<ProblemImage> {
  if (hash === null) return path as string
  const bytes = await storedBytes(sql, hash)
  const whole = checkImage(hash, bytes ?? (await readUnder(id, path as string, hash, roots)))
  return imageFrom(whole)
}

/** A picture on a disk that machines share, perhaps mounted elsewhere. */
async function readUnder(id: string, path: string, hash: string, { submitted, here }: ImageRoots): Promise<Uint8Array> {
  const below = relative(submitted ?? '', path)
  const file = here === undefined || below.startsWith('..') || isAbsolute(below) ? path : join(here, below)
  const bytes = await readFile(file).catch((error: Error) => {
    throw storeError(
      `problem "${id}": its picture ${file} is not on this machine; --image-root says where ${submitted ?? 'its folder'} lies here (${error.message})`,
      error,
    )
  })
  if (sha256(bytes) === hash) return bytes
  throw storeError(`problem "${id}": its picture ${file} is not the one that was submitted`)
}
