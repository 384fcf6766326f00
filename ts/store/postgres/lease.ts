/**
 * One claimed problem. Every write is fenced: it happens in a transaction that first finds the claim's own attempt number.
 * A worker that was frozen or cut off for longer than its lease finds another's there, and writes nothing.
 */
import { EngineError, storeError } from '../../contracts/errors.ts'
import type { SearchEvent } from '../../contracts/events.ts'
import type { Problem } from '../../contracts/problem.ts'
import type {
  CandidateRecord,
  EvaluationRecord,
  RolloutRecord,
  SearchStatus,
  SiblingScores,
  VerdictRecord,
} from '../../contracts/records.ts'
import type { KnownWork } from '../../contracts/run-store.ts'
import type { Lease } from '../../contracts/work.ts'
import type { Row } from '../driver.ts'
import { evaluationKey, nodeRows, toEvaluation } from '../rows.ts'
import type { Connection, Sql } from './connection.ts'
import { pack, unpack } from './packed.ts'
import { readProblemWhole } from './problems.ts'
import type { Job, Queue } from './queue.ts'

/** A problem whose policy or judge fails so often, on whichever worker, is given up. */
const MAX_FAILURES = 3

export interface Claim {
  readonly db: Connection
  readonly queue: Queue
  /** Number of the run, and its name. */
  readonly run: number
  readonly name: string
  readonly job: Job
  readonly worker: string
  /** Class of the devices that this worker computes the run on; undefined where servers do. */
  readonly deviceClass: () => string | undefined
  /** Where pictures lie on this machine that were submitted without their bytes. */
  readonly imageRoot: string | undefined
  /** To be called when the claim has ended, however it did. */
  readonly onEnd: (lease: PostgresLease) => void
}

const withoutNul = (text: string) => text.replaceAll('\0', '\ufffd')

export class PostgresLease implements Lease {
  readonly problem: Problem
  readonly status: SearchStatus = 'running'
  readonly known: KnownWork
  readonly run: string
  readonly attempt: number
  readonly claim: Claim
  readonly #controller = new AbortController()
  #verdicts: VerdictRecord[] = []
  #candidates: CandidateRecord[] = []
  #siblings: SiblingScores[] = []

  private constructor(claim: Claim, attempt: number, problem: Problem, known: KnownWork) {
    this.claim = claim
    this.run = claim.name
    this.attempt = attempt
    this.problem = problem
    this.known = known
  }

  /**
   * undefined where the problem is finished or given up.
   * @throws EngineError STORE: a picture is not on this machine; the problem is given back
   */
  static async take(claim: Claim): Promise<PostgresLease | undefined> {
    const { db, run, job, worker, imageRoot: here } = claim
    const [row] = await db.query(
      `UPDATE mm_prm.problems p SET attempt = attempt + 1, worker = $3, status = 'running', changed_at = now()
       FROM mm_prm.runs r WHERE r.run = p.run AND p.run = $1 AND ordinal = $2 AND p.status NOT IN ('done', 'failed')
       RETURNING p.*, r.settings`,
      [run, job.ordinal, worker],
    )
    if (!row) return undefined
    const attempt = Number(row['attempt'])
    const { 'image-root': submitted } = JSON.parse(String(row['settings'])) as { 'image-root'?: string }
    try {
      const problem = await readProblemWhole(db, row, { submitted, here })
      return new PostgresLease(claim, attempt, problem, await readKnown(db, run, job.ordinal, problem.id))
    } catch (error) {
      await giveBack(claim, attempt, (error as Error).message)
      throw error
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  async append(event: SearchEvent): Promise<void> {
    if (event.type === 'verdict') this.#verdicts.push(event.verdict)
    if (event.type === 'candidate') this.#candidates.push(event.candidate)
    if (event.type === 'scored') this.#siblings.push(event.siblings)
    if (event.type === 'evaluated') await this.#evidence((sql) => this.#evaluation(sql, event.evaluation, event.elapsedMs))
    if (event.type === 'finished') await this.#evidence((sql) => this.#finish(sql, event))
  }

  async done(): Promise<void> {
    await this.claim.queue.complete(this.run, this.claim.job.id)
    this.claim.onEnd(this)
  }

  async fail(reason: string, isExcused: boolean): Promise<void> {
    const { run, job, queue } = this.claim
    const given = await this.#write(async (sql) => {
      const [row] = await sql.query(
        `UPDATE mm_prm.problems SET failures = failures + $5, reason = $3, worker = NULL,
           status = CASE WHEN failures + $5 >= $4 THEN 'failed' ELSE 'waiting' END, changed_at = now()
         WHERE run = $1 AND ordinal = $2 RETURNING status`,
        [run, job.ordinal, withoutNul(reason), MAX_FAILURES, isExcused ? 0 : 1],
      )
      return row?.['status'] === 'failed'
    })
    this.claim.onEnd(this)
    await (given ? queue.complete(this.run, job.id) : queue.giveBack(this.run, job.id))
  }

