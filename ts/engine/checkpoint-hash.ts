/** A name for the contents of a checkpoint folder, for records of what was made with it. */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { EngineError, invalidModel } from '../contracts/errors.ts'
import { type FolderFile, modelFiles, unreadable } from './folder-files.ts'

/** Files up to this size are read whole, in blocks. */
const WHOLE_BYTES = 64 * 2 ** 20
const STRIDE_BYTES = 4 * 2 ** 20
/** Of larger files this much is read of every stride, and at the end. */
const SAMPLE_BYTES = 16 * 2 ** 10

/** What is read of a file of `size` bytes. */
function* blocks(size: number): Generator<{ at: number; length: number }> {
  const most = size <= WHOLE_BYTES ? STRIDE_BYTES : SAMPLE_BYTES
  for (let at = 0; at < size; at += STRIDE_BYTES) yield { at, length: Math.min(most, size - at) }
  if (size > WHOLE_BYTES) yield { at: size - SAMPLE_BYTES, length: SAMPLE_BYTES }
}

function addBytes(hash: Hash, { path, size }: FolderFile): void {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const buffer = Buffer.alloc(Math.min(size, STRIDE_BYTES))
    for (const { at, length } of blocks(size)) {
      for (let read = 0; read < length; ) {
        const got = readSync(file, buffer, read, length - read, at + read)
        if (got === 0) throw invalidModel(`${path}: became shorter while it was read`)
        read += got
      }
      hash.update(buffer.subarray(0, length))
    }
  } finally {
    closeSync(file)
  }
}

/**
 * 16 hexadecimal digits that name a checkpoint by its files: names, sizes and bytes. Links are followed, so a snapshot
 * in a hub's cache has the name of the same files in a plain folder.
 * WHY not all bytes of a large file: that takes minutes, and what a training changes is larger than the gaps.
 * @throws EngineError INVALID_MODEL: no such folder, nothing of a model in it, a broken link, or what is no file
 */
export function checkpointHash(folder: string): string {
  const hash = createHash('sha256')
  let bytes = 0
  for (const file of modelFiles(folder)) {
    hash.update(`${file.name} ${file.size}\n`)
    try {
      addBytes(hash, file)
    } catch (error) {
      throw error instanceof EngineError ? error : unreadable(file.path, error as NodeJS.ErrnoException)
    }
    bytes += file.size
  }
  if (bytes === 0) {
    throw invalidModel(`${folder}: holds nothing of a model (config.json, *.safetensors), so it cannot be told from another`)
  }
  return hash.digest('hex').slice(0, 16)
}
