/**
 * Tables of a run file and how older ones become current. Steps and scores are JSON arrays; `rest` is what a problem has
 * beside columns of its own. Everything that is a function of problems, options and seed lies outside `timings`.
 */
import { storeError } from '../contracts/errors.ts'
import { type Database, guarded } from './driver.ts'

/** "mmpr", in the header of the file. */
const APPLICATION_ID = 0x6d6d7072

/** MIGRATIONS[i] takes schema version i to i + 1. Never change one that was released: append. */
export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE images (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE problems (
  ordinal INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, question TEXT NOT NULL, answer TEXT NOT NULL,
  image_path TEXT, image_hash TEXT, meta TEXT,
  status TEXT NOT NULL, reason TEXT, searches INTEGER, rollouts INTEGER) STRICT;
CREATE TABLE evaluations (
  problem INTEGER NOT NULL, key BLOB NOT NULL, prefix TEXT NOT NULL, occurrence INTEGER NOT NULL, seed INTEGER NOT NULL,
  correct INTEGER NOT NULL, total INTEGER NOT NULL, unparsed INTEGER NOT NULL, truncated INTEGER NOT NULL,
  PRIMARY KEY (problem, key)) STRICT, WITHOUT ROWID;
CREATE TABLE rollouts (
  problem INTEGER NOT NULL, evaluation BLOB NOT NULL, idx INTEGER NOT NULL, outcome TEXT NOT NULL, steps TEXT NOT NULL,
  text TEXT, answer TEXT, correct INTEGER, tokens INTEGER,
  PRIMARY KEY (problem, evaluation, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE verdicts (
  problem INTEGER NOT NULL, answer TEXT NOT NULL, match INTEGER NOT NULL, method TEXT NOT NULL, raw TEXT,
  PRIMARY KEY (problem, answer)) STRICT, WITHOUT ROWID;
CREATE TABLE nodes (
  problem INTEGER NOT NULL, ordinal INTEGER NOT NULL, parent INTEGER, steps TEXT NOT NULL, evaluation BLOB,
  correct INTEGER, total INTEGER, unparsed INTEGER, truncated INTEGER,
  first_error INTEGER NOT NULL, terminal INTEGER NOT NULL, visits INTEGER NOT NULL,
  PRIMARY KEY (problem, ordinal)) STRICT, WITHOUT ROWID;
CREATE TABLE candidates (
  problem INTEGER NOT NULL, idx INTEGER NOT NULL, outcome TEXT NOT NULL, steps TEXT NOT NULL, answer TEXT, correct INTEGER,
  scores TEXT, logits TEXT,
  PRIMARY KEY (problem, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE timings (
  problem INTEGER NOT NULL, evaluation BLOB NOT NULL, written_at_ms INTEGER NOT NULL, elapsed_ms REAL NOT NULL,
  PRIMARY KEY (problem, evaluation)) STRICT, WITHOUT ROWID;
`,
  'ALTER TABLE problems ADD COLUMN rest TEXT;',
  `
ALTER TABLE candidates ADD COLUMN std TEXT;
CREATE TABLE siblings (
  problem INTEGER NOT NULL, key BLOB NOT NULL, prefix TEXT NOT NULL, steps TEXT NOT NULL, scores TEXT NOT NULL, logits TEXT,
  std TEXT,
  PRIMARY KEY (problem, key)) STRICT, WITHOUT ROWID;
`,
]

function pragma(db: Database, name: string): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0)
}

/**
 * Brings a file to the current schema, each version in a transaction of its own.
 * @throws EngineError STORE for a file of another program or of a newer version
 */
export function migrate(db: Database, path: string, migrations = MIGRATIONS): void {
  guarded(path, () => {
    const version = pragma(db, 'user_version')
    const owner = pragma(db, 'application_id')
    const isEmpty = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'] === 0
    if (!isEmpty && owner !== APPLICATION_ID) throw storeError(`${path}: this is not the database of a run`)
    if (version > migrations.length) {
      throw storeError(
        `${path}: schema version ${version} was written by a newer mm-prm; this one knows up to ${migrations.length}`,
      )
    }
    for (let v = version; v < migrations.length; v++) {
      db.exec(
        `BEGIN IMMEDIATE; ${migrations[v]} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${v + 1}; COMMIT`,
      )
    }
  })
}