  async giveBack(reason: string): Promise<void> {
    this.claim.onEnd(this)
    if (this.signal.aborted) return
    await giveBack(this.claim, this.attempt, reason).catch((error: unknown) => {
      if (!this.claim.db.isHurried) throw error // else the lease runs out by itself
    })
  }

  /** The right to write is gone. */
  lose(why: string): EngineError {
    const error = new EngineError('ERR_ENGINE_ABORTED', `problem "${this.problem.id}": ${why}`)
    this.#controller.abort(error)
    this.claim.onEnd(this)
    return error
  }

  /** The first evidence of a run makes its devices' class the run's: a second class would mix the bits of two trees. */
  async #evidence(work: (sql: Sql) => Promise<void>): Promise<void> {
    const mine = this.claim.deviceClass()
    await this.#write(async (sql, theirs) => {
      if (mine !== undefined && theirs !== mine) {
        const [row] = await sql.query(
          'UPDATE mm_prm.runs SET device_class = coalesce(device_class, $2) WHERE run = $1 RETURNING device_class',
          [this.claim.run, mine],
        )
        const now = row?.['device_class']
        if (now !== mine) throw this.lose(`its run is worked on by ${now} since, and this is ${mine}`)
      }
      await work(sql)
    })
  }

  /** What the problem's verdicts since the last write are is written with it. */
  async #write<T>(work: (sql: Sql, deviceClass: string | null) => Promise<T>): Promise<T> {
    const { db, run, job } = this.claim
    const verdicts = this.#verdicts
    const result = await db.transaction(async (sql) => {
      const [mine] = await sql.query(
        `SELECT r.status, r.device_class FROM mm_prm.problems p JOIN mm_prm.runs r USING (run)
         WHERE p.run = $1 AND p.ordinal = $2 AND p.attempt = $3 AND p.status = 'running' FOR UPDATE OF p`,
        [run, job.ordinal, this.attempt],
      )
      if (!mine && !(await this.#isFinishedByMe(sql))) throw this.lose('another worker has taken it over')
      if (mine?.['status'] === 'cancelled') throw this.lose('its run was cancelled')
      for (const v of verdicts) {
        await sql.query('INSERT INTO mm_prm.verdicts VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING', [
          ...[run, job.ordinal, JSON.stringify(v.answer), v.match, v.method],
          v.raw === undefined ? null : JSON.stringify(v.raw),
        ])
      }
      return work(sql, (mine?.['device_class'] as string | null | undefined) ?? null)
    }, this.signal)
    this.#verdicts = this.#verdicts.slice(verdicts.length)
    return result
  }

  /** A commit whose answer was lost is tried again: its own result is no loss of the lease. */
  async #isFinishedByMe(sql: Sql): Promise<boolean> {
    const { run, job } = this.claim
    const rows = await sql.query(
      `SELECT 1 FROM mm_prm.problems WHERE run = $1 AND ordinal = $2 AND attempt = $3 AND status <> 'running' FOR UPDATE`,
      [run, job.ordinal, this.attempt],
    )
    return rows.length > 0
  }

  async #evaluation(sql: Sql, e: EvaluationRecord, elapsedMs: number): Promise<void> {
    const { run, job } = this.claim
    const { correct, total, unparsed, truncated } = e.counts
    const { codec, bytes } = pack(e.rollouts)
    const numTokens = e.rollouts.reduce((n, r) => n + (r.numTokens ?? 0), 0)
    await sql.query(
      `INSERT INTO mm_prm.evaluations (run, problem, key, prefix, occurrence, seed, correct, total, unparsed, truncated,
         num_rollouts, num_tokens, codec, rollouts, elapsed_ms)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`,
      [
        ...[run, job.ordinal, evaluationKey(e.prefix, e.occurrence), JSON.stringify(e.prefix), e.occurrence, e.seed],
        ...[correct, total, unparsed, truncated, e.rollouts.length, numTokens, codec, bytes, elapsedMs],
      ],
    )
  }

  async #finish(sql: Sql, event: Extract<SearchEvent, { type: 'finished' }>): Promise<void> {
    const { run, job } = this.claim
    if (event.tree) {
      const rows = nodeRows(job.ordinal, event.tree.root)
      const hex = rows.map((row) => ({
        ...row,
        evaluation: row['evaluation'] ? Buffer.from(row['evaluation'] as Uint8Array).toString('hex') : null,
      }))
      const { codec, bytes } = pack(hex)
      await sql.query('INSERT INTO mm_prm.trees VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', [run, job.ordinal, codec, bytes])
    }
    for (const c of this.#candidates) {
      await sql.query(
        'INSERT INTO mm_prm.candidates VALUES ($1, $2, $3, $4) ON CONFLICT (run, problem, idx) DO UPDATE SET candidate = excluded.candidate',
        [run, job.ordinal, c.index, JSON.stringify(c)],
      )
    }
    for (const group of this.#siblings) {
      await sql.query(
        'INSERT INTO mm_prm.siblings VALUES ($1, $2, $3, $4) ON CONFLICT (run, problem, key) DO UPDATE SET siblings = excluded.siblings',
        [run, job.ordinal, evaluationKey(group.prefix, 0), JSON.stringify(group)],
      )
    }
    await sql.query(
      `UPDATE mm_prm.problems SET status = 'done', reason = $3, searches = $4, rollouts = $5, changed_at = now()
       WHERE run = $1 AND ordinal = $2`,
      [run, job.ordinal, event.reason, event.searches, event.rollouts],
    )
  }
}

