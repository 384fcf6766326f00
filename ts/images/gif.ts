/**
 * The first frame of a GIF as a picture without transparency. Decoders clear transparent pixels; the reference
 * keeps their palette colour and fills what the frame leaves free with the transparent (else the first) colour.
 * So the frame is cut out into a GIF of its own, with its palette and nothing else (GIF89a, sections 17-23).
 */

const HEADER_BYTES = 13 // signature and logical screen
const DESCRIPTOR_BYTES = 10
const [EXTENSION, FRAME, TRAILER, GRAPHIC_CONTROL] = [0x21, 0x2c, 0x3b, 0xf9]
const COLOURS = 256

export interface GifFrame {
  /** A GIF of the frame alone, all of it opaque. */
  gif: Buffer
  /** The whole picture in pixels. */
  width: number
  height: number
  /** Free pixels around the frame, and the colour they take. */
  margins: { left: number; top: number; right: number; bottom: number }
  background: { r: number; g: number; b: number }
}

const hasTable = (flags: number) => (flags & 0x80) !== 0
const tableBytes = (flags: number) => (hasTable(flags) ? 3 * 2 ** ((flags & 7) + 1) : 0)

/** 256 colours: the given ones and black behind them; the grey ramp where none are given. */
function fullPalette(table: Buffer): Buffer {
  if (table.length === 0) return Buffer.from(Array.from({ length: COLOURS }, (_, i) => [i, i, i]).flat())
  return Buffer.concat([table], 3 * COLOURS)
}

/** Where the sub-blocks that begin at `at` end, their terminator included. */
function endOfBlocks(bytes: Buffer, at: number): number {
  for (;;) {
    const size = bytes.readUInt8(at)
    at += 1 + size
    if (size === 0) return at
  }
}

/** @throws Error (what is missing) for a file without a whole frame */
export function firstFrame(bytes: Buffer): GifFrame {
  try {
    return cutFrame(bytes)
  } catch (error) {
    if (error instanceof RangeError) throw new Error('the file ends before its first frame does', { cause: error })
    throw error
  }
}

function cutFrame(bytes: Buffer): GifFrame {
  const screenFlags = bytes.readUInt8(10)
  let at = HEADER_BYTES + tableBytes(screenFlags)
  let transparent = 0
  for (; bytes.readUInt8(at) !== FRAME; at = endOfBlocks(bytes, at + 2)) {
    if (bytes[at] === TRAILER) throw new Error('there is no frame in it')
    if (bytes[at] !== EXTENSION) throw new Error(`byte ${at} begins no block that GIF knows`)
    if (bytes.readUInt8(at + 1) === GRAPHIC_CONTROL) transparent = bytes.readUInt8(at + 3) & 1 ? bytes.readUInt8(at + 6) : 0
  }
  const [left, top] = [bytes.readUInt16LE(at + 1), bytes.readUInt16LE(at + 3)]
  const [width, height] = [bytes.readUInt16LE(at + 5), bytes.readUInt16LE(at + 7)]
  const flags = bytes.readUInt8(at + 9)
  const tableAt = at + DESCRIPTOR_BYTES
  const dataAt = tableAt + tableBytes(flags)
  const data = bytes.subarray(dataAt, endOfBlocks(bytes, dataAt + 1))
  const screenTable = bytes.subarray(HEADER_BYTES, HEADER_BYTES + tableBytes(screenFlags))
  const palette = fullPalette(hasTable(flags) ? bytes.subarray(tableAt, dataAt) : screenTable)

  const screen = Buffer.from('GIF89a\0\0\0\0\0\0\0', 'latin1')
  screen.writeUInt16LE(width, 6)
  screen.writeUInt16LE(height, 8)
  const descriptor = Buffer.from([FRAME, 0, 0, 0, 0, ...screen.subarray(6, 10), 0x87 | (flags & 0x40)])
  const whole = { width: Math.max(bytes.readUInt16LE(6), left + width), height: Math.max(bytes.readUInt16LE(8), top + height) }
  const [r = 0, g = 0, b = 0] = palette.subarray(3 * transparent)
  return {
    gif: Buffer.concat([screen, descriptor, palette, data, Buffer.of(TRAILER)]),
    ...whole,
    margins: { left, top, right: whole.width - left - width, bottom: whole.height - top - height },
    background: { r, g, b },
  }
}
