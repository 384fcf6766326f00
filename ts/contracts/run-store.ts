/** What a search needs of the place where its results are kept. */
import type { SearchEvent } from './events.ts'
import type { Problem } from './problem.ts'
import type { EvaluationRecord, ProblemTree, SearchStatus, VerdictRecord } from './records.ts'

/** What an earlier, interrupted search of a problem left behind: a resumed one replays it instead of asking again. */
export interface KnownWork {
  readonly evaluations: readonly EvaluationRecord[]
  readonly verdicts: readonly VerdictRecord[]
}

export interface RunStore {
  /** Registers the problem, or returns what is known of it. @throws EngineError STORE where it differs from the stored one */
  begin(problem: Problem): { status: SearchStatus; known: KnownWork }
  /** Resolves when the event is durable. @throws EngineError STORE */
  append(problemId: string, event: SearchEvent): Promise<void>
  /** Marks the problem as unfinished, with the reason. */
  fail(problemId: string, reason: string): Promise<void>
  /** Finished problems in their order of registration, one tree in memory at a time. */
  trees(): AsyncIterable<ProblemTree>
  close(): Promise<void>
}
