/**
 * What a search strategy emits. A task of a strategy goes on only after its consumer has asked for the next event, so
 * an `evaluated` node is durable before its children are asked for. The order of `selected` and `candidate` events
 * depends on options and seed alone; `evaluated` and `verdict` events come as they are ready.
 */
import type { CandidateRecord, EvaluationRecord, ProblemTree, SiblingScores, VerdictRecord } from './records.ts'

export type StopReason = 'exhausted' | 'searches' | 'rollouts' | 'tokens' | 'complete'

export type SearchEvent =
  | { readonly type: 'verdict'; readonly verdict: VerdictRecord }
  | { readonly type: 'evaluated'; readonly evaluation: EvaluationRecord; readonly elapsedMs: number }
  | {
      readonly type: 'selected'
      /** How many were selected before. */
      readonly search: number
      readonly prefix: readonly string[]
      readonly rollout: readonly string[]
      /** Q + U */
      readonly priority: number
    }
  | { readonly type: 'scored'; readonly siblings: SiblingScores }
  | { readonly type: 'candidate'; readonly candidate: CandidateRecord }
  | {
      readonly type: 'finished'
      readonly reason: StopReason
      readonly searches: number
      readonly rollouts: number
      /** Strategies that build a tree hand it over here. */
      readonly tree?: ProblemTree
    }
