/** Where a picture comes from: a regular file, a data URI or bytes; what format it is, before anything decodes it. */
import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { type EngineError, invalidArgument } from '../contracts/errors.ts'
import { lfsPointer } from '../contracts/lfs.ts'
import { ByteBudget } from './budget.ts'

/** A picture of more pixels is refused before it is decoded. */
export const DEFAULT_MAX_PIXELS = 100_000_000
// No format stores a pixel in more bytes than 16-bit RGBA does; what is larger is not read into memory.
const MAX_BYTES_PER_PIXEL = 8
const filesInMemory = new ByteBudget(256 * 2 ** 20)

export type ImageFormat = 'PNG' | 'JPEG' | 'WebP' | 'GIF'

/** A picture as it is stored. */
export interface EncodedImage {
  readonly bytes: Buffer
  readonly format: ImageFormat
  /** For messages: the path, or what was given in its place. */
  readonly name: string
}

export interface SourceOptions {
  maxPixels?: number | undefined
  signal?: AbortSignal | undefined
}

const SUPPORTED: readonly [ImageFormat, RegExp][] = [
  ['PNG', /^\x89PNG\r\n\x1a\n/],
  ['JPEG', /^\xff\xd8\xff/],
  ['WebP', /^RIFF[\s\S]{4}WEBP/],
  ['GIF', /^GIF8[79]a/],
]
const KNOWN: readonly [string, RegExp][] = [
  ['a TIFF picture', /^(II\*\0|MM\0\*)/],
  ['a BMP picture', /^BM/],
  ['an AVIF or HEIC picture', /^[\s\S]{4}ftyp/],
  ['an SVG drawing or other XML', /^\s*</],
  ['a PDF document', /^%PDF/],
]
const SIGNATURE_BYTES = 16
const startOf = (bytes: Uint8Array) => Buffer.from(bytes.subarray(0, SIGNATURE_BYTES)).toString('latin1')

/** The format that the first bytes tell; undefined for what is no picture that can be read. */
function sniff(bytes: Uint8Array): ImageFormat | undefined {
  const start = startOf(bytes)
  return SUPPORTED.find(([, signature]) => signature.test(start))?.[0]
}

const mediaType = (format: ImageFormat) => `image/${format.toLowerCase()}`

/** Encoded bytes as a data URI whose media type is what they are, whatever they came as. */
export function imageDataUri(bytes: Uint8Array): string {
  const format = sniff(bytes)
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  return `data:${format ? mediaType(format) : 'application/octet-stream'};base64,${base64}`
}

/** An image as a field of a row: a path as it is, an embedded picture as a data URI of the type that its bytes show. */
export function storableImage(image: string | Uint8Array): string {
  if (typeof image !== 'string') return imageDataUri(image)
  const prefix = /^data:[^,]*;base64,/i.exec(image)?.[0]
  const format = prefix && sniff(Buffer.from(image.slice(prefix.length, prefix.length + 2 * SIGNATURE_BYTES), 'base64'))
  return format ? `data:${mediaType(format)};base64,${image.slice(prefix.length)}` : image
}

/** Base64 of a picture begins so: PNG, JPEG, GIF, WebP. */
const BASE64 = /^(?:iVBOR|\/9j\/|R0lGOD|UklGR)[A-Za-z0-9+/=\s]*$/
/** VLMEvalKit: what is no longer is no picture. */
const MAX_INDEX = 64

/** A picture as tables hold it: base64 without the head of a data URI; undefined for any other text, a path say. */
export const pictureInText = (text: string): Buffer | undefined =>
  text.length > MAX_INDEX && BASE64.test(text) ? Buffer.from(text, 'base64') : undefined

export function refuse(name: string, what: string, cause?: unknown): EngineError {
  return invalidArgument(`image ${name}: ${what}`, cause)
}

/**
 * Reads a picture and hands it to `use`; the bytes of a file count as held until that is done.
 * @param image a path, a data URI, or the encoded bytes
 * @throws EngineError INVALID_ARGUMENT naming the file: missing, no regular file, empty, no picture, too large; ABORTED
 */
