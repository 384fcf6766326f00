/** What a checkpoint folder holds of a model, looked at before anything of it is opened. */
import { readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { invalidModel } from '../contracts/errors.ts'

/** What decides what a model says; whatever else lies beside it is somebody's own. */
const COUNTED = /\.(json|safetensors|model)$|^(merges\.txt|chat_template\.jinja)$/

export interface FolderFile {
  readonly name: string
  readonly path: string
  /** Bytes. */
  readonly size: number
}

export function unreadable(path: string, error: NodeJS.ErrnoException) {
  const reasons: Record<string, string> = {
    ENOENT: 'leads nowhere (a broken link)',
    ELOOP: 'is a link that leads back to itself',
  }
  return invalidModel(`${path}: ${reasons[error.code ?? ''] ?? `cannot be read: ${error.message}`}`, error)
}

/** Links are followed: a hub's cache consists of them. */
function regularFile(path: string): Stats {
  let info: Stats
  try {
    info = statSync(path)
  } catch (error) {
    throw unreadable(path, error as NodeJS.ErrnoException)
  }
  // WHY before it is opened: a pipe would wait for its writer, a device may never end.
  if (!info.isFile()) throw invalidModel(`${path}: is not a regular file${info.isDirectory() ? ' but a folder' : ''}`)
  return info
}

/**
 * The files that a model is made of, by name.
 * @throws EngineError INVALID_MODEL: no such folder; a broken or circular link, a pipe, a device or a folder in the place of a file
 */
export function modelFiles(folder: string): FolderFile[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    throw invalidModel(`${folder}: a checkpoint folder is expected: ${(error as Error).message}`, error)
  }
  return names
    .filter((name) => COUNTED.test(name))
    .sort()
    .map((name) => {
      const path = join(folder, name)
      return { name, path, size: regularFile(path).size }
    })
}
