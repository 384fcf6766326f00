/** A model that reasons in words about a solution, and whose next word can be read as probabilities. */
import type { ProblemImage } from './problem.ts'

export interface CriticMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

export interface CriticRequest {
  /** Where the last one is the assistant's, it is gone on with. */
  readonly messages: readonly CriticMessage[]
  /** Shown before the first of the user's messages, or at its marks `<image>`. */
  readonly images?: readonly ProblemImage[] | undefined
}

export interface CriticSampling {
  readonly temperature: number
  readonly topP: number
  /** 0: off. */
  readonly topK: number
  readonly maxTokens: number
  readonly seed: number
}

export interface WriteRequest extends CriticRequest {
  readonly sampling: CriticSampling
  /** Which of the seed's streams draws. */
  readonly sample: number
  /** Texts that end it, left out of what comes back. */
  readonly stop?: readonly string[]
}

/** How likely a choice is as the very next token. */
export interface Choice {
  readonly logprob: number
  /** The model did not tell it: it is no likelier than this. */
  readonly isBound: boolean
}

export interface Critic {
  /** Recorded with a run, like a policy's identity. */
  readonly name: string
  /** @throws EngineError POLICY, INVALID_ARGUMENT, ABORTED */
  write(request: WriteRequest, signal?: AbortSignal): Promise<string>
  /** One per choice, in order: each is one token as it stands, a leading blank included. Throws like `write`. */
  choose(request: CriticRequest & { readonly choices: readonly string[] }, signal?: AbortSignal): Promise<readonly Choice[]>
}
