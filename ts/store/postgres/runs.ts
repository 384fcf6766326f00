/** Runs of a database: how one is made of a problem file, what is known of all, and what holds or ends them. */
import { createHash } from 'node:crypto'
import { storeError } from '../../contracts/errors.ts'
import type { RunIdentity } from '../../contracts/run-store.ts'
import type { Row } from '../driver.ts'
import { canonicalJson } from '../identity.ts'
import { Connection, type Sql } from './connection.ts'
import { type PreparedProblem, prepareProblem, type SubmittedProblem } from './problems.ts'
import { Queue } from './queue.ts'
import { migrate } from './schema.ts'

export type RunState = 'active' | 'paused' | 'cancelled'

export interface RunStatus {
  /** Its name, as `#RUN`. */
  readonly run: string
  readonly status: RunState | 'done'
  readonly problems: number
  readonly done: number
  /** Neither done nor given up; those being worked on included. */
  readonly left: number
  readonly running: number
  readonly failed: number
  readonly evaluations: number
  readonly rollouts: number
  readonly tokens: number
  readonly rolloutsPerMinute: number
  /** Problems in hand by worker. */
  readonly workers: Readonly<Record<string, number>>
  /** How its results repeat: a native engine's bits hold on one class of devices, a server's while it is one server. */
  readonly guarantee: 'bits' | 'server'
  /** Of the devices that it is worked on, such as `avx2`: that of its first evidence. null: there is none, or a server computes. */
  readonly deviceClass: string | null
  readonly failures: readonly { id: string; reason: string }[]
}

const BATCH = 500

async function insertProblems(sql: Sql, run: number, prepared: readonly PreparedProblem[]): Promise<void> {
  for (let at = 0; at < prepared.length; at += BATCH) {
    const batch = prepared.slice(at, at + BATCH)
    for (const [hash, bytes] of batch.flatMap(({ images }) => images))
      await sql.query('INSERT INTO mm_prm.images VALUES ($1, $2) ON CONFLICT DO NOTHING', [hash, bytes])
    await sql.query(
      `INSERT INTO mm_prm.problems (run, ordinal, id, problem, image_path, image_hash, bytes_hash)
       SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])`,
      [
        run,
        ...(['ordinal', 'id', 'problem', 'path', 'hash', 'bytesHash'] as const).map((key) => batch.map(({ row }) => row[key])),
      ],
    )
  }
}

/** What can be done with the runs of one database. */
export class Runs {
  readonly db: Connection

  private constructor(db: Connection) {
    this.db = db
  }

  /** @throws EngineError STORE */
  static async open(url: string): Promise<Runs> {
    const db = await Connection.open(url)
    try {
      await migrate(db)
      return new Runs(db)
    } catch (error) {
      await db.close()
      throw error
    }
  }

  /**
   * Makes a run, or finds the one that these very problems and settings have made, and sees to it that all that is left of
   * it is queued. Resolves to its name. One that was paused or cancelled stays so.
   */
  async submit(identity: RunIdentity, settings: object, problems: readonly SubmittedProblem[]): Promise<string> {
    const prepared = problems.map(prepareProblem)
    const hash = createHash('sha256').update(canonicalJson(identity))
    for (const { row } of prepared) hash.update(JSON.stringify([row.id, row.problem, row.bytesHash]))
    const name = hash.digest('hex').slice(0, 16)
    await this.db.transaction(async (sql) => {
      const [made] = await sql.query(
        `INSERT INTO mm_prm.runs (run_id, identity, settings, status) VALUES ($1, $2, $3, 'active')
         ON CONFLICT (run_id) DO NOTHING RETURNING run`,
        [name, canonicalJson(identity), JSON.stringify(settings)],
      )
      if (made) await insertProblems(sql, Number(made['run']), prepared)
    })
    await this.#again(name)
    return name
  }

  /** The whole name of a run, of its first letters. @throws EngineError STORE */
  async find(name: string): Promise<{ run: number; name: string; row: Row }> {
    const rows = await this.db.query('SELECT * FROM mm_prm.runs WHERE left(run_id, length($1)) = $1', [name])
    const [row] = rows
    if (row && rows.length === 1) return { run: Number(row['run']), name: String(row['run_id']), row }
    throw storeError(`${this.db.shown}: ${rows.length === 0 ? 'no run' : `${rows.length} runs`} "${name}"`)
  }

