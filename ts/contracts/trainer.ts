/**
 * A model under training, as the training loop sees it: rows of tokens in, gradients and steps, files out. The loop
 * knows nothing of tokenizers, templates or native code; the model knows nothing of epochs, schedules or data files.
 */
import type { Isa } from './isa.ts'

/** `policy`: next-token cross-entropy on the solution. `prm`: whether each step is right, at its marker. */
export type TrainTask = 'policy' | 'prm'

/**
 * Reward heads, each under the tensor names of a public family: `value`, one output (Skywork's; a token classifier of one label
 * where that family has no such class); `classes`, one product to two classes (TRL); `two-layer`, with a ReLU between
 * (Qwen2.5-Math-PRM); `ensemble`, `heads` heads of three products (ActPRM).
 */
export const HEAD_KINDS = ['value', 'classes', 'two-layer', 'ensemble'] as const
export type HeadKindName = (typeof HEAD_KINDS)[number]

/** The head that a PRM is to be trained with: the checkpoint's own where it is of that kind, else a new one. */
export interface TrainHead {
  readonly kind: HeadKindName
  /** Of an ensemble; 8 where it is new. */
  readonly heads?: number | undefined
  /** Of the inner layers of a new ensemble; default 128. */
  readonly width?: number | undefined
  /** Of an ensemble: λ of λ · mean((θ - θ0)²), which holds its heads to how they began; default 0.5. */
  readonly anchor?: number | undefined
}

/**
 * `cross-entropy`: of two pieces or two classes. `bce`: of heads of one output. `rank`: the one of the two that fits, and
 * weight · mean of -log sigmoid(z_i - z_j) over siblings whose labels differ by `margin` at least.
 */
export const LOSS_KINDS = ['cross-entropy', 'bce', 'rank'] as const
export type TrainLoss =
  | { readonly kind: 'cross-entropy' | 'bce' }
  | { readonly kind: 'rank'; readonly weight: number; readonly margin: number }

/** All that a recipe may name. */
export const TRAIN_LOSSES = [...LOSS_KINDS, 'dpo'] as const

/** One of several next steps of the same prefix. */
export interface TrainSibling {
  readonly step: string
  readonly label: number | null
}

/** A path, a data URI, or encoded bytes; grey or RGB pixels where a generator draws them itself. */
export type TrainImage =
  | string
  | Uint8Array
  | { readonly pixels: Uint8Array; readonly width: number; readonly height: number; readonly channels: 1 | 3 }

