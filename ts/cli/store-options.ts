/** The database of commands that many machines share. */

import { splitUri } from '../store/postgres/connection.ts'
import type { Runs } from '../store/postgres/index.ts'
import { isDatabase } from '../store/reader.ts'
import { required, UsageError } from './command.ts'

export const STORE_OPTIONS = { store: { type: 'string' }, run: { type: 'string' }, json: { type: 'boolean' } } as const

export const STORE_USAGE = `  --store URL              postgres://USER@HOST/DATABASE, or MM_PRM_STORE in the environment`

/** URL and, behind `#` or as --run, the run. */
export function readStore(values: { store?: string | undefined; run?: string | undefined }): {
  url: string
  run: string | undefined
} {
  const given = isDatabase(values.run ?? '') ? values.run : (values.store ?? process.env['MM_PRM_STORE'])
  const { url, run } = splitUri(required(given, 'store'))
  if (!isDatabase(url))
    throw new UsageError(`--store must be a postgres:// URL; a run of one machine is a folder: mm-prm search --out DIR`)
  return { url, run: run ?? (isDatabase(values.run ?? '') ? undefined : values.run) }
}

export async function withRuns<T>(url: string, work: (runs: Runs) => Promise<T>): Promise<T> {
  const { Runs } = await import('../store/postgres/index.ts')
  const runs = await Runs.open(url)
  try {
    return await work(runs)
  } finally {
    await runs.close()
  }
}
