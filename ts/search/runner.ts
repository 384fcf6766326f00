/**
 * Runs a strategy over many problems at once, so that the policy's batch stays full, and writes every event to the
 * store before the strategy goes on. A problem whose policy or judge fails is left unfinished; the others go on.
 */
import type { z } from 'zod'
import { EngineError, invalidArgument, policyError } from '../contracts/errors.ts'
import type { SearchEvent } from '../contracts/events.ts'
import type { Policy } from '../contracts/policy.ts'
import type { Problem } from '../contracts/problem.ts'
import type { RunIdentity, RunStore } from '../contracts/run-store.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import type { Verifier } from '../contracts/verifier.ts'
import { streamsOf } from './seeds.ts'
import type { Budget, SearchContext, Strategy } from './strategy.ts'

/** So many problems failing in a row, beyond those in flight, means that the policy itself is out of order. */
const MAX_FAILURES_IN_A_ROW = 8

/** Everything of one run; `options` are those of the strategy, as its schema's `parse` returns them. */
export interface SearchRun {
  readonly problems: AsyncIterable<Problem> | Iterable<Problem>
  readonly strategy: Strategy
  readonly options: z.output<z.ZodObject>
  readonly budget: Budget
  readonly seed: number
  readonly policy: Policy
  readonly verifier: Verifier
  readonly scorer?: StepScorer
  readonly store: RunStore
  /** Problems worked on at once. */
  readonly inFlight: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Readonly<SearchProgress>) => void
  /** What the policy found out about itself before the run. */
  readonly onWarning?: (warning: string) => void
}

/** For SqliteRunStore.open: what a store records of a run, everything that its results depend on. */
export function identityOf(run: Omit<SearchRun, 'problems' | 'store' | 'inFlight'>): RunIdentity {
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
  readonly #run: SearchRun
  readonly #controller = new AbortController()
  readonly #signal: AbortSignal
  readonly #seen = new Set<string>()
  #failuresInARow = 0

  constructor(run: SearchRun) {
    this.#run = run
    this.#signal = run.signal ? AbortSignal.any([run.signal, this.#controller.signal]) : this.#controller.signal
  }

  async all(): Promise<void> {
    const { problems, inFlight, policy, onWarning } = this.#run
    for (const warning of (await policy.prepare?.(this.#signal)) ?? []) onWarning?.(warning)
    const iterator = Symbol.asyncIterator in problems ? problems[Symbol.asyncIterator]() : problems[Symbol.iterator]()
    const worker = async () => {
      try {
        for (;;) {
          this.#throwIfAborted()
          const next = await iterator.next()
          if (next.done) return
          await this.#problem(next.value)
        }
      } catch (error) {
        this.#controller.abort(error)
        throw error
      }
    }
    const results = await Promise.allSettled(Array.from({ length: inFlight }, worker))
    const reasons = results.flatMap((r) => (r.status === 'rejected' ? [r.reason] : []))
    if (reasons.length === 0) return
    await iterator.return?.()
    throw this.#controller.signal.reason ?? reasons[0]
  }

  async #problem(problem: Problem): Promise<void> {
    if (this.#seen.has(problem.id)) throw invalidArgument(`problem id "${problem.id}" occurs twice`)
    this.#seen.add(problem.id)
    const { status, known } = this.#run.store.begin(problem)
    if (status === 'done') {
      this.progress.skipped++
      return this.#report()
    }
    const { strategy, options, budget, seed, policy, verifier, scorer } = this.#run
    const context: SearchContext = {
      ...{ problem, policy, verifier, budget, known, signal: this.#signal, rng: streamsOf(seed, problem.id) },
      ...(scorer && { scorer }),
    }
    try {
      for await (const event of strategy.run(context, options)) {
        await this.#run.store.append(problem.id, event)
        this.#count(event)
      }
      this.progress.done++
      this.#failuresInARow = 0
    } catch (error) {
      await this.#failed(problem, error)
    }
    this.#report()
  }

  /** Leaves the problem unfinished where the fault is the policy's or the problem's; anything else ends the run. */
  async #failed(problem: Problem, error: unknown): Promise<void> {
    this.#throwIfAborted()
    if (!(error instanceof EngineError) || !isAboutProblem(error)) throw error
    await this.#run.store.fail(problem.id, error.message)
    this.progress.failed++
    if (++this.#failuresInARow >= MAX_FAILURES_IN_A_ROW + this.#run.inFlight) {
      throw policyError(`${this.#failuresInARow} problems in a row failed; the last one: ${error.message}`, error)
    }
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
    this.#run.onProgress?.(this.progress)
  }

  #throwIfAborted(): void {
    if (!this.#signal.aborted) return
    const { reason } = this.#signal
    throw reason instanceof EngineError
      ? reason
      : new EngineError('ERR_ENGINE_ABORTED', 'the search was aborted', { cause: reason })
  }
}

function isAboutProblem({ code }: EngineError): boolean {
  return code === 'ERR_ENGINE_POLICY' || code === 'ERR_ENGINE_INVALID_ARGUMENT'
}

/**
 * Searches every problem that the store does not hold as finished.
 * @throws EngineError ABORTED (resumable), STORE, POLICY (problem after problem failed), INVALID_ARGUMENT (an id twice)
 */
export async function runSearch(run: SearchRun): Promise<SearchProgress> {
  const runner = new Runner(run)
  await runner.all()
  return runner.progress
}
