/**
 * A policy writes solutions step by step. A rollout is its continuation of a prefix of steps; what it wrote is
 * either complete, or of an outcome of its own: unparsable and truncated text is never "wrong".
 */
import type { Problem } from './problem.ts'

/**
 * `complete`: well-formed up to its answer; `unparsed`: no answer, or tags that do not fit; `truncated`: cut at the
 * token limit; `stopped`: ended on purpose at the request's `maxSteps`.
 */
export type Outcome = 'complete' | 'unparsed' | 'truncated' | 'stopped'

export interface Rollout {
  readonly outcome: Outcome
  /** Steps after the prefix, in order; in a complete rollout the last one is the answer block. */
  readonly steps: readonly string[]
  /** The policy's raw output. */
  readonly text: string
  /** Tokens generated, where the policy tells; an estimate, exact in sum, where it counts several samples as one. */
  readonly numTokens?: number
}

/** Sampling as sent to the model; part of a run's identity. */
export interface Sampling {
  readonly temperature: number
  /** 0: off. */
  readonly topK: number
  readonly topP: number
  readonly repetitionPenalty: number
  readonly maxTokens: number
}

export interface RolloutRequest {
  readonly problem: Problem
  /** Steps already written; empty at the question itself. */
  readonly prefix: readonly string[]
  /** Key of the node's random stream, below 2^53; rollout i of it depends on (seed, i) and the prefix alone. */
  readonly seed: number
  /** Index of the first rollout wanted. */
  readonly from: number
  readonly count: number
  /** Stop after so many steps of the continuation. */
  readonly maxSteps?: number
}

/** What a run records about its policy: a changed value is another run, `model` aside. */
export interface PolicyIdentity {
  readonly kind: string
  /** Its name on a server, or where its folder lay. */
  readonly model: string
  /** Hash of the weights, or of the server's model name where weights are not at hand. */
  readonly modelHash: string
  readonly template: string
  readonly templateHash: string
  readonly sampling: Sampling
  /** How its steps are told apart, where it does not write our tags. */
  readonly steps?: string
  /** What the model's own chat template is told, such as `{ enable_thinking: false }`. */
  readonly templateVariables?: Readonly<Record<string, unknown>>
  /** Of a server: the most samples of one request, whose common seed is that of the first. */
  readonly samplesPerRequest?: number
}

/** What decides about a policy's rollouts: whose hash it is, wherever the folder lies now. */
export function rolloutIdentity({ model, ...decisive }: PolicyIdentity): Omit<PolicyIdentity, 'model'> {
  return decisive
}

export interface Policy {
  readonly identity: PolicyIdentity
  /**
   * Finds out, once before a run, whether what stands behind the policy can do what it will be asked. Resolves to what
   * the user should know; what cannot be found out is no error.
   * @throws EngineError INVALID_ARGUMENT naming the options that would do; ABORTED
   */
  prepare?(signal?: AbortSignal): Promise<readonly string[]>
  /**
   * Rollouts for many prefixes at once: `result[i][j]` is rollout `requests[i].from + j`.
   * @throws EngineError POLICY (the model or server fails for good; names the problem id), ABORTED
   */
  rollouts(requests: readonly RolloutRequest[], signal?: AbortSignal): Promise<Rollout[][]>
}
