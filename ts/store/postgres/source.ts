/** The problems of a database's runs as a source of work, and the heartbeats of those in hand. */
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError, storeError } from '../../contracts/errors.ts'
import type { Lease, WorkSource } from '../../contracts/work.ts'
import { PostgresLease } from './lease.ts'
import { LEASE_SECONDS, Queue } from './queue.ts'
import { Runs } from './runs.ts'

const POLL_MS = 400
/** Jobs that a crash lost are put again, by whoever finds nothing else to do. */
const SWEEP_MS = 15_000
const BEAT_MS = (LEASE_SECONDS * 1000) / 4

export interface PostgresSourceOptions {
  /** The database, without `#RUN`. */
  url: string
  /** Serves this run alone; default: all, in turn. */
  run?: string
  /** Ends when nothing is left to do; default: waits for more. */
  untilDone?: boolean
  /** Default: the machine and the process. */
  worker?: string
  /** Where pictures lie on this machine that were submitted without their bytes; default: where they lay there. */
  imageRoot?: string
  /** Told of each run that this worker may not work on, and leaves to others. */
  onLeave?: (run: string, why: Error) => void
}

export class PostgresSource implements WorkSource {
  readonly runs: Runs
  readonly #queue: Queue
  readonly #options: PostgresSourceOptions
  readonly #worker: string
  readonly #leases = new Set<PostgresLease>()
  /** Runs that are others' to work on. */
  readonly #left = new Set<string>()
  /** By run, of the devices that this worker computes on. */
  readonly #deviceClasses = new Map<string, string>()
  readonly #beat: NodeJS.Timeout
  #turn: Promise<unknown> = Promise.resolve()
  #served = 0
  #sweptAt = 0

  private constructor(runs: Runs, queue: Queue, options: PostgresSourceOptions) {
    this.runs = runs
    this.#queue = queue
    this.#options = options
    this.#worker = options.worker ?? `${hostname()}/${process.pid}`
    this.#beat = setInterval(() => void this.#beatOnce(), BEAT_MS)
  }

  /** @throws EngineError STORE: no such database or run, an older Node, packages that are missing */
  static async open(options: PostgresSourceOptions): Promise<PostgresSource> {
    const runs = await Runs.open(options.url)
    try {
      const run = options.run === undefined ? undefined : (await runs.find(options.run)).name
      return new PostgresSource(runs, await Queue.open(runs.db, true), { ...options, ...(run !== undefined && { run }) })
    } catch (error) {
      await runs.close()
      throw error
    }
  }

  /** One caller after the other: they would all find the same. */
  next(signal: AbortSignal): Promise<Lease | undefined> {
    const found = this.#turn.then(() => this.#find(signal))
    this.#turn = found.catch(() => {})
    return found
  }

  /** To be called where the worker is asked to end: it waits for no database that is away, and leases run out. */
  hurry(): void {
    this.runs.db.hurry()
  }

  /** To be called before anything of a run is written that was not computed on servers. */
  computesOn(run: string, deviceClass: string): void {
    this.#deviceClasses.set(run, deviceClass)
  }

