/**
 * Encoded pictures to RGB, as Pillow's `convert('RGB')` gives it: alpha and transparent colours are dropped and
 * never composited, colour profiles and gamma are ignored, the first frame counts. The codecs are sharp's; what
 * they see differently from Pillow is set right here (16-bit grey, CMYK, GIF).
 */
import { readFile, stat } from 'node:fs/promises'
import type { Sharp, SharpOptions } from 'sharp'
import { type EngineError, invalidArgument } from '../contracts/errors.ts'
import { firstFrame } from './gif.ts'
import { loadNative } from './native.ts'

/** A picture of more pixels is refused before it is decoded. */
export const DEFAULT_MAX_PIXELS = 100_000_000
// No format stores a pixel in more bytes than 16-bit RGBA does; what is larger is not read into memory.
const MAX_BYTES_PER_PIXEL = 8

export interface DecodeOptions {
  /** What the camera noted about its orientation: the reference ignores it. */
  exifOrientation?: 'ignore' | 'apply' | undefined
  maxPixels?: number | undefined
}

/** Pixels [height, width, 3], rows from top to bottom. */
export interface DecodedImage {
  rgb: Uint8Array
  width: number
  height: number
}

type Format = 'PNG' | 'JPEG' | 'WebP' | 'GIF'
interface Source {
  bytes: Buffer
  /** For messages: the path, or what was given in its place. */
  name: string
}
interface Layout {
  width: number
  height: number
  space: string
}

const SUPPORTED: [Format, RegExp][] = [
  ['PNG', /^\x89PNG\r\n\x1a\n/],
  ['JPEG', /^\xff\xd8\xff/],
  ['WebP', /^RIFF[\s\S]{4}WEBP/],
  ['GIF', /^GIF8[79]a/],
]
const KNOWN: [string, RegExp][] = [
  ['a TIFF picture', /^(II\*\0|MM\0\*)/],
  ['a BMP picture', /^BM/],
  ['an AVIF or HEIC picture', /^[\s\S]{4}ftyp/],
  ['an SVG drawing or other XML', /^\s*</],
  ['a PDF document', /^%PDF/],
]
const SIGNATURE_BYTES = 16

// Complaints of libjpeg that leave the pixels whole; after any other the picture is partly grey or shifted.
const HARMLESS = /^VipsJpeg: (.* extraneous bytes before marker 0xd9|Unknown Adobe color transform.*|.* unknown JFIF revision.*)$/

/**
 * Decodes a PNG, JPEG, WebP or GIF picture.
 * @param image a path, a data URI, or the encoded bytes
 * @throws EngineError INVALID_ARGUMENT naming the file: missing, empty, not a picture, corrupt, truncated, too large
 */
export async function decodeImage(image: string | Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS
  const source = typeof image === 'string' ? await readSource(image, maxPixels) : fromBytes(image)
  const format = formatOf(source)
  try {
    const decode = format === 'GIF' ? decodeGif : decodeStill
    return await decode(source, format, { maxPixels, apply: options.exifOrientation === 'apply' })
  } catch (error) {
    if (error instanceof TooLarge) throw refuse(source.name, error.message)
    throw refuse(source.name, `the ${format} data cannot be decoded: ${reasonOf(error)}; it is corrupt or truncated`, error)
  }
}

class TooLarge extends Error {}

interface Decode {
  maxPixels: number
  apply: boolean
}

async function decodeStill({ bytes }: Source, format: Format, { maxPixels, apply }: Decode): Promise<DecodedImage> {
  // WHY before libpng sees it: that calls a size of nothing, or beyond its own limits, just a corrupt header.
  if (format === 'PNG') checkSize({ width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }, maxPixels)
  const layout = await (await open(bytes)).metadata()
  checkSize(layout, maxPixels)
  try {
    return await toRgb(await open(bytes), bytes, format, layout, apply)
  } catch (error) {
    if (format !== 'JPEG' || !HARMLESS.test(reasonOf(error))) throw error
    return toRgb(await open(bytes, { failOn: 'error' }), bytes, format, layout, apply)
  }
}

async function toRgb(picture: Sharp, bytes: Buffer, format: Format, layout: Layout, apply: boolean): Promise<DecodedImage> {
  const upright = apply ? picture.autoOrient() : picture
  if (layout.space === 'cmyk') {
    const { data, info } = await raw(upright.pipelineColourspace('cmyk').toColourspace('cmyk'))
    return { rgb: await loadNative().cmykToRgb(data), width: info.width, height: info.height }
  }
  if (format === 'PNG' && isGrey16(bytes)) {
    // WHY: Pillow saturates 16-bit grey at 255, and keeps the high byte of every other 16-bit picture. sharp does
    // the latter by itself; a cast without change of colour space saturates.
    const grey = await raw(upright.removeAlpha().toColourspace('grey16'))
    return fromRaw(await raw((await open(grey.data, { raw: grey.info })).toColourspace('srgb')))
  }
  return fromRaw(await raw(upright.removeAlpha().toColourspace('srgb')))
}

