/** Everything in a run file that does not depend on the clock, as text to compare. */
import { join } from 'node:path'
import { findDoor } from '../../ts/store/driver.ts'

const ORDER: Record<string, string> = {
  run: 'key',
  images: 'hash',
  problems: 'ordinal',
  evaluations: 'problem, key',
  rollouts: 'problem, evaluation, idx',
  verdicts: 'problem, answer',
  nodes: 'problem, ordinal',
  candidates: 'problem, idx',
  siblings: 'problem, key',
}

export function dumpRun(folder: string): Record<string, string[]> {
  const db = findDoor().open(join(folder, 'run.db'))
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all()
  const dump: Record<string, string[]> = {}
  for (const { name } of tables) {
    if (name === 'timings') continue
    const order = ORDER[String(name)]
    if (!order) throw new Error(`table ${String(name)} is new: say how its rows are ordered`)
    const rows = db.prepare(`SELECT * FROM ${String(name)} ORDER BY ${order}`).all()
    dump[String(name)] = rows.map((row) =>
      JSON.stringify(row, (_, v) => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v)),
    )
  }
  db.close()
  return dump
}
