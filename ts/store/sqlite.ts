/**
 * A run directory: `run.db` with everything, `manifest.json` with the run's identity for people and tools.
 * The writer holds `run.lock`. An event is durable when `append` resolves.
 */
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { invalidArgument, storeError } from '../contracts/errors.ts'
import type { SearchEvent } from '../contracts/events.ts'
import { makeFolder } from '../contracts/folders.ts'
import { rolloutIdentity } from '../contracts/policy.ts'
import type { Problem } from '../contracts/problem.ts'
import type { SearchStatus } from '../contracts/records.ts'
import type { KnownWork, RunIdentity, RunStore } from '../contracts/run-store.ts'
import { CommitQueue } from './commit-queue.ts'
import { type Database, findDoor, guarded, guardedRecords, type Row, type Statement } from './driver.ts'
import { canonicalJson, differences, readIdentity, runId } from './identity.ts'
import { lockRun } from './lock.ts'
import { imageColumns, restOf, toEvaluation, toRollout, toVerdict } from './rows.ts'
import { MIGRATIONS, migrate } from './schema.ts'
import { RowWriter } from './writer.ts'

const NOTHING: KnownWork = { evaluations: [], verdicts: [] }

export interface OpenRunOptions {
  /** The run directory; made where it is missing. */
  folder: string
  /** Everything that the run's results depend on, as `search.identityOf` tells it. */
  identity: RunIdentity
  /** Goes on with the run that the directory holds; without it (the default), a directory that holds one is refused. */
  resume?: boolean
}

/** The writer of a run. Needs better-sqlite3, or a Node that has node:sqlite. */
export class SqliteRunStore implements RunStore {
  readonly #folder: string
  readonly #db: Database
  readonly #path: string
  readonly #lock: { release: () => void }
  readonly #queue: CommitQueue
  readonly #rows: RowWriter
  readonly #ordinals = new Map<string, number>()
  readonly #select: Record<'problem' | 'evaluations' | 'rollouts' | 'verdicts', Statement>
  #nextOrdinal: number
  #closed = false

  private constructor(folder: string, path: string, db: Database, lock: { release: () => void }) {
    this.#folder = folder
    this.#path = path
    this.#db = db
    this.#lock = lock
    this.#queue = new CommitQueue(db, path)
    this.#rows = new RowWriter(db)
    this.#select = {
      problem: db.prepare('SELECT * FROM problems WHERE id = ?'),
      evaluations: db.prepare('SELECT * FROM evaluations WHERE problem = ?'),
      rollouts: db.prepare('SELECT * FROM rollouts WHERE problem = ? AND evaluation = ? ORDER BY idx'),
      verdicts: db.prepare('SELECT * FROM verdicts WHERE problem = ?'),
    }
    this.#nextOrdinal = Number(db.prepare('SELECT coalesce(max(ordinal), -1) + 1 AS n FROM problems').get()?.['n'])
  }

  /**
   * Opens a run for writing.
   * @throws EngineError STORE: it holds a run and `resume` is not set, a run of another identity (names what differs),
   * another process writes it, its schema is newer, a page is corrupt, the disk is full; INVALID_ARGUMENT
   */
  static open({ folder, identity, resume = false }: OpenRunOptions): SqliteRunStore {
    if (typeof folder !== 'string' || !identity)
      throw invalidArgument(
        'SqliteRunStore.open: takes { folder, identity, resume? }, with search.identityOf(settings) as identity',
      )
    const door = findDoor()
    makeFolder(folder)
    const path = join(folder, 'run.db')
    const lock = lockRun(folder)
    let db: Database | undefined
    try {
      db = guarded(path, () => door.open(path))
      const opened = db
      guarded(path, () => opened.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL'))
      migrate(db, path)
      claim(db, folder, path, identity, resume)
      return guardedRecords(path, () => new SqliteRunStore(folder, path, opened, lock))
    } catch (error) {
      db?.close()
      lock.release()
      throw error
    }
  }

  begin(problem: Problem): { status: SearchStatus; known: KnownWork } {
    const row = guarded(this.#path, () => this.#select.problem.get(problem.id))
    if (!row) {
      const ordinal = this.#nextOrdinal++
      this.#ordinals.set(problem.id, ordinal)
      this.#unawaited(() => this.#rows.problem(ordinal, problem))
      return { status: 'running', known: NOTHING }
    }
    this.#compare(problem, row)
    const ordinal = row['ordinal'] as number
    this.#ordinals.set(problem.id, ordinal)
    const status = row['status'] as SearchStatus
    return { status, known: status === 'done' ? NOTHING : this.#known(problem.id, ordinal) }
  }

  append(problemId: string, event: SearchEvent): Promise<void> {
    const ordinal = this.#ordinal(problemId)
    const rows = this.#rows
    switch (event.type) {
      case 'selected':
        return Promise.resolve()
      case 'verdict':
        return this.#unawaited(() => rows.verdict(ordinal, event.verdict))
      case 'evaluated':
        return this.#queue.push(() => rows.evaluation(ordinal, event.evaluation, event.elapsedMs))
      case 'scored':
        return this.#unawaited(() => rows.siblings(ordinal, event.siblings))
      case 'candidate':
        return this.#queue.push(() => rows.candidate(ordinal, event.candidate))
      case 'finished':
        return this.#queue.push(() => {
          if (event.tree) rows.tree(ordinal, event.tree.root)
          rows.status(ordinal, 'done', event.reason, event.searches, event.rollouts)
          rows.digest(ordinal)
        })
    }
  }

  fail(problemId: string, reason: string): Promise<void> {
    const ordinal = this.#ordinal(problemId)
    return this.#queue.push(() => this.#rows.status(ordinal, 'failed', reason, null, null))
  }

  /** Commits what waits and lets go of the run. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#queue.end()) restAsOneFile(this.#db)
    this.#db.close()
    this.#lock.release()
  }

  /** For what is durable no later than the evaluation that follows: a write that fails fails every later one too. */
  #unawaited(write: () => void): Promise<void> {
    this.#queue.push(write).catch(() => {})
    return Promise.resolve()
  }

  #ordinal(problemId: string): number {
    const ordinal = this.#ordinals.get(problemId)
    if (ordinal === undefined) throw storeError(`${this.#folder}: problem "${problemId}" was not begun`)
    return ordinal
  }

  #known(problemId: string, ordinal: number): KnownWork {
    return guardedRecords(this.#path, () => ({
      evaluations: this.#select.evaluations.all(ordinal).map((row) => {
        const rollouts = this.#select.rollouts.all(ordinal, row['key'] as Uint8Array)
        return toEvaluation(problemId, row, rollouts.map(toRollout))
      }),
      verdicts: this.#select.verdicts.all(ordinal).map((row) => toVerdict(problemId, row)),
    }))
  }

  #compare(problem: Problem, row: Row): void {
    const { path, hash } = imageColumns(problem.image)
    const wanted = { question: problem.question, answer: problem.answer, image_path: path, image_hash: hash }
    const changed = Object.entries(wanted).find(([key, value]) => row[key] !== value)?.[0]
    const isOther = changed ?? (isRestOther(problem, row) ? 'set of options, answers or pictures' : undefined)
    if (isOther === undefined) return
    throw storeError(
      `${this.#folder}: problem "${problem.id}" has another ${isOther.replace('_', ' ')} than in this run; use a new id or another run directory`,
    )
  }
}

