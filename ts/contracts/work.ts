/** Where a search takes its problems from: a file and a store of one machine, or a queue that many machines share. */
import type { SearchEvent } from './events.ts'
import type { Problem } from './problem.ts'
import type { SearchStatus } from './records.ts'
import type { KnownWork } from './run-store.ts'

/** One problem to be worked on, and the right to write its results. */
export interface Lease {
  readonly problem: Problem
  /** `done`: nothing is left to do. */
  readonly status: SearchStatus
  /** What earlier attempts left behind. */
  readonly known: KnownWork
  /** Name of the run that it belongs to, where a source serves several. */
  readonly run?: string
  /** Aborts when the right is lost: another worker has taken the problem over, or the run was cancelled. */
  readonly signal?: AbortSignal
  /** Resolves when the event is durable. @throws EngineError STORE, ABORTED where the right is lost */
  append(event: SearchEvent): Promise<void>
  /**
   * Leaves the problem unfinished, with the reason. One that fails again and again may be given up.
   * @param isExcused the fault is not the problem's, and does not count against it
   */
  fail(reason: string, isExcused: boolean): Promise<void>
  /** The problem is finished: to be called behind its last event. */
  done(): Promise<void>
  /** Lets go of an unfinished problem, for whoever comes next. */
  giveBack(reason: string): Promise<void>
}

export interface WorkSource {
  /** The next problem; waits for one where more may come. undefined: there is none left. @throws EngineError STORE, ABORTED */
  next(signal: AbortSignal): Promise<Lease | undefined>
  /**
   * This worker may not work on a run, which is another's then: nothing more of it comes. Absent where a source is one run.
   * @throws `why` where there is to be no other run
   */
  leave?(run: string, why: Error): void
}
