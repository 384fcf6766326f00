/**
 * Runs a strategy over many problems at once, so that the policy's batch stays full, and writes every event to the
 * store before the strategy goes on. A problem whose policy or judge fails is left unfinished; the others go on.
 */
import type { z } from 'zod'
import { EngineError, type ErrorCode, isOutage, policyError } from '../contracts/errors.ts'
import type { SearchEvent } from '../contracts/events.ts'
import type { Policy } from '../contracts/policy.ts'
import type { Awaitable, RunIdentity, RunStore } from '../contracts/run-store.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import { streamsOf } from '../contracts/streams.ts'
import type { Verifier } from '../contracts/verifier.ts'
import type { Lease, WorkSource } from '../contracts/work.ts'
import { type Problems, storeSource } from './source.ts'
import type { Budget, SearchContext, Strategy } from './strategy.ts'

/** So many problems failing in a row, beyond those in flight, means that the policy itself is out of order. */
const MAX_FAILURES_IN_A_ROW = 8

/** Why a run is none for this worker: another's options, folders and models may be others. Anything else may pass. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'ERR_ENGINE_INVALID_ARGUMENT',
  'ERR_ENGINE_INVALID_MODEL',
  'ERR_ENGINE_UNSUPPORTED_MODEL',
])

/** How one run searches; `options` are those of the strategy, as its schema's `parse` returns them. */
export interface SearchSettings {
  readonly strategy: Strategy
  readonly options: z.output<z.ZodObject>
  readonly budget: Budget
  readonly seed: number
  readonly policy: Policy
  readonly verifier: Verifier
  readonly scorer?: StepScorer
}

/** How a source is worked on. */
export interface WorkOptions {
  /** Problems worked on at once. */
  readonly inFlight: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Readonly<SearchProgress>) => void
}

/** Everything of one run on one machine. */
export interface SearchRun extends SearchSettings, WorkOptions {
  readonly problems: Problems
  readonly store: RunStore
  /** What the policy found out about itself before the run. */
  readonly onWarning?: (warning: string) => void
}

/** A source of problems, perhaps of several runs. */
export interface Work extends WorkOptions {
  readonly source: WorkSource
  /**
   * How a lease's run searches.
   * @throws EngineError INVALID_ARGUMENT, INVALID_MODEL, UNSUPPORTED_MODEL where this worker may not; any other ends the work
   */
  settingsOf(lease: Lease): Awaitable<SearchSettings>
}

/** For SqliteRunStore.open: what a store records of a run, everything that its results depend on. */
export function identityOf(run: SearchSettings): RunIdentity {
  const { seed, strategy, options, budget, policy, verifier, scorer } = run
  return {
    ...{ seed, strategy: strategy.name, options, budget: { ...budget } },
    ...{ policy: policy.identity, verifier: verifier.name, scorer: scorer?.name ?? null },
  }
}

export interface SearchProgress {
  /** Finished now. */
  done: number
  /** Found finished in the store. */
  skipped: number
  failed: number
  searches: number
  rollouts: number
  correct: number
  unparsed: number
  truncated: number
}

class Runner {
  readonly progress: SearchProgress = {
    done: 0,
    skipped: 0,
    failed: 0,
    searches: 0,
    rollouts: 0,
    correct: 0,
    unparsed: 0,
    truncated: 0,
  }
  readonly #work: Work
  readonly #controller = new AbortController()
  readonly #signal: AbortSignal
  /** Since the last that was finished: the problems that failed, each once though it came again, and every outage. */
  readonly #failedInARow = new Set<string>()

  constructor(work: Work) {
    this.#work = work
    this.#signal = work.signal ? AbortSignal.any([work.signal, this.#controller.signal]) : this.#controller.signal
  }

