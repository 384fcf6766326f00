/**
 * The only file that sees the addon: its types, and where its binary is found. The shapes are those of
 * src/convert.cc and src/engine_wrap.cc, one to one.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { EngineError } from '../contracts/errors.ts'
import type { BatchLoss, OptimizerStep, TrainableInfo } from '../contracts/trainer.ts'

/**
 * What reads the last hidden state: `vocabulary`, all tokens; `classes`, a softmax of its outputs; `value`, one output;
 * `ensemble`, as many heads of one output each.
 */
export type HeadKind = 'vocabulary' | 'classes' | 'value' | 'ensemble'

export interface NativeDecoderInfo {
  hidden: number
  intermediate: number
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  vocab: number
  maxPositions: number
  /** Keys that a row of a sliding layer sees, its own among them; 0 where no layer slides. */
  slidingWindow: number
  /** How many layers slide. */
  slidingLayers: number
  head: HeadKind
  /** Outputs of a reward head; 0 where the head spans the vocabulary. */
  numClasses: number
}

export interface NativeVisionInfo {
  hidden: number
  layers: number
  heads: number
  imageSize: number
  patchSize: number
  tokensPerTile: number
  minTiles: number
  maxTiles: number
  useThumbnail: boolean
  dynamicTiles: boolean
  /** Patches a side that become one row, of towers that read whole pictures (WholeOptions); 0: tiles. */
  merge: number
  minPixels: number
  maxPixels: number
}

/** What computes, as it calls itself. */
export interface NativeDevice {
  kind: string
  name: string
  /** Bits are equal within one class. */
  class: string
  totalBytes: number
  /** It was this one. */
  why: string
}

export interface NativeInfo {
  architecture: string
  family: string
  weights: 'bf16' | 'f32' | 'int8' | 'int4'
  device: NativeDevice
  /** Of the packed matrices, on the device. */
  weightBytes: number
  decoder: NativeDecoderInfo
  vision: NativeVisionInfo | null
}

/** Work on a native thread. `abort` stops it between two layers; the promise then rejects with ERR_ENGINE_ABORTED. */
export interface NativeJob<T> {
  promise: Promise<T>
  abort(): void
}

export interface NativeOpenOptions {
  model: string
  weights: 'bf16' | 'f32' | 'int8' | 'int4'
  /** 0: one per usable core. */
  threads: number
  /** Empty: the best there is. */
  isa: string
  device: string
  /** The library of every device but the CPU; empty: not installed. */
  deviceLibrary: string
  kvCacheBytes: number
  imageCacheBytes: number
  /** Merged into the weights, one after the other. */
  adapters: NativeAdapter[]
}

/** W + scale · B·A for the base's `target`; or `tensor` in the place of `target`. */
export interface NativeAdapter {
  file: string
  lowRank: { target: string; a: string; b: string; rank: number; scale: number }[]
  replaced: { target: string; tensor: string }[]
}

export interface NativeOpenJob extends NativeJob<NativeEngine> {
  /** Bytes of weights; totalBytes is 0 until the headers are read. */
  progress(): { doneBytes: number; totalBytes: number }
}

/** How an image is cut. mean and std are per channel, for values in [0, 1]. */
export interface TileOptions {
  imageSize: number
  minTiles: number
  maxTiles: number
  useThumbnail: boolean
  mean: number[]
  std: number[]
}

/** How an image is resized that keeps its shape: to sides that are multiples of `factor`. */
export interface WholeOptions {
  factor: number
  minPixels: number
  maxPixels: number
  mean: number[]
  std: number[]
}

export type PictureOptions = TileOptions | WholeOptions

/** A picture in native memory, cut and resized; requests name it as often as they like. */
export interface NativePicture {
  readonly numTiles: number
  /** Of a tile, in pixels. */
  readonly width: number
  readonly height: number
  readonly numBytes: number
  /** [numTiles, 3, imageSize, imageSize], as the vision model reads them. */
  normalised(): Float32Array
}

export interface NativeForwardRequest {
  sequences: Int32Array[]
  /** Per sequence: rising positions whose outputs are returned. */
  wanted: Int32Array[]
  /** Shared by all sequences, in the order of their image tokens. */
  images: NativePicture[]
  imageToken: number
  output: 'logits' | 'pair' | 'classes'
  /** Two vocabulary ids, for output "pair". */
  pair?: Int32Array
  hidden: boolean
}

export interface NativeForwardResult {
  /** V, 2 or the number of classes. */
  width: number
  /** Per sequence [wanted, width]. */
  values: Float32Array[]
  /** Per sequence [L + 1, wanted, C]; empty unless asked for. */
  hidden: Float32Array[]
  /** Tokens of all sequences. */
  numTokens: number
  /** Rows of the packed prefix tree. */
  numComputedTokens: number
  milliseconds: number
}

export interface NativeVisionResult {
  /** [numTiles, 3, imageSize, imageSize], normalised. */
  pixels: Float32Array
  /** [numTiles, tokensPerTile, C of the language model] */
  embeds: Float32Array
  /** [features, rows, C of the language model], of towers that have such. */
  deepstack: Float32Array
  /** [numStates, numTiles, 1 + patches, C of vision]; empty unless asked for. */
  hidden: Float32Array
  numStates: number
}