/** A turn of a conversation. */
export interface ChatTurn {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** What a policy is to say: steps that its answer closes, or a turn of a conversation. */
export type TrainAnswer = { readonly steps: readonly string[]; readonly answer: string } | { readonly reply: string }

/** One solution of one question. For a PRM, labels and weights go with the steps. */
export interface TrainSample {
  /** Named by errors. */
  readonly id: string
  /** Samples of one group (paths of one problem) share their beginning and are computed as one tree. */
  readonly group: string
  readonly question: string
  /** The only picture; short for `images` of one. */
  readonly image?: TrainImage
  /** Several pictures, in the order of their marks `<image>` in the question, or all in front of it. Not beside `image`. */
  readonly images?: readonly TrainImage[]
  /** prm: the answer step is the last of them; policy: it stands in `answer`. */
  readonly steps: readonly string[]
  /** policy: closes the solution as `<answer>…</answer>`. */
  readonly answer?: string
  /** policy: turns in place of the question, as the model is asked them; the texts of the user's hold the pictures' marks. */
  readonly turns?: readonly ChatTurn[]
  /** policy, with turns: the assistant's next turn, in place of steps and answer. */
  readonly reply?: string
  /** dpo: what the sample's own answer is preferred to. */
  readonly rejected?: TrainAnswer
  /** prm: probability in [0, 1] that the step is right; null where nothing is known. */
  readonly labels?: readonly (number | null)[]
  /** prm: share with which each label counts; 1 where absent. */
  readonly weights?: readonly number[]
  /** prm: next steps side by side, each behind `steps`, which have no labels then. */
  readonly siblings?: readonly TrainSibling[]
}

/** A sample as the model reads it. */
export interface TrainRow {
  readonly sample: TrainSample
  readonly tokens: Int32Array
  /** policy: weight with which each token is to be predicted. */
  readonly tokenWeights: Float32Array
  /** prm: positions, labels and weights. */
  readonly markers: Int32Array
  readonly labels: Float32Array
  readonly markerWeights: Float32Array
  /** Sum of the weights: what the summed loss is divided by. 1 for a pair. */
  readonly weight: number
  /** dpo: the same prompt with the other answer. */
  readonly rejected?: { readonly tokens: Int32Array; readonly tokenWeights: Float32Array }
  /** dpo: log-probabilities of the two answers under the untrained model; 0 where they are not known yet. */
  readonly reference?: readonly [chosen: number, rejected: number]
  /** Of a sample of siblings: a row for each. Then `tokens` are the longest one's, and labels and weights those of all in order. */
  readonly siblings?: readonly TrainRow[]
}

/** Tokens of a row: those of a pair, or of siblings, together. */
export const tokensOf = (row: TrainRow) =>
  (row.siblings ?? [row, row.rejected]).reduce((sum, sequence) => sum + (sequence?.tokens.length ?? 0), 0)
/** Of its longest sequence. */
export const longestOf = ({ tokens, rejected }: TrainRow) => Math.max(tokens.length, rejected?.tokens.length ?? 0)

/** Direct preference optimisation: -log σ(β·m), m = (log π − log π_ref)(chosen) − (log π − log π_ref)(rejected). */
export interface Preference {
  readonly beta: number
  /** Share of the pairs that are taken to be the wrong way round, below a half. */
  readonly labelSmoothing: number
  /** Of the preferred answer's own mean cross-entropy, which is added. */
  readonly chosenWeight: number
}

/** Sums over a batch: divide `loss` by `weight` for the mean. */
export interface BatchLoss {
  loss: number
  weight: number
  numCorrect: number
  numTerms: number
  /** Tokens of all samples, and rows computed after shared beginnings were packed. */
  numTokens: number
  numRows: number
  numImageRows: number
  /** prm: per sample, the predicted probability at each marker. */
  predictions: Float32Array[]
  /** dpo: of each row's two answers, the preferred one first. */
  logprobs?: readonly number[]
}

export interface OptimizerStep {
  learningRate: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  /** false: no decay on biases, norms and other vectors. */
  decayVectors: boolean
  /** Clipping by the global norm; 0: none. */
  maxNorm: number
}

export interface TrainableInfo {
  isa: string
  compute: 'bf16' | 'f32'
  threads: number
  parameters: number
  trainable: number
  maxPositions: number
}

export interface TrainableOptions {
  task: TrainTask
  /** Checkpoint folder to start from. */
  init: string
  compute: 'bf16' | 'f32'
  /** Default `cpu`. */
  device?: string | undefined
  isa?: Isa | undefined
  threads?: number | undefined
  freeze: readonly ('vision' | 'projector' | 'language')[]
  lora?: { rank: number; alpha: number; targets: readonly string[] } | undefined
  /** Activation checkpointing. */
  recompute: boolean
  seed: number
  /** prm: absent, the checkpoint's own, which may be the vocabulary's. */
  head?: TrainHead | undefined
  /** prm: what fits the head where absent. */
  loss?: TrainLoss | undefined
  /** Prompt template, or with a reward head the scoring family whose prompts are learnt; the default where absent. */
  template?: string | undefined
  maxTiles?: number | undefined
  /** How the tokens of samples of different lengths weigh (policy). */
  lossWeight: 'token' | 'sample' | 'square'
  /** dpo: rows are pairs of answers. */
  preference?: Preference | undefined
  /** What saveModel writes. `full`: all weights, adapters merged; `adapters`: PEFT's files, so nothing else may be trained. */
  saveAs: 'full' | 'adapters'
  /** A folder for what the model needs while it is open; made, and removed when it closes. A temporary one where absent. */
  work?: string | undefined
}

export interface SaveOptions {
  /** Of the weights; adapters are F32 always. */
  dtype: 'bf16' | 'f32'
  /** Goes into the folder's mm-prm.json beside task and template. */
  record: Readonly<Record<string, unknown>>
}

export interface TrainableModel extends AsyncDisposable {
  readonly info: TrainableInfo
  /** Hash of the folder that it was opened from. */
  readonly initHash?: string
  /** Task and template under which the result is to be used. */
  readonly record: Readonly<Record<string, unknown>>
  /** @throws EngineError naming the sample: INVALID_ARGUMENT, INVALID_MODEL where the model does not read what is in it */
  encode(sample: TrainSample): Promise<TrainRow>
  /** Adds scale · gradient of the summed loss. */
  accumulate(rows: readonly TrainRow[], scale: number): Promise<BatchLoss>
  evaluate(rows: readonly TrainRow[]): Promise<BatchLoss>
  /** Returns the gradients' global norm before clipping; not finite: no weight was changed. */
  step(options: OptimizerStep): Promise<number>
  /** A folder as it lies on a hub; files are replaced one by one, weights last. @throws EngineError STORE */
  saveModel(folder: string, options: SaveOptions): Promise<void>
  saveState(path: string): Promise<void>
  /** Returns the number of steps taken. */
  loadState(path: string): Promise<number>
  /** Stops what runs between two layers. */
  abort(): void
}

export type OpenTrainable = (options: TrainableOptions) => Promise<TrainableModel>