  /**
   * What is being worked on ends with its next write where a run is cancelled, and goes on where it is paused.
   * @throws EngineError STORE: no such run, or one that is to be paused and was cancelled
   */
  async setState(name: string, state: RunState): Promise<void> {
    const { run, name: whole } = await this.find(name)
    const changed = await this.db.query(
      `UPDATE mm_prm.runs SET status = $2 WHERE run = $1 AND NOT ($2 = 'paused' AND status = 'cancelled') RETURNING run`,
      [run, state],
    )
    if (changed.length === 0)
      throw storeError(`${this.db.shown}: run ${whole} was cancelled: there is nothing to pause; mm-prm resume takes it up again`)
    if (state === 'active') await this.#again(name)
  }

  /**
   * The class of devices that a run's evidence is of; null where none is recorded. `hasBegun`: there is evidence, which without a
   * class may be of any.
   */
  async deviceClass(run: number): Promise<{ deviceClass: string | null; hasBegun: boolean }> {
    const [row] = await this.db.query(
      `SELECT device_class, device_class IS NOT NULL OR EXISTS (SELECT 1 FROM mm_prm.evaluations e WHERE e.run = r.run)
         OR EXISTS (SELECT 1 FROM mm_prm.problems p WHERE p.run = r.run AND p.status = 'done') AS begun
       FROM mm_prm.runs r WHERE r.run = $1`,
      [run],
    )
    return { deviceClass: (row?.['device_class'] as string | null) ?? null, hasBegun: (row?.['begun'] as unknown) === true }
  }

  async #again(name: string): Promise<void> {
    const { run, name: whole } = await this.find(name)
    await this.db.query(
      `UPDATE mm_prm.problems SET status = 'waiting', reason = NULL, failures = 0 WHERE run = $1 AND status = 'failed'`,
      [run],
    )
    const queue = await Queue.open(this.db)
    try {
      await queue.fill(run, whole)
    } finally {
      await queue.close()
    }
  }

  async status(name?: string): Promise<RunStatus[]> {
    const only = name === undefined ? undefined : (await this.find(name)).run
    const runs = await this.db.query('SELECT * FROM mm_prm.runs WHERE $1::int IS NULL OR run = $1 ORDER BY run', [only ?? null])
    return Promise.all(runs.map((row) => this.#statusOf(row)))
  }

  async #statusOf(row: Row): Promise<RunStatus> {
    const run = row['run']
    const [counts = {}] = await this.db.query(
      `SELECT count(*) AS problems, count(*) FILTER (WHERE status = 'done') AS done, count(*) FILTER (WHERE status = 'failed') AS failed
       FROM mm_prm.problems WHERE run = $1`,
      [run],
    )
    const [sums = {}] = await this.db.query(
      `SELECT count(*) AS evaluations, coalesce(sum(num_rollouts), 0) AS rollouts, coalesce(sum(num_tokens), 0) AS tokens,
         coalesce(sum(num_rollouts) FILTER (WHERE written_at > now() - interval '1 minute'), 0) AS recent
       FROM mm_prm.evaluations WHERE run = $1`,
      [run],
    )
    const workers = await this.db.query(
      `SELECT worker, count(*) AS n FROM mm_prm.problems WHERE run = $1 AND status = 'running' GROUP BY worker ORDER BY worker`,
      [run],
    )
    const failures = await this.db.query(
      `SELECT id, reason FROM mm_prm.problems WHERE run = $1 AND status = 'failed' ORDER BY ordinal LIMIT 100`,
      [run],
    )
    const n = (value: unknown) => Number(value ?? 0)
    const [problems, done, failed] = [n(counts['problems']), n(counts['done']), n(counts['failed'])]
    const state = row['status'] as RunState
    const left = state === 'cancelled' ? 0 : problems - done - failed
    // A cancelled run is in nobody's hands: whoever had some of it has lost the lease, and nobody takes over to say so in its row.
    const held = state === 'cancelled' ? [] : workers
    const identity = JSON.parse(String(row['identity'])) as RunIdentity
    return {
      run: String(row['run_id']),
      status: state !== 'cancelled' && left === 0 ? 'done' : state,
      ...{ problems, done, left, running: held.reduce((sum, w) => sum + n(w['n']), 0), failed },
      ...{ evaluations: n(sums['evaluations']), rollouts: n(sums['rollouts']), tokens: n(sums['tokens']) },
      rolloutsPerMinute: n(sums['recent']),
      workers: Object.fromEntries(held.map((w) => [String(w['worker']), n(w['n'])])),
      guarantee: identity.policy.kind === 'openai' ? 'server' : 'bits',
      deviceClass: row['device_class'] === null ? null : String(row['device_class']),
      failures: failures.map((f) => ({ id: String(f['id']), reason: String(f['reason']) })),
    }
  }

  async close(): Promise<void> {
    await this.db.close()
  }
}
