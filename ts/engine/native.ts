/** The only file that sees the addon: its functions, and where its binary is found. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { EngineError } from '../contracts/errors.ts'
import type {
  ModelSummary,
  NativeDevice,
  NativeOpenJob,
  NativeOpenOptions,
  NativePicture,
  NativeSampling,
  PictureOptions,
  TileOptions,
  WholeOptions,
} from './native-engine.ts'
import type { NativeTrainer, NativeTrainerOptions } from './native-trainer.ts'

export type * from './native-engine.ts'
export type * from './native-trainer.ts'

export interface Native {
  setErrorClass(errorClass: typeof EngineError): void
  /** Instruction sets in rising order, the one in use, and the threads an engine takes by default. */
  probe(): { isa: string; isas: string[]; threads: number }
  /** The devices of a library, which is loaded. Throws NO_DEVICE with the reason where it cannot be used here. */
  listDevices(library: string): NativeDevice[]
  openEngine(options: NativeOpenOptions): NativeOpenJob
  openTrainer(options: NativeTrainerOptions): Promise<NativeTrainer>
  /** Writes random weights for the config.json in `folder` to the safetensors file `path`. */
  initWeights(folder: string, path: string, seed: bigint, dtype: 'bf16' | 'f32'): Promise<void>
  /** [columns, rows] of the tiles that an image of this size is cut into. */
  tileGrid(width: number, height: number, options: TileOptions): [number, number]
  // Pixels are worked on by other threads and must not change before the promise settles.
  /** [width, height] after resizing. */
  smartResize(width: number, height: number, options: WholeOptions): [number, number]
  /** The whole picture, [height, width, 3], cut into tiles or resized. */
  cutPicture(rgb: Uint8Array, width: number, height: number, options: PictureOptions): Promise<NativePicture>
  /** Bicubic as Pillow does it: [height, width, 3] to [toHeight, toWidth, 3]. */
  resizeImage(rgb: Uint8Array, width: number, height: number, toWidth: number, toHeight: number): Promise<Uint8Array>
  /** What a checkpoint's config and the headers of its weights say, without loading them. Blocks for their parsing. */
  inspectModel(model: string): ModelSummary
  /** The sampler alone: tokens that are left, in rising order, and draw i of sample 0 at position i. */
  sampleDistribution(request: {
    logits: Float32Array
    promptIds: Int32Array
    generatedIds: Int32Array
    sampling: NativeSampling
    seed: bigint
    numDraws: number
  }): { tokens: Int32Array; probabilities: Float32Array; draws: Int32Array }
  /** One block of Philox4x32-10: four words from a counter of four and a key of two. */
  philox4x32(counter: Uint32Array, key: Uint32Array): Uint32Array
}

// WHY two up: this file lies in ts/engine in the repository and in dist/engine in the package.
export const PACKAGE_ROOT = join(import.meta.dirname, '../..')
const require = createRequire(import.meta.url)

interface GypBuild {
  path(folder: string): string
}

let loaded: { native: Native; path: string } | undefined

function load(): { native: Native; path: string } {
  if (loaded) return loaded
  let path: string | undefined
  try {
    path = (require('node-gyp-build') as GypBuild).path(PACKAGE_ROOT)
    const native = require(path) as Native
    native.setErrorClass(EngineError)
    loaded = { native, path }
    return loaded
  } catch (error) {
    throw notLoadable(path, error as Error)
  }
}

function notLoadable(path: string | undefined, cause: Error): EngineError {
  // What node-gyp-build looked for and where is in its own message: an environment variable may point it elsewhere.
  const reason = cause.message.trim().replace(/\s*\n\s*/g, ', ')
  const folders = 'build/Release, build/Debug and prebuilds of that folder'
  const what = path
    ? `the native addon ${path} does not load: ${reason}`
    : `no native addon for ${process.platform}-${process.arch}: ${reason} (tried: ${folders}, prebuilds beside ${process.execPath})`
  const build = `build it with: node ${join(PACKAGE_ROOT, 'scripts/native.cjs')} build (needs CMake >= 3.22 and a C++20 compiler)`
  return new EngineError('ERR_ENGINE_INTERNAL', `${what}; ${build}`, { cause })
}

/**
 * The addon, loaded once per environment (main thread or worker).
 * @throws EngineError INTERNAL: what was tried, why it failed, how to build it
 */
export function loadNative(): Native {
  return load().native
}

/** The file that the addon was loaded from. Throws as loadNative does. */
export function nativePath(): string {
  return load().path
}
