/** Folders for results. */
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { storeError } from './errors.ts'

function makeOne(folder: string): void {
  try {
    mkdirSync(folder)
  } catch (error) {
    // Someone else may have made it in the meantime.
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error
  }
}

/**
 * Makes a folder and what is missing above it; nothing where it exists.
 * @throws EngineError STORE: no right to, a file in the way, a full disk
 */
export function makeFolder(path: string): void {
  const missing: string[] = []
  // WHY not mkdir's own "recursive": it never returns where a file system refuses new folders (/proc).
  for (let at = resolve(path); !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.push(at)
  try {
    if (missing.length === 0) makeOne(path)
    for (const folder of missing.reverse()) makeOne(folder)
  } catch (error) {
    throw storeError(`cannot make the folder ${path}: ${(error as Error).message}`, error)
  }
}
