/** The addon's trainer: one to one as src/trainer_convert.cc and src/trainer_wrap.cc have it. */
import type { BatchLoss, OptimizerStep, Preference, TrainableInfo } from '../contracts/trainer.ts'
import type { NativePicture } from './native-engine.ts'

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
  head?: NativeHead
}

/** A new reward head, or with an empty `kind` how the checkpoint's own is kept. */
export interface NativeHead {
  kind: '' | 'linear' | 'two-layer' | 'ensemble'
  /** Of a linear head's tensors. */
  name: string
  outputs: number
  /** Of an ensemble's inner layers. */
  width: number
  /** The vocabulary's stored head stays beside it, unused. */
  keepsVocabulary: boolean
}

export interface NativeTrainSample {
  tokens: Int32Array
  /** Indices into the batch's images, in the order of their tokens. */
  images: Int32Array
  group: number
  /** Tasks "tokens" and "pairs": one per token. */
  tokenWeights: Float32Array
  /** Task "markers": rising positions, labels in [0, 1] and weights. */
  markers: Int32Array
  labels: Float32Array
  markerWeights: Float32Array
  /** Task "pairs": log-probability under the model that is departed from; default 0. */
  reference?: number
  /** Samples of one number from 0 up are ranked against each other; -1: none. */
  siblings?: number
}

export interface NativeTrainBatch {
  /** "pairs": samples 2i and 2i + 1 answer one prompt, the preferred one first. */
  task: 'tokens' | 'markers' | 'pairs'
  samples: NativeTrainSample[]
  images: NativePicture[]
  imageToken: number
  /** Task "markers": ids of Yes and No. */
  pair?: Int32Array
  /** Task "pairs". */
  preference?: Preference
  /** Task "markers": beside the loss of each step, that over pairs of siblings. */
  rank?: { weight: number; margin: number }
}

/** All calls run in order on the trainer's own thread. */
export interface NativeTrainer {
  info(): TrainableInfo & { vocab: number; tokensPerTile: number; imageSize: number }
  accumulate(batch: NativeTrainBatch, scale: number): Promise<BatchLoss>
  evaluate(batch: NativeTrainBatch): Promise<BatchLoss>
  /** `anchor`: of an ensemble, the strength of the pull to how it began. */
  step(options: OptimizerStep & { anchor?: number }): Promise<number>
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
