/**
 * A finished problem's digest, over all its rows but the clock's. SQLite tells a broken page, not a changed one: without
 * it a flipped bit would be another label.
 */
import { createHash } from 'node:crypto'
import type { Database, Row, Statement, Value } from './driver.ts'

/** How the rows of one problem are read, always in the same order. */
const ROWS = [
  'SELECT * FROM problems WHERE ordinal = ?',
  'SELECT * FROM evaluations WHERE problem = ? ORDER BY key',
  'SELECT * FROM rollouts WHERE problem = ? ORDER BY evaluation, idx',
  'SELECT * FROM verdicts WHERE problem = ? ORDER BY answer',
  'SELECT * FROM nodes WHERE problem = ? ORDER BY ordinal',
  'SELECT * FROM candidates WHERE problem = ? ORDER BY idx',
]
/** Of a table that files from before it lack: counted where there are such rows. */
const SIBLINGS = 'SELECT * FROM siblings WHERE problem = ? ORDER BY key'
const LATER_COLUMNS = ['rest', 'std']

/** Under which the table `run` keeps it. */
export const digestKey = (problem: number) => `digest/${problem}`

/**
 * Names of columns too: the schema is as much a part of the file as its rows. WHY not a later column that is NULL: a file from
 * before it has digests without it.
 */
function plain(row: Row): string {
  const hex = (value: Value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)
  const columns = Object.entries(row).filter(([name, value]) => value !== null || !LATER_COLUMNS.includes(name))
  return JSON.stringify(columns.map(([name, value]) => [name, hex(value)]))
}

export class Digests {
  readonly #rows: Statement[]
  readonly #siblings: Statement | undefined

  constructor(db: Database) {
    this.#rows = ROWS.map((sql) => db.prepare(sql))
    this.#siblings = hasSiblings(db) ? db.prepare(SIBLINGS) : undefined
  }

  of(problem: number): string {
    const hash = createHash('sha256')
    for (const select of this.#rows) {
      for (const row of select.all(problem)) hash.update(`${plain(row)}\n`)
      hash.update('\n')
    }
    for (const row of this.#siblings?.all(problem) ?? []) hash.update(`${plain(row)}\n`)
    return hash.digest('hex')
  }
}

/** Whether a file is of a version that has the table. */
export const hasSiblings = (db: Database) => db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'siblings'").get() !== undefined