async function decodeGif({ bytes }: Source, _format: Format, { maxPixels }: Decode): Promise<DecodedImage> {
  const frame = firstFrame(bytes)
  checkSize(frame, maxPixels)
  const whole = (await open(frame.gif)).removeAlpha().extend({ ...frame.margins, background: frame.background })
  return fromRaw(await raw(whole.toColourspace('srgb')))
}

// WHY loaded late: sharp brings libvips along, which text-only work never needs.
async function open(bytes: Buffer, options: SharpOptions = {}): Promise<Sharp> {
  const { default: sharp } = await import('sharp')
  // `checkSize` holds the limit; the failing level is the strictest.
  return sharp(bytes, { ignoreIcc: true, failOn: 'warning', limitInputPixels: false, ...options })
}

const raw = (picture: Sharp) => picture.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })

function fromRaw({ data, info }: Awaited<ReturnType<typeof raw>>): DecodedImage {
  return { rgb: data, width: info.width, height: info.height }
}

// IHDR comes first: bit depth in byte 24, colour type (0: grey without alpha) in byte 25.
const isGrey16 = (bytes: Buffer) => bytes[24] === 16 && bytes[25] === 0

function checkSize({ width, height }: { width: number; height: number }, maxPixels: number): void {
  const size = `is ${width} x ${height} pixels`
  if (width * height > maxPixels) throw new TooLarge(`${size}; at most ${maxPixels} are allowed (option maxPixels)`)
  if (width * height === 0) throw new Error(`it ${size}`)
}

function refuse(name: string, what: string, cause?: unknown): EngineError {
  return invalidArgument(`image ${name}: ${what}`, cause)
}

function reasonOf(error: unknown): string {
  const lines = error instanceof Error ? error.message.split('\n') : [String(error)]
  return [...new Set(lines.map((line) => line.trim()).filter(Boolean))].join('; ').replace(/:$/, '')
}

function formatOf({ bytes, name }: Source): Format {
  if (bytes.length === 0) throw refuse(name, 'is empty (0 bytes)')
  const start = bytes.toString('latin1', 0, SIGNATURE_BYTES)
  const format = SUPPORTED.find(([, signature]) => signature.test(start))?.[0]
  if (format) return format
  const other = KNOWN.find(([, signature]) => signature.test(start))?.[0]
  const supported = SUPPORTED.map(([known]) => known).join(', ')
  throw refuse(name, `${other ? `is ${other}` : 'does not begin like a picture'}; supported are ${supported}`)
}

function fromBytes(image: Uint8Array): Source {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength)
  return { bytes, name: `(${bytes.length} bytes from memory)` }
}

async function readSource(image: string, maxPixels: number): Promise<Source> {
  if (/^data:/i.test(image)) return fromDataUri(image)
  const name = image.length > 300 ? `${image.slice(0, 60)}… (${image.length} characters)` : image
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(image)?.[1]
  if (scheme) throw refuse(name, `${scheme} URLs are not fetched; give a path, a data URI or the bytes`)
  try {
    const info = await stat(image)
    if (!info.isFile()) throw refuse(name, info.isDirectory() ? 'is a folder' : 'is not a regular file')
    if (info.size > maxPixels * MAX_BYTES_PER_PIXEL) {
      throw refuse(name, `has ${info.size} bytes, more than ${maxPixels} pixels can need (option maxPixels)`)
    }
    return { bytes: await readFile(image), name }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code?.startsWith('ERR_ENGINE_')) throw error
    if (code === 'ENOENT') throw refuse(name, 'no such file', error)
    if (code === 'ENAMETOOLONG') throw refuse(name, 'is too long for a path (a data URI without data:image/png;base64,?)', error)
    throw refuse(name, `cannot be read: ${message}`, error)
  }
}

function fromDataUri(uri: string): Source {
  const comma = uri.indexOf(',')
  const name = `(data URI, ${uri.slice(5, comma < 0 ? 40 : Math.min(comma, 40))})`
  if (comma < 0) throw refuse(name, 'has no comma; expected data:image/png;base64,…')
  const body = uri.slice(comma + 1)
  try {
    const isBase64 = /;base64$/i.test(uri.slice(0, comma))
    const text = body.includes('%') ? percentDecoded(body) : Buffer.from(body, 'latin1')
    if (!isBase64) return { bytes: text, name }
    const base64 = text.toString('latin1').replace(/\s/g, '')
    const wrong = /[^A-Za-z0-9+/_=-]/.exec(base64)
    if (wrong) throw new Error(`character ${wrong.index} is no base64`)
    return { bytes: Buffer.from(base64, 'base64'), name }
  } catch (error) {
    throw refuse(name, reasonOf(error), error)
  }
}

function percentDecoded(text: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9a-f]{2})?/gi, (_, hex?: string) => {
      if (hex === undefined) throw new Error('a % is not followed by two hexadecimal digits')
      return String.fromCharCode(Number.parseInt(hex, 16))
    }),
    'latin1',
  )
}
