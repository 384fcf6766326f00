/** How the pieces of a `tokenizer.json` stand for bytes, as its decoder says. */
import { byteOf } from './sentencepiece-model.ts'

/** GPT-2's printable stand-ins -> bytes. */
function byteLevelTable(): Map<string, number> {
  const isPrintable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255)
  const table = new Map<string, number>()
  let next = 256
  for (let b = 0; b < 256; b++) table.set(String.fromCodePoint(isPrintable(b) ? b : next++), b)
  return table
}

export interface PieceDecoder {
  toBytes(piece: string): Uint8Array
  /** The first word of a text carries a space that is none of its own. */
  stripsFirstSpace: boolean
}

export function pieceDecoder(decoder: unknown): PieceDecoder {
  const written = JSON.stringify(decoder ?? null)
  const mentions = (type: string) => written.includes(`"type":"${type}"`)
  const stripsFirstSpace = mentions('Strip') || (mentions('Metaspace') && !written.includes('"prepend_scheme":"never"'))
  if (mentions('ByteLevel')) {
    const table = byteLevelTable()
    const toBytes = (piece: string) => {
      const bytes = [...piece].map((c) => table.get(c))
      return bytes.every((b) => b !== undefined) ? Uint8Array.from(bytes as number[]) : new TextEncoder().encode(piece)
    }
    return { toBytes, stripsFirstSpace }
  }
  const hasByteFallback = mentions('ByteFallback')
  const toBytes = (piece: string) => {
    const byte = hasByteFallback ? byteOf(piece) : undefined
    return byte === undefined ? new TextEncoder().encode(piece.replaceAll('▁', ' ')) : Uint8Array.of(byte)
  }
  return { toBytes, stripsFirstSpace }
}
