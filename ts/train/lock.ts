/** One training per folder. */
import { storeError } from '../contracts/errors.ts'
import { lockFolder as lock } from '../contracts/folder-lock.ts'

/** @throws EngineError STORE where another training holds it */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const held = await lock(folder, 'train')
  if (!held) throw storeError(`${folder}: another training writes into this folder`)
  return held
}
