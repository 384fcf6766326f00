/**
 * Tables for all runs of a database, in a schema of their own. What is compared or hashed is text or bytes, never jsonb,
 * which reorders keys; what may hold any character a model writes is JSON text, since PostgreSQL's text holds no NUL.
 */
import { storeError } from '../../contracts/errors.ts'
import type { Connection } from './connection.ts'

const LOCK = 0x6d6d7072

/** MIGRATIONS[i] takes version i to i + 1. Never change one that was released: append. */
const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE runs (
  run serial PRIMARY KEY, run_id text NOT NULL UNIQUE, identity text NOT NULL, settings text NOT NULL, status text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE images (hash text PRIMARY KEY, bytes bytea NOT NULL);
CREATE TABLE problems (
  run integer NOT NULL REFERENCES runs ON DELETE CASCADE, ordinal integer NOT NULL, id text NOT NULL, problem text NOT NULL,
  image_path text, image_hash text, bytes_hash text,
  status text NOT NULL DEFAULT 'waiting', reason text, searches integer, rollouts integer,
  attempt integer NOT NULL DEFAULT 0, failures integer NOT NULL DEFAULT 0, worker text, changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run, ordinal), UNIQUE (run, id));
CREATE INDEX problems_left ON problems (run, status) WHERE status <> 'done';
CREATE TABLE evaluations (
  run integer NOT NULL, problem integer NOT NULL, key bytea NOT NULL, prefix text NOT NULL, occurrence integer NOT NULL,
  seed bigint NOT NULL, correct integer NOT NULL, total integer NOT NULL, unparsed integer NOT NULL, truncated integer NOT NULL,
  num_rollouts integer NOT NULL, num_tokens bigint NOT NULL, codec text NOT NULL, rollouts bytea NOT NULL,
  written_at timestamptz NOT NULL DEFAULT now(), elapsed_ms double precision NOT NULL,
  PRIMARY KEY (run, problem, key), FOREIGN KEY (run, problem) REFERENCES problems ON DELETE CASCADE);
CREATE TABLE verdicts (
  run integer NOT NULL, problem integer NOT NULL, answer text NOT NULL, match boolean NOT NULL, method text NOT NULL, raw text,
  FOREIGN KEY (run, problem) REFERENCES problems ON DELETE CASCADE);
CREATE UNIQUE INDEX verdicts_answer ON verdicts (run, problem, md5(answer));
CREATE TABLE trees (
  run integer NOT NULL, problem integer NOT NULL, codec text NOT NULL, nodes bytea NOT NULL,
  PRIMARY KEY (run, problem), FOREIGN KEY (run, problem) REFERENCES problems ON DELETE CASCADE);
CREATE TABLE candidates (
  run integer NOT NULL, problem integer NOT NULL, idx integer NOT NULL, candidate text NOT NULL,
  PRIMARY KEY (run, problem, idx), FOREIGN KEY (run, problem) REFERENCES problems ON DELETE CASCADE);
`,
  `
CREATE TABLE siblings (
  run integer NOT NULL, problem integer NOT NULL, key bytea NOT NULL, siblings text NOT NULL,
  PRIMARY KEY (run, problem, key), FOREIGN KEY (run, problem) REFERENCES problems ON DELETE CASCADE);
`,
  `
ALTER TABLE runs ADD COLUMN device_class text;
`,
]

/** Brings the database to the current schema; whoever comes at the same time waits. @throws EngineError STORE: it is newer */
export async function migrate(db: Connection): Promise<void> {
  await db.transaction(async (sql) => {
    await sql.query('SELECT pg_advisory_xact_lock($1)', [LOCK])
    await sql.query('CREATE SCHEMA IF NOT EXISTS mm_prm')
    await sql.query('SET LOCAL search_path TO mm_prm')
    await sql.query('CREATE TABLE IF NOT EXISTS version (version integer NOT NULL)')
    const [row] = await sql.query('SELECT version FROM version')
    const version = Number(row?.['version'] ?? 0)
    if (version > MIGRATIONS.length)
      throw storeError(
        `${db.shown}: schema version ${version} was written by a newer mm-prm; this one knows up to ${MIGRATIONS.length}`,
      )
    if (version === MIGRATIONS.length) return
    for (const migration of MIGRATIONS.slice(version)) await sql.query(migration)
    await sql.query('DELETE FROM version')
    await sql.query('INSERT INTO version VALUES ($1)', [MIGRATIONS.length])
  })
}
