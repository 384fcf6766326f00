/**
 * A search strategy: an async generator of events over what it is given here. It never prints and never writes;
 * store, dataset builder and reports consume its events.
 */
import type { z } from 'zod'
import type { SearchEvent } from '../contracts/events.ts'
import type { Policy } from '../contracts/policy.ts'
import type { Problem } from '../contracts/problem.ts'
import type { KnownWork } from '../contracts/run-store.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import type { Streams } from '../contracts/streams.ts'
import type { Verifier } from '../contracts/verifier.ts'

/** Limits for one problem, checked before each selection; the work under way is brought to its end. */
export interface Budget {
  readonly maxRollouts: number
  readonly maxTokens: number
}

/** Which limit is reached, if one is. */
export function spentOf({ maxRollouts, maxTokens }: Budget, rollouts: number, tokens: number): 'rollouts' | 'tokens' | undefined {
  if (rollouts >= maxRollouts) return 'rollouts'
  return tokens >= maxTokens ? 'tokens' : undefined
}

/** What a strategy works with; `known` is what an interrupted search of the problem left behind. */
export interface SearchContext {
  readonly problem: Problem
  readonly policy: Policy
  readonly verifier: Verifier
  readonly scorer?: StepScorer
  readonly rng: Streams
  readonly budget: Budget
  readonly known: KnownWork
  readonly signal?: AbortSignal
}

// biome-ignore lint/suspicious/noExplicitAny: a registry holds strategies of different options
export interface Strategy<S extends z.ZodObject = any> {
  readonly name: string
  readonly needsScorer: boolean
  /** Every option with its default. */
  readonly options: S
  run(context: SearchContext, options: z.output<S>): AsyncGenerator<SearchEvent, void, void>
}
