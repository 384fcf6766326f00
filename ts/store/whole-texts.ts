/**
 * node:sqlite cuts a text at its first NUL when it reads it, not when it writes it. Behind this door it comes back whole:
 * where a text holds one, its bytes are read beside it.
 */
import type { Database, Row, Statement, Value } from './driver.ts'

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
const beside = (i: number) => `whole text ${i}`

class WholeTexts implements Statement {
  readonly #db: Database
  readonly #sql: string
  readonly #plain: Statement
  #whole: { statement: Statement; names: readonly string[] } | undefined

  constructor(db: Database, sql: string) {
    this.#db = db
    this.#sql = sql
    this.#plain = db.prepare(sql)
  }

  run(...values: Value[]): unknown {
    return this.#plain.run(...values)
  }

  get(...values: Value[]): Row | undefined {
    const { statement, names } = this.#whole ?? this.#learn(this.#plain.get(...values))
    const row = statement?.get(...values)
    return row && restored(row, names)
  }

  all(...values: Value[]): Row[] {
    const { statement, names } = this.#whole ?? this.#learn(this.#plain.get(...values))
    return statement ? statement.all(...values).map((row) => restored(row, names)) : []
  }

  /** The names of columns are those of the first row that there is. */
  #learn(row: Row | undefined): { statement?: Statement; names: readonly string[] } {
    if (!row) return { names: [] }
    const names = Object.keys(row)
    const bytes = names.map((name, i) => {
      const [column, blob] = [quoted(name), `CAST(${quoted(name)} AS BLOB)`]
      return `CASE WHEN typeof(${column}) = 'text' AND instr(${blob}, x'00') > 0 THEN ${blob} END AS ${quoted(beside(i))}`
    })
    this.#whole = { statement: this.#db.prepare(`SELECT *, ${bytes.join(', ')} FROM (${this.#sql})`), names }
    return this.#whole
  }
}

function restored(row: Row, names: readonly string[]): Row {
  return Object.fromEntries(
    names.map((name, i) => {
      const bytes = row[beside(i)]
      return [name, bytes instanceof Uint8Array ? Buffer.from(bytes).toString('utf8') : (row[name] ?? null)]
    }),
  )
}

export function withWholeTexts(db: Database): Database {
  return {
    exec: (sql) => db.exec(sql),
    prepare: (sql) => (/^\s*SELECT\b/i.test(sql) ? new WholeTexts(db, sql) : db.prepare(sql)),
    close: () => db.close(),
  }
}
