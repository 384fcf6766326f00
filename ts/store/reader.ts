/** Reads a run back, problem by problem, also while another process is writing it. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { storeError } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'
import type { CandidateRecord, ProblemTree, SearchStatus, SiblingScores } from '../contracts/records.ts'
import type { RunIdentity, RunReader, RunSummary } from '../contracts/run-store.ts'
import { Digests, digestKey, hasSiblings } from './digest.ts'
import { type Database, findDoor, guardedRecords, isSqlite, type Row, type Statement, type Value } from './driver.ts'
import { readIdentity, runId } from './identity.ts'
import { inOrder, toCandidate, toProblem, toRollout, toSiblings, toTree } from './rows.ts'
import { MIGRATIONS } from './schema.ts'

/** Bytes that Node reads of a file at once. */
const MAX_IN_MEMORY = 2 ** 31 - 1
const UNWRITABLE = ['SQLITE_CANTOPEN', 'SQLITE_READONLY', 'SQLITE_FULL', 'SQLITE_IOERR']

export class SqliteRunReader implements RunReader {
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
    const nodes = this.#prepare('SELECT * FROM nodes WHERE problem = ? ORDER BY ordinal')
    const rollouts = this.#prepare('SELECT * FROM rollouts WHERE problem = ? AND evaluation = ? ORDER BY idx')
    for (const { ordinal, problem } of this.#finished()) {
      const rolloutsOf = (evaluation: Value) => rollouts.all(ordinal, evaluation).map(toRollout)
      const root = this.#guarded(() => {
        const rows = nodes.all(ordinal)
        return rows.length > 0 ? toTree(rows, rolloutsOf) : undefined
      })
      if (root) yield { problem, root }
    }
  }

  async *candidates(): AsyncGenerator<{ problem: Problem; candidates: CandidateRecord[]; tokens: number }, void, void> {
    const select = this.#prepare('SELECT * FROM candidates WHERE problem = ? ORDER BY idx')
    const spent = this.#prepare('SELECT coalesce(sum(tokens), 0) AS tokens FROM rollouts WHERE problem = ?')
    for (const { ordinal, problem } of this.#finished()) {
      const candidates = this.#guarded(() => select.all(ordinal).map((row) => toCandidate(problem.id, row)))
      yield { problem, candidates, tokens: this.#guarded(() => Number(spent.get(ordinal)?.['tokens'])) }
    }
  }

  async *siblings(): AsyncGenerator<{ problem: Problem; siblings: SiblingScores[] }, void, void> {
    if (!this.#guarded(() => hasSiblings(this.#db))) return
    const select = this.#prepare('SELECT * FROM siblings WHERE problem = ? ORDER BY key')
    for (const { ordinal, problem } of this.#finished()) {
      const siblings = this.#guarded(() => select.all(ordinal).map((row) => toSiblings(problem.id, row)))
      if (siblings.length > 0) yield { problem, siblings: inOrder(siblings) }
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
    const next = this.#prepare("SELECT * FROM problems WHERE ordinal > ? AND status = 'done' ORDER BY ordinal LIMIT 1")
    const images = this.#prepare('SELECT bytes FROM images WHERE hash = ?')
    const written = this.#prepare('SELECT value FROM run WHERE key = ?')
    this.#guarded(() => this.#checkFinished())
    const digests = this.#guarded(() => new Digests(this.#db))
    let after = -1
    for (;;) {
      const row = this.#guarded(() => next.get(after))
      if (!row) return
      after = row['ordinal'] as number
      const ordinal = after
      const problem = this.#guarded(() => {
        const digest = written.get(digestKey(ordinal))?.['value']
        if (digest !== undefined && digest !== digests.of(ordinal)) {
          throw new Error(`problem "${row['id']}" is not as it was written`)
        }
        return toProblem(row, (hash) => images.get(hash)?.['bytes'] as Uint8Array | undefined)
      })
      yield { ordinal, problem }
    }
  }

  /** As many digests as finished problems, but in a run that an earlier version began. @throws Error */
  #checkFinished(): void {
    const { id, done, digests } = this.#one(
      "SELECT (SELECT count(*) FROM run WHERE key = 'id') AS id, (SELECT count(*) FROM problems WHERE status = 'done') AS done, (SELECT count(*) FROM run WHERE key LIKE 'digest/%') AS digests",
    )
    if (id === 1 && done !== digests) throw new Error(`${done} problems are finished, ${digests} have a digest`)
  }

  #prepare(sql: string): Statement {
    return this.#guarded(() => this.#db.prepare(sql))
  }

  #one(sql: string): Row {
    return this.#db.prepare(sql).get() ?? {}
  }

  #guarded<T>(work: () => T): T {
    return guardedRecords(this.#path, work)
  }
}

/** A run that lies where nothing can be written, not even the index of its log, is read as it is. */
function openFile(path: string): Database {
  const door = findDoor()
  let db: Database | undefined
  try {
    db = door.open(path)
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    return db
  } catch (error) {
    db?.close()
    if (!UNWRITABLE.some((code) => isSqlite(error, code))) throw error
    const log = statSync(`${path}-wal`, { throwIfNoEntry: false })
    if ((log && log.size > 0) || statSync(path).size > MAX_IN_MEMORY) {
      const what = log && log.size > 0 ? 'its last writes lie in run.db-wal' : 'it was not closed'
      throw storeError(`${path}: ${what}, and it is read only where it can be written: copy the folder`, error)
    }
    return door.openImmutable(path)
  }
}

/** Where a database holds many runs, `#RUN` names one. */
export const isDatabase = (uri: string): uri is PostgresUri => /^postgres(?:ql)?:\/\//i.test(uri)
type PostgresUri = `postgres://${string}` | `postgresql://${string}`

/**
 * Opens a run for reading: a folder's at once, one of a database (`postgres://…#RUN`) when it answers.
 * @throws EngineError STORE: no run, another schema version, corrupt
 */
export function openRun(uri: PostgresUri): Promise<RunReader>
export function openRun(folder: string): SqliteRunReader
export function openRun(uri: string): SqliteRunReader | Promise<RunReader> {
  return isDatabase(uri) ? openDatabaseRun(uri) : openFolder(uri)
}

async function openDatabaseRun(uri: string): Promise<RunReader> {
  const { openPostgresRun } = await import('./postgres/reader.ts')
  return openPostgresRun(uri)
}

function openFolder(folder: string): SqliteRunReader {
  const path = join(folder, 'run.db')
  if (!existsSync(path)) throw storeError(`${folder}: there is no run in this directory (no run.db)`)
  if (!statSync(path).isFile()) throw storeError(`${path}: this is not a regular file`)
  const db = guardedRecords(path, () => openFile(path))
  try {
    return guardedRecords(path, () => {
      const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
      // All versions so far read alike: what an older one lacks is absent.
      if (version < 1 || version > MIGRATIONS.length)
        throw storeError(`${path}: schema version ${version}, this mm-prm reads 1 to ${MIGRATIONS.length}`)
      const identity = db.prepare("SELECT value FROM run WHERE key = 'identity'").get()?.['value']
      if (identity === undefined) throw storeError(`${folder}: the run was never started; resume it`)
      return new SqliteRunReader(db, path, readIdentity(db, String(identity)))
    })
  } catch (error) {
    db.close()
    throw error
  }
}
