/**
 * Encoded pictures to RGB, as Pillow's `convert('RGB')` gives it: alpha and transparent colours are dropped and
 * never composited, colour profiles and gamma are ignored, the first frame counts. The codecs are sharp's; what
 * they see differently from Pillow is set right here (16-bit grey, CMYK, GIF, checksums of PNG chunks).
 */
import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Sharp, SharpOptions } from 'sharp'
import { ByteBudget } from './budget.ts'
import { cmykToRgb } from './cmyk.ts'
import { firstFrame } from './gif.ts'
import { checkHeaderChecksums, withRightChecksums } from './png.ts'
import { DEFAULT_MAX_PIXELS, type EncodedImage, refuse, type SourceOptions, withEncoded } from './source.ts'

export interface DecodeOptions extends SourceOptions {
  /** What the camera noted about its orientation: the reference ignores it. */
  exifOrientation?: 'ignore' | 'apply' | undefined
}

/** Pixels [height, width, 3], rows from top to bottom. */
export interface DecodedImage {
  rgb: Uint8Array
  width: number
  height: number
}

interface Layout {
  width: number
  height: number
  space: string
}

/** A picture whose size is known, and its pixels when they are asked for. */
interface Opened {
  pixels: number
  bytesPerPixel: number
  decode(): Promise<DecodedImage>
}

const HASHED_AT_ONCE = 2 ** 22
const RGB_BYTES = 3
const CMYK_BYTES = 4 + RGB_BYTES
/** Of all pictures of this process together; a larger one is decoded alone. */
const pixelsInMemory = new ByteBudget(512 * 2 ** 20)

// Complaints of libjpeg that leave the pixels whole; after any other the picture is partly grey or shifted.
const HARMLESS = /^VipsJpeg: (.* extraneous bytes before marker 0xd9|Unknown Adobe color transform.*|.* unknown JFIF revision.*)$/

/**
 * Reads and decodes a PNG, JPEG, WebP or GIF picture and hands it to `use`. Until that is done, its bytes count against a
 * limit that all pictures of the process share; who comes when it is reached waits.
 * @param image a path, a data URI, or the encoded bytes
 * @throws EngineError INVALID_ARGUMENT naming the file: missing, no regular file, no picture, corrupt, too large; ABORTED
 */
export function withImage<T>(
  image: string | Uint8Array,
  options: DecodeOptions,
  use: (decoded: DecodedImage) => Promise<T>,
): Promise<T> {
  return withEncoded(image, options, (encoded) => withPixels(encoded, options, use))
}

/** The second half of `withImage`, for callers that want the stored bytes too. */
export async function withPixels<T>(
  encoded: EncodedImage,
  options: DecodeOptions,
  use: (decoded: DecodedImage) => Promise<T>,
): Promise<T> {
  const picture = await guarded(encoded, () => (encoded.format === 'GIF' ? openGif : openStill)(encoded, options))
  return pixelsInMemory.with(picture.pixels * picture.bytesPerPixel, options.signal, async () =>
    use(await guarded(encoded, picture.decode)),
  )
}

/** The pixels, to be kept by the caller. Throws like `withImage`. */
export function decodeImage(image: string | Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  return withImage(image, options, async (decoded) => decoded)
}

/** A name for what a picture shows: equal for equal pixels, however they are stored. Throws like `withImage`. */
export function hashPixels(image: string | Uint8Array, options: DecodeOptions = {}): Promise<string> {
  return withImage(image, options, async ({ rgb, width, height }) => {
    const hash = createHash('sha256').update(`${width} ${height}\n`)
    for (let from = 0; from < rgb.length; from += HASHED_AT_ONCE) {
      hash.update(rgb.subarray(from, from + HASHED_AT_ONCE))
      await setImmediate() // a large picture takes long, and others wait
    }
    return hash.digest('hex')
  })
}

class TooLarge extends Error {}

async function guarded<T>({ name, format }: EncodedImage, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TooLarge) throw refuse(name, error.message)
    throw refuse(name, `the ${format} data cannot be decoded: ${reasonOf(error)}; it is corrupt or truncated`, error)
  }
}

async function openStill(encoded: EncodedImage, { maxPixels, exifOrientation }: DecodeOptions): Promise<Opened> {
  const { bytes, format } = encoded
  // WHY before libpng sees it: that calls a size of nothing, or beyond its own limits, just a corrupt header.
  if (format === 'PNG') {
    checkSize({ width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }, maxPixels)
    checkHeaderChecksums(bytes)
  }
  const layout = await (await open(bytes)).metadata()
  checkSize(layout, maxPixels)
  return {
    pixels: layout.width * layout.height,
    bytesPerPixel: layout.space === 'cmyk' ? CMYK_BYTES : RGB_BYTES,
    decode: () => decodeStill(encoded, layout, exifOrientation === 'apply'),
  }
}

async function decodeStill(encoded: EncodedImage, layout: Layout, apply: boolean): Promise<DecodedImage> {
  const { bytes, format } = encoded
  try {
    return await toRgb(await open(bytes), bytes, format, layout, apply)
  } catch (error) {
    if (format === 'JPEG' && HARMLESS.test(reasonOf(error))) {
      return toRgb(await open(bytes, { failOn: 'error' }), bytes, format, layout, apply)
    }
    const repaired = format === 'PNG' && withRightChecksums(bytes)
    if (!repaired) throw error
    return toRgb(await open(repaired), repaired, format, layout, apply)
  }
}

async function toRgb(
  picture: Sharp,
  bytes: Buffer,
  format: EncodedImage['format'],
  layout: Layout,
  apply: boolean,
): Promise<DecodedImage> {
  const upright = apply ? picture.autoOrient() : picture
  if (layout.space === 'cmyk') {
    const { data, info } = await raw(upright.pipelineColourspace('cmyk').toColourspace('cmyk'))
    return { rgb: await cmykToRgb(data), width: info.width, height: info.height }
  }
  if (format === 'PNG' && isGrey16(bytes)) {
    // WHY: Pillow saturates 16-bit grey at 255, and keeps the high byte of every other 16-bit picture. sharp does
    // the latter by itself; a cast without change of colour space saturates.
    const grey = await raw(upright.removeAlpha().toColourspace('grey16'))
    return fromRaw(await raw((await open(grey.data, { raw: grey.info })).toColourspace('srgb')))
  }
  return fromRaw(await raw(upright.removeAlpha().toColourspace('srgb')))
}

function openGif({ bytes }: EncodedImage, { maxPixels }: DecodeOptions): Opened {
  const frame = firstFrame(bytes)
  checkSize(frame, maxPixels)
  return {
    pixels: frame.width * frame.height,
    bytesPerPixel: RGB_BYTES,
    decode: async () => {
      const whole = (await open(frame.gif)).removeAlpha().extend({ ...frame.margins, background: frame.background })
      return fromRaw(await raw(whole.toColourspace('srgb')))
    },
  }
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

function checkSize({ width, height }: { width: number; height: number }, maxPixels = DEFAULT_MAX_PIXELS): void {
  const size = `is ${width} x ${height} pixels`
  if (width * height > maxPixels) throw new TooLarge(`${size}; at most ${maxPixels} are allowed (option maxPixels)`)
  if (width * height === 0) throw new Error(`it ${size}`)
}

function reasonOf(error: unknown): string {
  const lines = error instanceof Error ? error.message.split('\n') : [String(error)]
  return [...new Set(lines.map((line) => line.trim()).filter(Boolean))].join('; ').replace(/:$/, '')
}