  leave(run: string, why: Error): void {
    if (this.#options.run !== undefined) throw why
    if (!this.#left.has(run)) this.#options.onLeave?.(run, why)
    this.#left.add(run)
  }

  async close(): Promise<void> {
    clearInterval(this.#beat)
    await this.#queue.close()
    await this.runs.close()
  }

  async #find(signal: AbortSignal): Promise<Lease | undefined> {
    for (;;) {
      if (signal.aborted) throw new EngineError('ERR_ENGINE_ABORTED', 'the worker was stopped', { cause: signal.reason })
      const active = await this.#active(signal)
      for (let i = 0; i < active.length; i++) {
        const at = active[(this.#served + i) % active.length] as { run: number; name: string }
        const lease = await this.#claim(at)
        if (!lease) continue
        this.#served += i + 1
        return lease
      }
      if (this.#options.untilDone && (await this.#isDone())) return undefined
      await this.#sweep(active)
      await sleep(POLL_MS, undefined, { signal }).catch(() => {})
    }
  }

  async #active(signal: AbortSignal): Promise<{ run: number; name: string }[]> {
    const rows = await this.runs.db.query(
      `SELECT run, run_id FROM mm_prm.runs r WHERE status = 'active' AND ($1::text IS NULL OR run_id = $1)
         AND EXISTS (SELECT 1 FROM mm_prm.problems p WHERE p.run = r.run AND p.status NOT IN ('done', 'failed')) ORDER BY run`,
      [this.#options.run ?? null],
      signal,
    )
    const all = rows.map((row) => ({ run: Number(row['run']), name: String(row['run_id']) }))
    return all.filter(({ name }) => !this.#left.has(name))
  }

  /** A job whose problem is finished was left by a crash in between: it ends, and the next one is looked at. */
  async #claim({ run, name }: { run: number; name: string }): Promise<PostgresLease | undefined> {
    for (;;) {
      const job = await this.#queue.fetch(name)
      if (!job) return undefined
      const onEnd = (lease: PostgresLease) => void this.#leases.delete(lease)
      const lease = await PostgresLease.take({
        db: this.runs.db,
        queue: this.#queue,
        run,
        name,
        job,
        worker: this.#worker,
        deviceClass: () => this.#deviceClasses.get(name),
        imageRoot: this.#options.imageRoot,
        onEnd,
      })
      if (lease) {
        this.#leases.add(lease)
        return lease
      }
      await this.#queue.complete(name, job.id)
    }
  }

  /** @throws EngineError STORE where all that is left is of runs that are others' to work on */
  async #isDone(): Promise<boolean> {
    const rows = await this.runs.db.query(
      `SELECT run_id FROM mm_prm.runs r WHERE status <> 'cancelled' AND ($1::text IS NULL OR run_id = $1)
         AND EXISTS (SELECT 1 FROM mm_prm.problems p WHERE p.run = r.run AND p.status NOT IN ('done', 'failed'))`,
      [this.#options.run ?? null],
    )
    const names = rows.map((row) => String(row['run_id']))
    if (names.some((name) => !this.#left.has(name))) return false
    if (names.length === 0) return true
    throw storeError(`${this.runs.db.shown}: what is left is of runs that this worker may not work on: ${names.join(', ')}`)
  }

  async #sweep(active: readonly { run: number; name: string }[]): Promise<void> {
    if (performance.now() - this.#sweptAt < SWEEP_MS) return
    this.#sweptAt = performance.now()
    for (const { run, name } of active) await this.#queue.fill(run, name)
  }

  /** Tells the queue that this worker lives, and finds out what it has lost. */
  async #beatOnce(): Promise<void> {
    const leases = [...this.#leases]
    if (leases.length === 0) return
    try {
      for (const name of new Set(leases.map(({ run }) => run))) {
        await this.#queue.touch(
          name,
          leases.filter(({ run }) => run === name).map(({ claim }) => claim.job.id),
        )
      }
      const rows = await this.runs.db.query(
        `SELECT p.run, p.ordinal, p.attempt, r.status FROM mm_prm.problems p JOIN mm_prm.runs r USING (run)
         JOIN unnest($1::int[], $2::int[]) AS mine (run, ordinal) USING (run, ordinal)`,
        [leases.map(({ claim }) => claim.run), leases.map(({ claim }) => claim.job.ordinal)],
      )
      const found = new Map(rows.map((row) => [`${row['run']}/${row['ordinal']}`, row]))
      for (const lease of leases) {
        const row = found.get(`${lease.claim.run}/${lease.claim.job.ordinal}`)
        if (!this.#leases.has(lease)) continue
        if (row?.['status'] === 'cancelled') lease.lose('its run was cancelled')
        else if (row?.['attempt'] !== lease.attempt) lease.lose('another worker has taken it over')
      }
    } catch {
      // The database is away: writes wait for it, and say so; who has the lease shows when it is back.
    }
  }
}
