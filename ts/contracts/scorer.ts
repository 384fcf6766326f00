/** A step scorer (a process reward model, a judge, an ensemble) rates every step of a solution. */
import type { Problem } from './problem.ts'

export interface StepScores {
  /** One per step, each in [0, 1]. */
  readonly scores: readonly number[]
  /** Raw logits per step, `[yes, no]` for pair families; aggregations computed from them need no sentinels. */
  readonly logits?: readonly (readonly number[])[]
  /** Why this solution has no scores, where the others have theirs: too long for the model, say. */
  readonly error?: string
  /** Spread of an ensemble or of repeated judgements, per step. */
  readonly std?: readonly number[]
  /** What a judge in words wrote about it. */
  readonly words?: string
}

export interface ScoreRequest {
  readonly problem: Problem
  /** Solutions as lists of steps, as policies and `engine.generate` return them: the last one is the answer. */
  readonly solutions: readonly (readonly string[])[]
}

export interface StepScorer {
  /** Recorded with a run, like a policy's identity. */
  readonly name: string
  /** A step whose score is below it is taken for wrong; absent where nobody fitted one. */
  readonly threshold?: number
  /** @returns one entry per solution. @throws EngineError POLICY, INVALID_ARGUMENT, ABORTED */
  score(request: ScoreRequest, signal?: AbortSignal): Promise<StepScores[]>
}
