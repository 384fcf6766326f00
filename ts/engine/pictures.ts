/**
 * Pictures on their way into native code: each is decoded, cut and handed over once, whatever it is called and however
 * many requests show it, as long as there is room to keep it.
 */
import { createHash } from 'node:crypto'
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError } from '../contracts/errors.ts'
import { type DecodeOptions, type EncodedImage, withEncoded, withPixels } from '../images/index.ts'
import { loadNative, type NativePicture, type PictureOptions } from './native.ts'

/** Of pictures that are kept, in bytes of their tiles. */
const MAX_BYTES = 128 * 2 ** 20

interface Work {
  picture: Promise<NativePicture>
  /** Calls that still want it: the last to leave ends it. */
  waiting: number
  stop: AbortController
}

export class Pictures {
  readonly #options: DecodeOptions
  readonly #maxBytes: number
  readonly #kept = new Map<string, NativePicture>() // the one used last stands last
  readonly #working = new Map<string, Work>() // by name and source: what is wrong with a picture names its file
  #bytes = 0

  constructor(options: DecodeOptions = {}, maxBytes = MAX_BYTES) {
    this.#options = options
    this.#maxBytes = maxBytes
  }

  /** @throws EngineError INVALID_ARGUMENT naming the file, ABORTED */
  async get(image: string | Uint8Array, tiles: PictureOptions, signal: AbortSignal | undefined): Promise<NativePicture> {
    throwIfAborted(signal)
    return withEncoded(image, { ...this.#options, signal }, async (encoded) => {
      const name = nameOf(encoded, tiles)
      const kept = this.#kept.get(name)
      if (!kept) return this.#wait(name, encoded, tiles, signal)
      this.#kept.delete(name)
      this.#kept.set(name, kept)
      return kept
    })
  }

  async #wait(
    name: string,
    encoded: EncodedImage,
    tiles: PictureOptions,
    signal: AbortSignal | undefined,
  ): Promise<NativePicture> {
    const key = `${name} ${encoded.name}`
    const work = this.#working.get(key) ?? this.#begin(key, name, encoded, tiles)
    work.waiting++
    let leave = () => {}
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(new EngineError('ERR_ENGINE_ABORTED', 'the call was aborted', { cause: signal?.reason }))
    })
    signal?.addEventListener('abort', leave, { once: true })
    if (signal?.aborted) leave()
    try {
      return await Promise.race([work.picture, left])
    } finally {
      signal?.removeEventListener('abort', leave)
      if (--work.waiting === 0 && this.#working.get(key) === work) {
        this.#working.delete(key)
        work.stop.abort()
      }
    }
  }

  #begin(key: string, name: string, encoded: EncodedImage, tiles: PictureOptions): Work {
    const stop = new AbortController()
    const picture = withPixels(encoded, { ...this.#options, signal: stop.signal }, ({ rgb, width, height }) =>
      loadNative().cutPicture(rgb, width, height, tiles),
    )
    const work: Work = { picture, waiting: 0, stop }
    this.#working.set(key, work)
    const ended = () => {
      if (this.#working.get(key) === work) this.#working.delete(key)
    }
    picture.then((done) => {
      ended()
      this.#keep(name, done)
    }, ended)
    return work
  }

  #keep(name: string, picture: NativePicture): void {
    if (this.#kept.has(name)) return // under another path, at the same time
    this.#kept.set(name, picture)
    this.#bytes += picture.numBytes
    for (const [oldest, { numBytes }] of this.#kept) {
      if (this.#bytes <= this.#maxBytes) break
      this.#kept.delete(oldest)
      this.#bytes -= numBytes
    }
  }
}

/** WHY by content: a path may hold another picture the next time. */
function nameOf({ bytes }: EncodedImage, tiles: PictureOptions): string {
  return `${createHash('sha256').update(bytes).digest('hex')} ${JSON.stringify(tiles)}`
}
