/** The addon's engine: requests, results and options, one to one as src/convert.cc and src/engine_wrap.cc have them. */

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
  /** The head of a base that is tied to its embedding stays that, whatever stands in the embedding's place. */
  keepsHead: boolean
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
