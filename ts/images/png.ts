/**
 * Checksums of PNG chunks (PNG specification, 5.3 and 5.4) as Pillow looks at them: of what stands before the pixels,
 * and no others. Whether the pixels are whole, the checksum of their compressed stream tells.
 */
import { crc32 } from 'node:zlib'

const SIGNATURE_BYTES = 8
/** Length and type before a chunk's data, the checksum behind it. */
const [BEFORE, BEHIND] = [8, 4]

interface Chunk {
  type: string
  /** Where the checksum stands, and what it should be. */
  at: number
  checksum: number
}

function* chunks(bytes: Buffer): Generator<Chunk> {
  for (let from = SIGNATURE_BYTES; from + BEFORE + BEHIND <= bytes.length; ) {
    const at = from + BEFORE + bytes.readUInt32BE(from)
    if (at + BEHIND > bytes.length) return
    const type = bytes.toString('latin1', from + 4, from + BEFORE)
    yield { type, at, checksum: crc32(bytes.subarray(from + 4, at)) }
    from = at + BEHIND
  }
}

/** @throws Error naming a chunk before the pixels whose checksum is wrong */
export function checkHeaderChecksums(bytes: Buffer): void {
  for (const { type, at, checksum } of chunks(bytes)) {
    if (type === 'IDAT') return
    if (bytes.readUInt32BE(at) !== checksum) throw new Error(`the checksum of chunk ${type} is wrong`)
  }
}

/** The same PNG with right checksums of its pixels and of all behind them; undefined where they are right already. */
export function withRightChecksums(bytes: Buffer): Buffer | undefined {
  let repaired: Buffer | undefined
  for (const { at, checksum } of chunks(bytes)) {
    if (bytes.readUInt32BE(at) === checksum) continue
    repaired ??= Buffer.from(bytes)
    repaired.writeUInt32BE(checksum, at)
  }
  return repaired
}
