/** What a row says and shows, as one hash: its files may move, and nothing in them may change unseen. */
import { createHash, type Hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ProblemImage } from '../contracts/problem.ts'
import type { Fields } from '../rows/index.ts'

/** Bytes enter as themselves, everything else as JSON has it. */
function enter(hash: Hash, value: unknown): void {
  if (value instanceof Uint8Array) hash.update(`b${value.length}:`).update(value)
  else if (Array.isArray(value)) {
    hash.update(`l${value.length}:`)
    for (const one of value) enter(hash, one)
  } else if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    for (const [key, inner] of Object.entries(value)) {
      hash.update(`k${key}:`)
      enter(hash, inner)
    }
  } else hash.update(`v${JSON.stringify(value) ?? 'null'};`)
}

/** What a file holds now; one that cannot be read is like no picture. */
const contentOf = (path: string): Promise<Uint8Array | null> => readFile(path).catch(() => null)

/** @param images of the row: those that are paths enter by what their files hold */
export async function hashRow(fields: Fields, images: readonly ProblemImage[]): Promise<string> {
  const hash = createHash('sha256')
  enter(hash, fields)
  for (const image of images) if (typeof image === 'string' && !image.startsWith('data:')) enter(hash, await contentOf(image))
  return hash.digest('hex')
}