export interface NativeGenerateRequest {
  prompt: Int32Array
  images: NativePicture[]
  imageToken: number
  numSamples: number
  /** Sample i draws from stream firstSample + i of the seed. */
  firstSample: number
  maxTokens: number
  sampling: NativeSampling
  seed: bigint
  stopIds: Int32Array
  logprobs: boolean
  /** Whether `next` of the job tells tokens as they come. */
  stream: boolean
}

export interface NativeSample {
  /** The stop id included. */
  tokens: Int32Array
  /** Empty unless asked for. */
  logprobs: Float32Array
  /** `stopped`: by stopSample. */
  finish: 'stop' | 'length' | 'stopped'
}

export interface NativeGenerateResult {
  samples: NativeSample[]
  numPromptTokens: number
  numReusedTokens: number
  numPrefilledTokens: number
  milliseconds: number
  firstTokenMilliseconds: number
}

export interface NativeGenerateJob extends NativeJob<NativeGenerateResult> {
  stopSample(sample: number): void
  /** Triples (sample, token, finish: 0 goes on, 1 stop id, 2 length) since the last call; empty at the end. */
  next(): Promise<Int32Array>
}

/** Counters since the engine was opened, and what it holds now. */
export interface NativeStats {
  requestsWaiting: number
  requestsRunning: number
  samplesRunning: number
  /** Pages of keys and values: in all, in use, and of these kept for reuse. */
  pages: number
  usedPages: number
  cachedPages: number
  tokensPerPage: number
  bytesPerPage: number
  steps: number
  decodedTokens: number
  prefilledTokens: number
  /** Prompt tokens found in the cache instead of computed. */
  reusedTokens: number
  preemptions: number
  evictedPages: number
  imagesEmbedded: number
  imagesReused: number
  imageBytes: number
  modelMilliseconds: number
  samplingMilliseconds: number
  schedulingMilliseconds: number
}

export interface NativeEngine {
  info(): NativeInfo
  generate(request: NativeGenerateRequest): NativeGenerateJob
  stats(): NativeStats
  forward(request: NativeForwardRequest): NativeJob<NativeForwardResult>
  embedImage(request: { picture: NativePicture; hidden: boolean }): NativeJob<NativeVisionResult>
  close(): Promise<void>
}

/** All fields are required here; defaults live in options.ts. */
export interface NativeSampling {
  temperature: number
  topK: number
  topP: number
  minP: number
  repetitionPenalty: number
  frequencyPenalty: number
  presencePenalty: number
  penaltyScope: 'all' | 'generated'
  order: 'vllm' | 'hf'
}

export interface ModelSummary {
  architecture: string
  family: string
  /** Stored numbers that belong to the model: tied weights count once, saved buffers not at all. */
  parameters: number
  tensors: number
  /** Of all weight files together. */
  bytes: number
  tiedHead: boolean
  dtypes: { dtype: string; tensors: number; parameters: number }[]
  files: { name: string; bytes: number }[]
  decoder: NativeDecoderInfo
  vision: NativeVisionInfo | null
}

export interface NativeTrainerOptions {
  model: string
  /** Default `cpu`, the only one that trains. */
  device?: string
  deviceLibrary?: string
  compute: 'bf16' | 'f32'
  /** 0: one per usable core. */
  threads: number
  isa: string
  trainVision: boolean
  trainProjector: boolean
  trainLanguage: boolean
  recompute: boolean
  /** Ids whose rows of embedding and head become the mean of all others. */
  newTokens: Int32Array
  /** 0: no adapters. */
  loraRank: number
  loraAlpha: number
  loraTargets: string[]
  seed: bigint
}

export interface NativeTrainSample {
  tokens: Int32Array
  /** Indices into the batch's images, in the order of their tokens. */
  images: Int32Array
  group: number
  /** Task "tokens": one per token. */
  tokenWeights: Float32Array
  /** Task "markers": rising positions, labels in [0, 1] and weights. */
  markers: Int32Array
  labels: Float32Array
  markerWeights: Float32Array
}

export interface NativeTrainBatch {
  task: 'tokens' | 'markers'
  samples: NativeTrainSample[]
  images: NativePicture[]
  imageToken: number
  /** Task "markers": ids of Yes and No. */
  pair?: Int32Array
}

/** All calls run in order on the trainer's own thread. */
export interface NativeTrainer {
  info(): TrainableInfo & { vocab: number; tokensPerTile: number; imageSize: number }
  accumulate(batch: NativeTrainBatch, scale: number): Promise<BatchLoss>
  evaluate(batch: NativeTrainBatch): Promise<BatchLoss>
  step(options: OptimizerStep): Promise<number>
  clearGradients(): Promise<void>
  tensorNames(): string[]
  /** In the checkpoint's own order; empty for what a frozen tensor lacks. */
  tensor(name: string, field: 'value' | 'gradient' | 'm' | 'v'): Promise<Float32Array>
  setTensor(name: string, values: Float32Array): Promise<void>
  saveModel(path: string, dtype: 'bf16' | 'f32', form: 'full' | 'adapters'): Promise<void>
  saveState(path: string): Promise<void>
  loadState(path: string): Promise<number>
  abort(): void
  close(): Promise<void>
}

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
