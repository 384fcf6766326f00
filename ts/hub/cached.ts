/** What the cache holds. */
import { existsSync } from 'node:fs'
import { missingFiles } from './cache.ts'
import { hubSettings } from './environment.ts'

export interface CachedModel {
  /** `org/name` */
  id: string
  commit: string
  /** Branches and tags that are known to mean this commit. */
  revisions: string[]
  /** Of all its files. */
  bytes: number
  path: string
  /** Files without which it cannot be opened: a download that stopped, or a model of another format. */
  missing: string[]
}

/** Models of the cache, by name; `warnings` tell of folders that cannot be read. */
export async function cachedModels(
  options: { cache?: string } = {},
): Promise<{ cache: string; models: CachedModel[]; warnings: string[] }> {
  const cache = options.cache ?? hubSettings().cache
  if (!existsSync(cache)) return { cache, models: [], warnings: [] }
  const { scanCacheDir } = await import('@huggingface/hub')
  const { repos, warnings } = await scanCacheDir(cache)
  const models = repos
    .filter(({ id }) => id.type === 'model')
    .flatMap(({ id, revisions }) =>
      revisions.map(({ commitOid, refs, size, path }) => ({
        id: id.name,
        commit: commitOid,
        revisions: refs,
        bytes: size,
        path,
        missing: missingFiles(path),
      })),
    )
    .sort((a, b) => (a.id === b.id ? (a.commit < b.commit ? -1 : 1) : a.id < b.id ? -1 : 1))
  return { cache, models, warnings: warnings.map(({ message }) => message) }
}
