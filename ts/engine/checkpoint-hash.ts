/** A name for the contents of a checkpoint folder, for records of what was made with it. */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'

const SAMPLED_BYTES = 2 ** 20

/**
 * 16 hexadecimal digits that name a checkpoint by its files: their sizes, and their bytes up to a mebibyte from either end.
 * WHY not all bytes: a large checkpoint takes minutes to read, and training changes every part of it.
 */
export function checkpointHash(folder: string): string {
  const hash = createHash('sha256')
  const names = readdirSync(folder, { withFileTypes: true }).filter(
    (entry) => entry.isFile() && /\.(json|safetensors|model)$/.test(entry.name),
  )
  for (const { name } of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = openSync(join(folder, name), 'r')
    try {
      const { size } = fstatSync(file)
      const length = Math.min(SAMPLED_BYTES, size)
      const bytes = Buffer.alloc(length)
      hash.update(`${name} ${size}\n`)
      for (const at of [0, size - length]) {
        readSync(file, bytes, 0, length, at)
        hash.update(bytes)
      }
    } finally {
      closeSync(file)
    }
  }
  return hash.digest('hex').slice(0, 16)
}
