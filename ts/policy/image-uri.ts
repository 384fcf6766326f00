/** A problem's image as a data URI. */
import { readFile } from 'node:fs/promises'
import { invalidArgument } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'

const MAGIC: readonly [string, readonly number[], number][] = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47], 0],
  ['image/jpeg', [0xff, 0xd8, 0xff], 0],
  ['image/gif', [0x47, 0x49, 0x46, 0x38], 0],
  ['image/webp', [0x57, 0x45, 0x42, 0x50], 8],
]

/** @returns undefined without an image. @throws EngineError INVALID_ARGUMENT naming the problem */
export async function imageUri({ id, image }: { id: string; image?: Problem['image'] | undefined }): Promise<string | undefined> {
  if (image === undefined) return undefined
  if (typeof image === 'string' && /^data:/i.test(image)) return image
  const bytes = typeof image === 'string' ? await read(id, image) : image
  const type = MAGIC.find(([, magic, at]) => magic.every((byte, i) => bytes[at + i] === byte))?.[0]
  if (!type) throw invalidArgument(`problem "${id}": the image is not a PNG, JPEG, GIF or WebP file`)
  return `data:${type};base64,${Buffer.from(bytes).toString('base64')}`
}

function read(id: string, path: string): Promise<Uint8Array> {
  return readFile(path).catch((error: Error) => {
    throw invalidArgument(`problem "${id}": image ${path}: ${error.message}`, error)
  })
}
