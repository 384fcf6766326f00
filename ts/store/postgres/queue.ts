/**
 * pg-boss as the queue: it says who works on what, never what is true. One queue per run, one job per problem. A job whose
 * worker is silent for longer than a heartbeat goes to the next one.
 */
import type { PgBoss } from 'pg-boss'
import { storeError } from '../../contracts/errors.ts'
import { withoutUserinfo } from '../../contracts/secrets.ts'
import { type Connection, IDLE_IN_TRANSACTION_MS, isPassing, loadModules } from './connection.ts'

/** The least that pg-boss takes. */
export const LEASE_SECONDS = 10
/** Jobs are looked after so often, by every worker. */
const MONITOR_SECONDS = 2
/** A day, the most that pg-boss takes; the heartbeat ends what is dead long before. */
const EXPIRE_SECONDS = 86_000
/** pg-boss drops jobs that wait for two weeks unless told otherwise. */
const KEEP_SECONDS = 5 * 365 * 86_400
const RETRIES = 1_000_000
const BATCH = 1000
const RETRY_MS = 500

const queueName = (run: string) => `run-${run}`

export interface Job {
  readonly id: string
  readonly ordinal: number
}

export class Queue {
  readonly #boss: PgBoss
  readonly #db: Connection
  readonly #known = new Set<string>()

  private constructor(boss: PgBoss, db: Connection) {
    this.#boss = boss
    this.#db = db
  }

  /** @param supervise whether to look after jobs of workers that are gone */
  static async open(db: Connection, supervise = false): Promise<Queue> {
    const { PgBoss: Boss } = await loadModules()
    const options = {
      connectionString: db.url,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      schema: 'mm_prm_queue',
      max: 3,
      supervise,
      schedule: false,
      superviseIntervalSeconds: MONITOR_SECONDS,
      monitorIntervalSeconds: MONITOR_SECONDS,
    }
    const boss = new Boss(options)
    // A restart of the server is dozens of them; what matters of it fails, and is tried again, elsewhere.
    boss.on('error', () => {})
    await patiently(db, () => boss.start())
    return new Queue(boss, db)
  }

  /** Puts a job for every problem that is not finished and has none. */
  async fill(run: number, name: string): Promise<void> {
    const queue = await this.#queue(name)
    const rows = await this.#db.query(
      `SELECT ordinal FROM mm_prm.problems WHERE run = $1 AND status NOT IN ('done', 'failed') ORDER BY ordinal`,
      [run],
    )
    for (let at = 0; at < rows.length; at += BATCH) {
      const jobs = rows.slice(at, at + BATCH).map(({ ordinal }) => ({ data: { ordinal }, singletonKey: String(ordinal) }))
      // Of a key that is queued or active already there is no second job: the queue is exclusive.
      await patiently(this.#db, () => this.#boss.insert(queue, jobs))
    }
  }

  async fetch(name: string): Promise<Job | undefined> {
    const queue = await this.#queue(name)
    const [job] = await patiently(this.#db, () => this.#boss.fetch<{ ordinal: number }>(queue, { batchSize: 1 }))
    return job && { id: job.id, ordinal: Number(job.data.ordinal) }
  }

  /** Says that the worker is alive. */
  async touch(name: string, jobs: readonly string[]): Promise<void> {
    if (jobs.length > 0) await this.#boss.touch(queueName(name), [...jobs])
  }

  async complete(name: string, job: string): Promise<void> {
    await patiently(this.#db, () => this.#boss.complete(queueName(name), job))
  }

  /** Queued again at once. */
  async giveBack(name: string, job: string): Promise<void> {
    await patiently(this.#db, () => this.#boss.fail(queueName(name), job))
  }

  async close(): Promise<void> {
    await this.#boss.stop({ graceful: false, close: true }).catch(() => {})
  }

  async #queue(name: string): Promise<string> {
    const queue = queueName(name)
    if (this.#known.has(queue)) return queue
    await patiently(this.#db, () =>
      this.#boss.createQueue(queue, {
        policy: 'exclusive',
        expireInSeconds: EXPIRE_SECONDS,
        heartbeatSeconds: LEASE_SECONDS,
        retryLimit: RETRIES,
        retryDelay: 0,
        retentionSeconds: KEEP_SECONDS,
        deleteAfterSeconds: 3600,
      }),
    )
    this.#known.add(queue)
    return queue
  }
}

const PATIENCE_MS = 120_000

async function patiently<T>(db: Connection, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (isPassing(error) && !db.isHurried && performance.now() - began < PATIENCE_MS) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
        continue
      }
      throw storeError(`${db.shown}: the queue: ${withoutUserinfo((error as Error).message)}`, error)
    }
  }
}