/** A file from before there was such a column tells nothing of it. */
const isRestOther = (problem: Problem, row: Row) => row['rest'] !== null && row['rest'] !== restOf(problem)

/** Without its log the file can be read where nothing can be written. A reader may be in the way of that, or a full disk. */
function restAsOneFile(db: Database): void {
  try {
    db.exec('PRAGMA journal_mode = DELETE')
  } catch {
    // It stays with its log, which SQLite reads wherever it may write.
  }
}

const decisive = (identity: RunIdentity) => ({ ...identity, policy: rolloutIdentity(identity.policy) })

/** Writes the identity into a new run, compares it in an old one. */
function claim(db: Database, folder: string, path: string, identity: RunIdentity, resume: boolean): void {
  guardedRecords(path, () => {
    const stored = db.prepare("SELECT value FROM run WHERE key = 'identity'").get()?.['value']
    if (stored === undefined) {
      const insert = db.prepare('INSERT INTO run (key, value) VALUES (?, ?)')
      insert.run('identity', canonicalJson(identity))
      insert.run('id', runId(identity))
    } else {
      if (!resume) throw storeError(`${folder}: this directory holds a run already; resume it or choose another directory`)
      const changed = differences(decisive(readIdentity(db, String(stored))), decisive(identity))
      if (changed.length > 0)
        throw storeError(`${folder}: this run was made otherwise (stored → asked for): ${changed.join('; ')}`)
      const sound = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check']
      if (sound !== 'ok') throw storeError(`${path}: the database is corrupt (${String(sound)}); restore the file from a backup`)
    }
  })
  writeManifest(folder, identity)
}

function writeManifest(folder: string, identity: RunIdentity): void {
  const manifest = { format: 'mm-prm-run', schemaVersion: MIGRATIONS.length, runId: runId(identity), ...identity }
  const path = join(folder, 'manifest.json')
  if (existsSync(path)) return
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(manifest, null, 2)}\n`)
    renameSync(`${path}.new`, path)
  } catch (error) {
    throw storeError(`${path}: cannot be written: ${(error as Error).message}`, error)
  }
}