async function giveBack({ db, run, name, job, queue }: Claim, attempt: number, reason: string): Promise<void> {
  await db.query(
    `UPDATE mm_prm.problems SET status = 'waiting', reason = $4, worker = NULL, changed_at = now()
     WHERE run = $1 AND ordinal = $2 AND attempt = $3 AND status = 'running'`,
    [run, job.ordinal, attempt, withoutNul(reason)],
  )
  await queue.giveBack(name, job.id)
}

/** The rollouts of an evaluation's row. @throws EngineError STORE for what is damaged */
export function rolloutsOf(row: Row): RolloutRecord[] {
  try {
    return unpack<RolloutRecord[]>(row['codec'], row['rollouts'])
  } catch (error) {
    if (error instanceof EngineError) throw error
    throw storeError(`an evaluation's rollouts are damaged: ${(error as Error).message}`, error)
  }
}

async function readKnown(db: Connection, run: number, problem: number, id: string): Promise<KnownWork> {
  const evaluations = await db.query('SELECT * FROM mm_prm.evaluations WHERE run = $1 AND problem = $2', [run, problem])
  const verdicts = await db.query('SELECT * FROM mm_prm.verdicts WHERE run = $1 AND problem = $2', [run, problem])
  return {
    evaluations: evaluations.map((row) => ({ ...toEvaluation(id, row, rolloutsOf(row)), seed: Number(row['seed']) })),
    verdicts: verdicts.map((row) => ({
      problemId: id,
      answer: JSON.parse(String(row['answer'])) as string,
      match: (row['match'] as unknown) === true,
      method: String(row['method']),
      ...(row['raw'] !== null && { raw: JSON.parse(String(row['raw'])) as string }),
    })),
  }
}
