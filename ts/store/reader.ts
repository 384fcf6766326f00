/** Reads a run back, problem by problem, also while another process is writing it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { storeError } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'
import type { CandidateRecord, ProblemTree, SearchStatus } from '../contracts/records.ts'
import type { RunIdentity, RunReader, RunSummary } from '../contracts/run-store.ts'
import { type Database, findDoor, guarded, type Row, type Value } from './driver.ts'
import { runId } from './identity.ts'
import { toCandidate, toProblem, toRollout, toTree } from './rows.ts'
import { MIGRATIONS } from './schema.ts'

class SqliteRunReader implements RunReader {
  readonly identity: RunIdentity
  readonly runId: string
  readonly #db: Database
  readonly #path: string

  constructor(db: Database, path: string, identity: RunIdentity) {
    this.#db = db
    this.#path = path
    this.identity = identity
    this.runId = runId(identity)
  }

  async *trees(): AsyncGenerator<ProblemTree, void, void> {
    const nodes = this.#db.prepare('SELECT * FROM nodes WHERE problem = ? ORDER BY ordinal')
    const rollouts = this.#db.prepare('SELECT * FROM rollouts WHERE problem = ? AND evaluation = ? ORDER BY idx')
    for (const { ordinal, problem } of this.#finished()) {
      const rolloutsOf = (evaluation: Value) => rollouts.all(ordinal, evaluation).map(toRollout)
      const root = this.#guarded(() => {
        const rows = nodes.all(ordinal)
        return rows.length > 0 ? toTree(rows, rolloutsOf) : undefined
      })
      if (root) yield { problem, root }
    }
  }

  async *candidates(): AsyncGenerator<{ problem: Problem; candidates: CandidateRecord[] }, void, void> {
    const select = this.#db.prepare('SELECT * FROM candidates WHERE problem = ? ORDER BY idx')
    for (const { ordinal, problem } of this.#finished()) {
      const rows = this.#guarded(() => select.all(ordinal))
      yield { problem, candidates: rows.map((row) => toCandidate(problem.id, row)) }
    }
  }

  summary(): RunSummary {
    return this.#guarded(() => {
      const problems: Record<SearchStatus, number> = { running: 0, done: 0, failed: 0 }
      for (const row of this.#db.prepare('SELECT status, count(*) AS n FROM problems GROUP BY status').all()) {
        problems[row['status'] as SearchStatus] = Number(row['n'])
      }
      const sums = this.#one(
        'SELECT count(*) AS evaluations, coalesce(sum(correct), 0) AS correct, coalesce(sum(unparsed), 0) AS unparsed, coalesce(sum(truncated), 0) AS truncated FROM evaluations',
      )
      const { rollouts, tokens } = this.#one('SELECT count(*) AS rollouts, coalesce(sum(tokens), 0) AS tokens FROM rollouts')
      const failed = this.#db.prepare("SELECT id, reason FROM problems WHERE status = 'failed' ORDER BY ordinal").all()
      return {
        problems,
        evaluations: Number(sums['evaluations']),
        rollouts: Number(rollouts),
        correct: Number(sums['correct']),
        unparsed: Number(sums['unparsed']),
        truncated: Number(sums['truncated']),
        tokens: Number(tokens),
        failures: failed.map((row) => ({ id: String(row['id']), reason: String(row['reason']) })),
      }
    })
  }

  close(): void {
    this.#db.close()
  }

  *#finished(): Generator<{ ordinal: number; problem: Problem }, void, void> {
    const next = this.#db.prepare("SELECT * FROM problems WHERE ordinal > ? AND status = 'done' ORDER BY ordinal LIMIT 1")
    const images = this.#db.prepare('SELECT bytes FROM images WHERE hash = ?')
    let after = -1
    for (;;) {
      const row = this.#guarded(() => next.get(after))
      if (!row) return
      after = row['ordinal'] as number
      yield { ordinal: after, problem: this.#guarded(() => toProblem(row, images)) }
    }
  }

  #one(sql: string): Row {
    return this.#db.prepare(sql).get() ?? {}
  }

  #guarded<T>(work: () => T): T {
    return guarded(this.#path, work)
  }
}

/** Opens the run in `folder` for reading. @throws EngineError STORE: no run, another schema version, corrupt */
export function openRun(folder: string): RunReader {
  const path = join(folder, 'run.db')
  if (!existsSync(path)) throw storeError(`${folder}: there is no run in this directory (no run.db)`)
  const db = guarded(path, () => findDoor().open(path))
  try {
    return guarded(path, () => {
      const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
      if (version !== MIGRATIONS.length) {
        throw storeError(
          `${path}: schema version ${version}, this mm-prm reads ${MIGRATIONS.length}; resume the run once to bring it up to date`,
        )
      }
      const identity = db.prepare("SELECT value FROM run WHERE key = 'identity'").get()?.['value']
      if (identity === undefined) throw storeError(`${folder}: the run was never started; resume it`)
      return new SqliteRunReader(db, path, JSON.parse(String(identity)) as RunIdentity)
    })
  } catch (error) {
    db.close()
    throw error
  }
}
