/**
 * The cache's layout, which the Python library shares: `models--org--name` with `blobs/` by content, `snapshots/COMMIT/` of links
 * to them, and `refs/REVISION`, which holds a commit.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import type { HubName } from './name.ts'

export const INDEX = 'model.safetensors.index.json'
const SINGLE = 'model.safetensors'
const ADAPTER = 'adapter_model.safetensors'
const COMMIT = /^[0-9a-f]{40}$/

export const isCommit = (text: string) => COMMIT.test(text)

/** The weight files that an index names; throws where it is no index. */
export function indexedFiles(text: string): string[] {
  const { weight_map: map } = JSON.parse(text)
  if (typeof map !== 'object' || map === null) throw new Error('"weight_map" must be an object')
  const names = [...new Set(Object.values(map))]
  const bad = names.find((name) => typeof name !== 'string' || !/^[\w][\w.-]*$/.test(name))
  if (bad !== undefined) throw new Error(`"weight_map" names ${JSON.stringify(bad)}, which is no file of the folder`)
  return names.sort() as string[]
}

/** Weights that a folder of these files has to hold; undefined where it can be no model of ours. */
export function weightFiles(names: readonly string[], readIndex: () => string): string[] | undefined {
  if (names.includes(SINGLE)) return [SINGLE]
  if (names.includes(INDEX)) return indexedFiles(readIndex())
  return names.includes(ADAPTER) ? [ADAPTER] : undefined
}

export class RepoCache {
  readonly path: string

  constructor(cache: string, { id }: HubName) {
    this.path = join(cache, `models--${id.replace('/', '--')}`)
  }

  /** What the cache knows a revision as. */
  commitOf(revision: string): string | undefined {
    if (isCommit(revision)) return revision
    try {
      const commit = readFileSync(join(this.path, 'refs', revision), 'utf8').trim()
      return isCommit(commit) ? commit : undefined
    } catch {
      return undefined
    }
  }

  setCommit(revision: string, commit: string): void {
    if (isCommit(revision)) return
    const ref = join(this.path, 'refs', revision)
    makeFolder(dirname(ref))
    writeFileSync(`${ref}.tmp-${process.pid}`, commit)
    renameSync(`${ref}.tmp-${process.pid}`, ref)
  }

  snapshot(commit: string): string {
    return join(this.path, 'snapshots', commit)
  }

  blob(hash: string): string {
    return join(this.path, 'blobs', hash)
  }

  /** Links a blob as a file of the snapshot. */
  link(commit: string, name: string, hash: string): void {
    const file = join(this.snapshot(commit), name)
    mkdirSync(dirname(file), { recursive: true })
    rmSync(file, { force: true }) // of a broken link
    try {
      symlinkSync(relative(dirname(file), this.blob(hash)), file)
    } catch (error) {
      // WHY: the Python library does so too where a file system has no links.
      if (!existsSync(file)) renameSync(this.blob(hash), file)
      else throw error
    }
  }

  has(commit: string, name: string, size: number): boolean {
    const found = statSync(join(this.snapshot(commit), name), { throwIfNoEntry: false })
    return found?.isFile() === true && found.size === size
  }
}

/** What a snapshot lacks of a model, as sentences would name it; empty where it is whole. */
export function missingFiles(snapshot: string): string[] {
  let names: string[]
  try {
    names = readdirSync(snapshot).filter((name) => existsSync(join(snapshot, name)))
  } catch {
    return ['everything']
  }
  const config = ['config.json', 'adapter_config.json'].some((name) => names.includes(name)) ? [] : ['config.json']
  try {
    const weights = weightFiles(names, () => readFileSync(join(snapshot, INDEX), 'utf8')) ?? [SINGLE]
    return [...config, ...weights.filter((name) => !names.includes(name))]
  } catch {
    return [...config, INDEX] // cut off, or no index
  }
}
