/** A verifier tells whether an answer equals the reference answer: by rules, or by a judge model. */
import type { Problem, ProblemImage } from './problem.ts'

/** The method of a verdict that is none: the answer was too long, too deep or too large to tell. It counts as unparsed. */
export const UNDECIDED = 'undecided'

export interface Verdict {
  readonly match: boolean
  /** How it was decided: `exact`, `numeric`, `symbolic`, `choice`, `judge`, …; or `UNDECIDED`. */
  readonly method: string
  /** A judge's own words. */
  readonly raw?: string
}

/**
 * One question to a judge, its words in return.
 * @param attempt how often the same was asked before; a judge that samples draws anew
 */
export type AskJudge = (
  prompt: string,
  signal?: AbortSignal,
  attempt?: number,
  images?: readonly ProblemImage[],
) => Promise<string>

/** Index of a solution's first wrong step; null where every step is right; `unread` where the judge's words name neither. */
export type FirstError = number | null | 'unread'
export type FirstErrorJudge = (problem: Problem, steps: readonly string[], signal?: AbortSignal) => Promise<FirstError>

export interface Verifier {
  readonly name: string
  /** All of a solution's steps are its answer, a query's say; absent: the last one is. */
  readonly whole?: true
  /** The answer that an answer block holds, given what stands between its tags; null where it holds none. */
  extract(content: string): string | null
  /**
   * One verdict per distinct answer; callers cache it by (problem, answer).
   * A judge's outage is thrown, never turned into a verdict.
   * @throws EngineError POLICY (no usable judgement after retries; names the problem id), ABORTED
   */
  verify(problem: Problem, answer: string, signal?: AbortSignal): Promise<Verdict>
}

/** What of a solution a verifier is shown. */
export function answerText({ whole }: Pick<Verifier, 'whole'>, steps: readonly string[]): string {
  return whole ? steps.join('\n') : (steps.at(-1) ?? '')
}
