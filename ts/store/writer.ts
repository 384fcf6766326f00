/** Prepared inserts of one SQLite connection. */
import { type Problem, picturesOf } from '../contracts/problem.ts'
import type { CandidateRecord, EvaluationRecord, SiblingScores, TreeNode, VerdictRecord } from '../contracts/records.ts'
import { Digests, digestKey } from './digest.ts'
import type { Database, Row, Statement, Value } from './driver.ts'
import { candidateRow, evaluationRow, imageColumns, nodeRows, problemRow, rolloutRow, siblingsRow, verdictRow } from './rows.ts'

type Table = 'problems' | 'evaluations' | 'rollouts' | 'verdicts' | 'nodes' | 'candidates' | 'siblings'

export class RowWriter {
  readonly #db: Database
  readonly #inserts = new Map<Table, Statement>()
  readonly #images: Statement
  readonly #timing: Statement
  readonly #status: Statement
  readonly #digest: Statement
  readonly #digests: Digests

  constructor(db: Database) {
    this.#db = db
    this.#images = db.prepare('INSERT OR IGNORE INTO images (hash, bytes) VALUES (?, ?)')
    this.#timing = db.prepare('INSERT INTO timings (problem, evaluation, written_at_ms, elapsed_ms) VALUES (?, ?, ?, ?)')
    this.#digest = db.prepare('INSERT OR REPLACE INTO run (key, value) VALUES (?, ?)')
    this.#digests = new Digests(db)
    this.#status = db.prepare('UPDATE problems SET status = ?, reason = ?, searches = ?, rollouts = ? WHERE ordinal = ?')
  }

  #insert(table: Table, row: Row): void {
    let statement = this.#inserts.get(table)
    if (!statement) {
      const columns = Object.keys(row)
      const verb = table === 'candidates' || table === 'siblings' ? 'INSERT OR REPLACE' : 'INSERT'
      statement = this.#db.prepare(`${verb} INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`)
      this.#inserts.set(table, statement)
    }
    statement.run(...(Object.values(row) as Value[]))
  }

  problem(ordinal: number, problem: Problem): void {
    for (const picture of picturesOf(problem)) {
      const { hash, bytes } = imageColumns(picture)
      if (hash && bytes) this.#images.run(hash, bytes)
    }
    this.#insert('problems', problemRow(ordinal, problem))
  }

  status(problem: number, status: string, reason: string | null, searches: number | null, rollouts: number | null): void {
    this.#status.run(status, reason, searches, rollouts, problem)
  }

  /** To be written last: over everything that the problem has. */
  digest(problem: number): void {
    this.#digest.run(digestKey(problem), this.#digests.of(problem))
  }

  verdict(problem: number, v: VerdictRecord): void {
    this.#insert('verdicts', verdictRow(problem, v))
  }

  evaluation(problem: number, e: EvaluationRecord, elapsedMs: number): void {
    const row = evaluationRow(problem, e)
    const key = row['key'] as Uint8Array
    this.#insert('evaluations', row)
    for (const r of e.rollouts) this.#insert('rollouts', rolloutRow(problem, key, r))
    this.#timing.run(problem, key, Date.now(), elapsedMs)
  }

  candidate(problem: number, c: CandidateRecord): void {
    this.#insert('candidates', candidateRow(problem, c))
  }

  siblings(problem: number, siblings: SiblingScores): void {
    this.#insert('siblings', siblingsRow(problem, siblings))
  }

  tree(problem: number, root: TreeNode): void {
    for (const row of nodeRows(problem, root)) this.#insert('nodes', row)
  }
}
