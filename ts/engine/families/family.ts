/** What a scoring family is: how a solution becomes a prompt with one marker per step, and what is read there. */
import type { HeadKind } from '../native.ts'
import type { Tokenizer } from '../tokenizer/index.ts'

export interface ScoringRequest {
  question: string
  steps: readonly string[]
  /** Rows that each picture has in the language model, in order. */
  imageRows: readonly number[]
}

/**
 * `pair`: softmax over two vocabulary logits; `classes`: softmax over a reward head; `logit`: sigmoid of its only value;
 * `ensemble`: the mean of its values' sigmoids;
 * `ratio`: sigmoid of beta · Σ (log π − log π_ref) over the rows from `first` to the step's own.
 */
export type Reward =
  | { kind: 'pair'; yes: number; no: number }
  | { kind: 'classes'; positive: number }
  | { kind: 'logit' }
  | { kind: 'ensemble' }
  | { kind: 'ratio'; first: number; beta: number }

export interface ScoringPrompt {
  ids: number[]
  /** Positions whose logits are read, one per step. */
  markers: number[]
  reward: Reward
}

export interface ScoringFamily {
  readonly name: string
  /** False where no token of the family's own stands behind a step. */
  readonly marked?: false
  /** A sequence of its own for every step: `prompt` is asked with the steps up to each, and marks the last alone. */
  readonly perStep?: true
  /** @throws EngineError INVALID_ARGUMENT */
  prompt(tokenizer: Tokenizer, request: ScoringRequest): ScoringPrompt
}

/** What is known of an open checkpoint. */
export interface CheckpointTraits {
  architecture: string
  hasRewardHead: boolean
  /** Of what kind the head is. */
  head?: HeadKind
  /** Of the reward head. */
  numClasses?: number
  pieceId(piece: string): number | undefined
  config: { system_message?: string | undefined; rr_token?: string | undefined }
  /** See ImagePrompt. */
  ownChat?: boolean
  recorded:
    | {
        scoring?: string | undefined
        template?: string | undefined
        beta?: number | undefined
        systemMessage?: string | undefined
      }
    | undefined
  /** Whether a reference model is open beside it. */
  hasReference?: boolean
}

/** One file per family exports one of these; families/index.ts lists them. */
export interface FamilyDefinition {
  readonly name: string
  /** What it reads: two rows of the vocabulary, or the classes of a reward head. */
  readonly head: 'vocabulary' | 'classes'
  /** The token that it puts behind each step, where that is one of its own. */
  readonly marker?: string
  /** Whether a step's score is a comparison with a second model. */
  readonly reference?: true
  /** What a checkpoint of this family is recognised by, for people to read; absent where nothing tells. */
  readonly shows?: string
  /** Whether a checkpoint shows by itself that it is of this family. */
  recognise(traits: CheckpointTraits): boolean
  create(traits: CheckpointTraits): ScoringFamily
}