export async function withEncoded<T>(
  image: string | Uint8Array,
  options: SourceOptions,
  use: (encoded: EncodedImage) => Promise<T>,
): Promise<T> {
  if (typeof image !== 'string') {
    const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength)
    return use(recognised(bytes, `(${bytes.length} bytes from memory)`))
  }
  if (/^data:/i.test(image)) return use(fromDataUri(image))
  const name = image.length > 300 ? `${image.slice(0, 60)}… (${image.length} characters)` : image
  const size = await fileSize(image, name, options.maxPixels ?? DEFAULT_MAX_PIXELS)
  return filesInMemory.with(size, options.signal, async () => use(recognised(await readWhole(image, name, size), name)))
}

function recognised(bytes: Buffer, name: string): EncodedImage {
  if (bytes.length === 0) throw refuse(name, 'is empty (0 bytes)')
  const format = sniff(bytes)
  if (format) return { bytes, format, name }
  const pointer = lfsPointer(bytes)
  if (pointer) throw refuse(name, pointer)
  const start = startOf(bytes)
  const other = KNOWN.find(([, signature]) => signature.test(start))?.[0]
  const supported = SUPPORTED.map(([known]) => known).join(', ')
  throw refuse(name, `${other ? `is ${other}` : 'does not begin like a picture'}; supported are ${supported}`)
}

/** Looked at before it is opened: opening a pipe waits for a writer, and a device never ends. */
async function fileSize(path: string, name: string, maxPixels: number): Promise<number> {
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(path)?.[1]
  if (scheme) throw refuse(name, `${scheme} URLs are not fetched; give a path, a data URI or the bytes`)
  const info = await stat(path).catch((error: unknown) => {
    throw unreadable(name, error)
  })
  if (!info.isFile()) throw refuse(name, info.isDirectory() ? 'is a folder' : 'is not a regular file')
  if (info.size <= maxPixels * MAX_BYTES_PER_PIXEL) return info.size
  throw refuse(name, `has ${info.size} bytes, more than ${maxPixels} pixels can need (option maxPixels)`)
}

/** As many bytes as the file had: one that grows, or was replaced by a pipe, is not followed. */
async function readWhole(path: string, name: string, size: number): Promise<Buffer> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const bytes = Buffer.alloc(size)
      let length = 0
      for (let read = -1; read !== 0 && length < size; length += read) {
        read = (await file.read(bytes, length, size - length)).bytesRead
      }
      return bytes.subarray(0, length)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw unreadable(name, error)
  }
}

function unreadable(name: string, error: unknown): EngineError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return refuse(name, 'no such file', error)
  if (code === 'ENAMETOOLONG') return refuse(name, 'is too long for a path (a data URI without data:image/png;base64,?)', error)
  return refuse(name, `cannot be read: ${message}`, error)
}

function fromDataUri(uri: string): EncodedImage {
  const comma = uri.indexOf(',')
  const name = `(data URI, ${uri.slice(5, comma < 0 ? 40 : Math.min(comma, 40))})`
  if (comma < 0) throw refuse(name, 'has no comma; expected data:image/png;base64,…')
  return recognised(dataUriBody(uri, comma, name), name)
}

function dataUriBody(uri: string, comma: number, name: string): Buffer {
  const body = uri.slice(comma + 1)
  const text = body.includes('%') ? percentDecoded(body, name) : Buffer.from(body, 'latin1')
  if (!/;base64$/i.test(uri.slice(0, comma))) return text
  const base64 = text.toString('latin1').replace(/\s/g, '')
  const wrong = /[^A-Za-z0-9+/_=-]/.exec(base64)
  if (wrong) throw refuse(name, `character ${wrong.index} is no base64`)
  return Buffer.from(base64, 'base64')
}

function percentDecoded(text: string, name: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9a-f]{2})?/gi, (_, hex?: string) => {
      if (hex === undefined) throw refuse(name, 'a % is not followed by two hexadecimal digits')
      return String.fromCharCode(Number.parseInt(hex, 16))
    }),
    'latin1',
  )
}
