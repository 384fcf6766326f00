/**
 * One writer per run directory. The lock is a write transaction held open on a small database of its own: the system
 * frees it however the process ends, and readers of the run itself are not kept out.
 */
import { join } from 'node:path'
import { storeError } from '../contracts/errors.ts'
import { findDoor, guarded, isSqlite } from './driver.ts'

/** @throws EngineError STORE where another process holds it */
export function lockRun(folder: string): { release: () => void } {
  const path = join(folder, 'run.lock')
  const db = guarded(path, () => findDoor().open(path))
  try {
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (isSqlite(error, 'SQLITE_BUSY')) throw storeError(`${folder}: another process is writing this run`, error)
    return guarded(path, () => {
      throw error
    })
  }
  return { release: () => db.close() }
}
