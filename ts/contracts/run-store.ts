/** What a search needs of the place where its results are kept, and what the dataset builder reads back from it. */
import type { SearchEvent } from './events.ts'
import type { PolicyIdentity } from './policy.ts'
import type { Problem } from './problem.ts'
import type { CandidateRecord, EvaluationRecord, ProblemTree, SearchStatus, SiblingScores, VerdictRecord } from './records.ts'

/** Everything that a run's results depend on. A changed value is another run. */
export interface RunIdentity {
  readonly seed: number
  readonly strategy: string
  readonly options: Readonly<Record<string, unknown>>
  readonly budget: Readonly<Record<string, number>>
  readonly policy: PolicyIdentity
  readonly verifier: string
  /** Name of the step scorer; null where the strategy uses none. */
  readonly scorer: string | null
}

/** What an earlier, interrupted search of a problem left behind: a resumed one replays it instead of asking again. */
export interface KnownWork {
  readonly evaluations: readonly EvaluationRecord[]
  readonly verdicts: readonly VerdictRecord[]
}

/** A store in this process answers at once, one on another machine later: callers await. */
export type Awaitable<T> = T | Promise<T>

export interface RunStore {
  /** Registers a problem, or returns what is known of it. @throws EngineError STORE where it differs from the stored one */
  begin(problem: Problem): Awaitable<{ status: SearchStatus; known: KnownWork }>
  /** Resolves when the event is durable. @throws EngineError STORE */
  append(problemId: string, event: SearchEvent): Promise<void>
  /** Marks a problem as unfinished, with the reason. */
  fail(problemId: string, reason: string): Promise<void>
  close(): Promise<void>
}

export interface RunReader {
  readonly identity: RunIdentity
  /** Hash of the identity. */
  readonly runId: string
  /** Trees of finished problems in their order of registration, one in memory at a time. */
  trees(): AsyncIterable<ProblemTree>
  /** Candidates of finished problems, problem by problem; `tokens`: what the policy generated for all of the problem's search. */
  candidates(): AsyncIterable<{ problem: Problem; candidates: CandidateRecord[]; tokens: number }>
  /** Scores of siblings of finished problems, problem by problem; none where nothing was scored side by side. */
  siblings(): AsyncIterable<{ problem: Problem; siblings: SiblingScores[] }>
  summary(): Awaitable<RunSummary>
  close(): Awaitable<void>
}

export interface RunSummary {
  readonly problems: Readonly<Record<SearchStatus, number>>
  readonly evaluations: number
  readonly rollouts: number
  readonly correct: number
  readonly unparsed: number
  readonly truncated: number
  readonly tokens: number
  /** Unfinished problems with their reasons. */
  readonly failures: readonly { id: string; reason: string }[]
}