  async all(): Promise<void> {
    const { source, inFlight } = this.#work
    const worker = async () => {
      try {
        for (;;) {
          this.#throwIfAborted()
          const lease = await source.next(this.#signal)
          if (!lease) return
          await this.#problem(lease)
        }
      } catch (error) {
        this.#controller.abort(error)
        throw error
      }
    }
    const results = await Promise.allSettled(Array.from({ length: inFlight }, worker))
    const reasons = results.flatMap((r) => (r.status === 'rejected' ? [r.reason] : []))
    if (reasons.length > 0) throw this.#controller.signal.reason ?? reasons[0]
  }

  async #problem(lease: Lease): Promise<void> {
    if (lease.status === 'done') {
      this.progress.skipped++
      await lease.done()
      return this.#report()
    }
    const { problem, known } = lease
    const signal = lease.signal ? AbortSignal.any([this.#signal, lease.signal]) : this.#signal
    const settings = await this.#settingsOf(lease)
    if (!settings) return
    const { strategy, options, budget, seed, policy, verifier, scorer } = settings
    try {
      const context: SearchContext = {
        ...{ problem, policy, verifier, budget, known, signal, rng: streamsOf(seed, problem.id) },
        ...(scorer && { scorer }),
      }
      for await (const event of strategy.run(context, options)) {
        await lease.append(event)
        this.#count(event)
      }
      await lease.done()
      this.progress.done++
      this.#failedInARow.clear()
    } catch (error) {
      await this.#failed(lease, error)
    }
    this.#report()
  }

  /** A run that this worker may not work on is no fault of the problem, and no end of the work on others: undefined. */
  async #settingsOf(lease: Lease): Promise<SearchSettings | undefined> {
    const { source } = this.#work
    try {
      return await this.#work.settingsOf(lease)
    } catch (error) {
      await lease.giveBack((error as Error).message)
      this.#throwIfAborted()
      if (lease.run === undefined || !source.leave || !isRefusal(error)) throw error
      source.leave(lease.run, error as Error)
      return undefined
    }
  }

  /** Leaves the problem unfinished where the fault is the policy's or the problem's; anything else ends the run. */
  async #failed(lease: Lease, error: unknown): Promise<void> {
    if (lease.signal?.aborted) return // another worker has it
    const isOurs = error instanceof EngineError && isAboutProblem(error)
    if (this.#signal.aborted || !isOurs) {
      await lease.giveBack(error instanceof Error ? error.message : String(error))
      this.#throwIfAborted()
      throw error
    }
    // Else every start of a worker whose server is gone would count against the problems, until they are given up.
    const isExcused = isOutage(error)
    await lease.fail(error.message, isExcused)
    this.progress.failed++
    this.#failedInARow.add(isExcused ? `outage ${this.progress.failed}` : JSON.stringify([lease.run, lease.problem.id]))
    const { size } = this.#failedInARow
    if (size < MAX_FAILURES_IN_A_ROW + this.#work.inFlight) return
    throw policyError(`${size} problems in a row failed; the last one: ${error.message}`, error)
  }

  #count(event: SearchEvent): void {
    if (event.type === 'selected') this.progress.searches++
    if (event.type !== 'evaluated') return
    const { counts, rollouts } = event.evaluation
    this.progress.rollouts += rollouts.length
    this.progress.correct += counts.correct
    this.progress.unparsed += counts.unparsed
    this.progress.truncated += counts.truncated
    this.#report()
  }

  #report(): void {
    this.#work.onProgress?.(this.progress)
  }

  #throwIfAborted(): void {
    if (!this.#signal.aborted) return
    const { reason } = this.#signal
    throw reason instanceof EngineError
      ? reason
      : new EngineError('ERR_ENGINE_ABORTED', 'the search was aborted', { cause: reason })
  }
}

const isRefusal = (error: unknown) => error instanceof EngineError && REFUSALS.has(error.code)

function isAboutProblem({ code }: EngineError): boolean {
  return code === 'ERR_ENGINE_POLICY' || code === 'ERR_ENGINE_INVALID_ARGUMENT'
}

/**
 * Works on what a source gives until it gives no more.
 * @throws EngineError ABORTED, STORE, POLICY (problem after problem failed); what was in hand is given back
 */
export async function runWork(work: Work): Promise<SearchProgress> {
  const runner = new Runner(work)
  await runner.all()
  return runner.progress
}

/**
 * Searches every problem that the store does not hold as finished.
 * @throws EngineError ABORTED (resumable), STORE, POLICY (problem after problem failed), INVALID_ARGUMENT (an id twice)
 */
export async function runSearch(run: SearchRun): Promise<SearchProgress> {
  const { problems, store, policy, signal, onWarning } = run
  for (const warning of (await policy.prepare?.(signal)) ?? []) onWarning?.(warning)
  const source = storeSource(problems, store)
  try {
    return await runWork({ ...run, source, settingsOf: () => run })
  } finally {
    await source.end()
  }
}
