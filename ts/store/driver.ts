/**
 * The doors to SQLite: better-sqlite3 where it is installed and fits this Node, else the module built into Node.
 * Both are loaded when first asked for; nothing else in the package knows which one it is.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { EngineError, storeError } from '../contracts/errors.ts'
import { withWholeTexts } from './whole-texts.ts'

export type Value = string | number | null | Uint8Array
export type Row = Record<string, Value>

export interface Statement {
  run(...values: Value[]): unknown
  get(...values: Value[]): Row | undefined
  all(...values: Value[]): Row[]
}

export interface Database {
  exec(sql: string): unknown
  prepare(sql: string): Statement
  close(): unknown
}

export interface Door {
  readonly name: string
  /** For writing where the file system allows it, else for reading alone. */
  open(path: string): Database
  /** For reading what nobody writes: no file is made beside it, and what a log beside it holds is not seen. */
  openImmutable(path: string): Database
}

/** better-sqlite3 13 crashes a Node that lacks the Node-API version it was built for: never load it there. */
const FIRST_MAJOR_WITH_NAPI_10 = 13

const require = createRequire(import.meta.url)

function betterSqlite3(): Door {
  const { version } = require('better-sqlite3/package.json') as { version: string }
  if (Number.parseInt(version, 10) >= FIRST_MAJOR_WITH_NAPI_10 && Number(process.versions['napi']) < 10) {
    throw new Error(`version ${version} needs Node 22 or later; version 12 runs here`)
  }
  const Sqlite = require('better-sqlite3') as new (from: string | Buffer, options: { timeout: number }) => Database
  return {
    name: `better-sqlite3 ${version}`,
    open: (path) => new Sqlite(path, { timeout: 0 }),
    openImmutable: (path) => new Sqlite(withoutLog(readFileSync(path)), { timeout: 0 }),
  }
}

/** A database in memory cannot have a log: its header is made to say so. */
function withoutLog(file: Buffer): Buffer {
  if (file.length >= 20) file.fill(1, 18, 20)
  return file
}

function nodeSqlite(): Door {
  const { DatabaseSync } = require('node:sqlite') as { DatabaseSync: new (path: string | URL) => Database }
  return {
    name: `node:sqlite ${process.versions.node}`,
    open: (path) => withWholeTexts(new DatabaseSync(path)),
    openImmutable: (path) => withWholeTexts(new DatabaseSync(new URL('?mode=ro&immutable=1', pathToFileURL(path)))),
  }
}

export const DOORS: Readonly<Record<string, () => Door>> = { 'better-sqlite3': betterSqlite3, 'node:sqlite': nodeSqlite }

let found: Door | undefined

/** The first door that opens. @throws EngineError STORE with the reason of each that does not */
export function findDoor(doors = DOORS): Door {
  if (found && doors === DOORS) return found
  const reasons: string[] = []
  for (const [name, load] of Object.entries(doors)) {
    try {
      const door = load()
      door.open(':memory:').close()
      if (doors === DOORS) found = door
      return door
    } catch (error) {
      reasons.push(`${name}: ${(error as Error).message.split('\n')[0]}`)
    }
  }
  throw storeError(
    `a run is kept in SQLite, and none is available: install better-sqlite3 (npm install better-sqlite3@12) or use Node 22.13 or later (${reasons.join('; ')})`,
  )
}

const EXPLANATIONS: readonly { code: string; number: number; text: string }[] = [
  { code: 'SQLITE_FULL', number: 13, text: 'the disk is full; free space and resume, nothing that was finished is lost' },
  { code: 'SQLITE_CORRUPT', number: 11, text: 'a page of the database is corrupt; restore the file from a backup' },
  { code: 'SQLITE_NOTADB', number: 26, text: 'this is not a database' },
  { code: 'SQLITE_BUSY', number: 5, text: 'another process is using it' },
  { code: 'SQLITE_READONLY', number: 8, text: 'it cannot be written' },
  { code: 'SQLITE_CANTOPEN', number: 14, text: 'it cannot be opened' },
  { code: 'SQLITE_IOERR', number: 10, text: 'reading or writing failed' },
]

/** Whether a door's error is the SQLite condition `code` (extended codes included). */
export function isSqlite(error: unknown, code: string): boolean {
  const { code: name, errcode } = error as { code?: string; errcode?: number }
  const known = EXPLANATIONS.find((e) => e.code === code)
  return (
    name === code ||
    name?.startsWith(`${code}_`) === true ||
    (known !== undefined && errcode !== undefined && (errcode & 0xff) === known.number)
  )
}

/** Whether an error is of SQLite at all. */
function isFromSqlite(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && /^(?:SQLITE_|ERR_SQLITE)/.test(code)
}

/** Runs `work`; a fault of SQLite becomes an EngineError STORE that names the file and what to do. */
export function guarded<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const explanation = EXPLANATIONS.find(({ code }) => isSqlite(error, code))
    if (explanation) throw storeError(`${path}: ${explanation.text} (${(error as Error).message})`, error)
    if (isFromSqlite(error)) throw damaged(path, error)
    throw error
  }
}

/** For what is read of a run: whatever its making into records meets is damage. */
export function guardedRecords<T>(path: string, work: () => T): T {
  try {
    return guarded(path, work)
  } catch (error) {
    throw error instanceof EngineError ? error : damaged(path, error)
  }
}

function damaged(path: string, error: unknown): EngineError {
  return storeError(`${path}: the run is corrupt (${(error as Error).message}); restore the file from a backup`, error)
}
