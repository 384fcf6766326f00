/** A model by its name: from the cache where it is whole and nothing may be fetched, else from the hub into the cache. */
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../contracts/abort.ts'
import { hubError, invalidArgument } from '../contracts/errors.ts'
import { lockFolder } from '../contracts/folder-lock.ts'
import { makeFolder } from '../contracts/folders.ts'
import { INDEX, isCommit, missingFiles, RepoCache, weightFiles } from './cache.ts'
import { HubClient } from './client.ts'
import { type HubSettings, hubSettings } from './environment.ts'
import { fetchFile, type RepoFile } from './file.ts'
import { type HubName, parseName } from './name.ts'

export interface PullProgress {
  /** The file in work. */
  file: string
  /** Of all files, those that were there before included. */
  doneBytes: number
  totalBytes: number
}

/** What is absent is as the environment says (HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE …). */
export interface PullOptions {
  /** `org/name` or `org/name@revision`. */
  model: string
  cache?: string
  endpoint?: string
  token?: string
  offline?: boolean
  onProgress?: (progress: PullProgress) => void
  onWarning?: (text: string) => void
  signal?: AbortSignal
}

export interface Pulled extends HubName {
  commit: string
  /** The folder, as `Engine.open` takes it. */
  path: string
}

/** What is read of a model: its small files, and weights as they are chosen by `weightFiles`. */
const SMALL = /^[\w][\w.-]*\.(json|txt|model|jinja)$|^LICENSE[\w.-]*$/
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
const WAIT_MS = 250

function settingsOf({ cache, endpoint, token, offline }: PullOptions): HubSettings {
  const given = hubSettings()
  return {
    ...given,
    ...(cache !== undefined && { cache }),
    ...(endpoint !== undefined && { endpoint: endpoint.replace(/\/+$/, '') }),
    ...(token !== undefined && { token }),
    ...(offline !== undefined && { offline }),
  }
}

/** One process at a time writes into a repository of the cache. */
async function waitForLock(folder: string, signal: AbortSignal | undefined): Promise<AsyncDisposable> {
  for (;;) {
    throwIfAborted(signal)
    const lock = await lockFolder(folder, 'hub')
    if (lock) return lock
    await sleep(WAIT_MS)
  }
}

class Pull {
  readonly #name: HubName
  readonly #options: PullOptions
  readonly #settings: HubSettings
  readonly #client: HubClient
  readonly #cache: RepoCache

  constructor(name: HubName, options: PullOptions) {
    this.#name = name
    this.#options = options
    this.#settings = settingsOf(options)
    this.#client = new HubClient(this.#settings, options.signal)
    this.#cache = new RepoCache(this.#settings.cache, name)
  }

  async run(): Promise<Pulled> {
    if (this.#settings.offline) return this.#fromCache('nothing is fetched while offline')
    let commit: string
    try {
      commit = await this.#askCommit()
    } catch (error) {
      throwIfAborted(this.#options.signal)
      const explained = this.#client.explain(this.#name.id, error)
      // A hub that says no is believed; one that cannot be reached may have been before.
      if (this.#client.failure?.status !== undefined || !this.#client.failure) throw explained
      const known = this.#cache.commitOf(this.#name.revision)
      if (known === undefined || missingFiles(this.#cache.snapshot(known)).length > 0) throw explained
      this.#options.onWarning?.(`${explained.message}; the copy in the cache is used`)
      return this.#fromCache('')
    }
    makeFolder(this.#cache.path)
    await using _lock = await waitForLock(this.#cache.path, this.#options.signal)
    await this.#fetchAll(commit)
    this.#cache.setCommit(this.#name.revision, commit)
    return this.#pulled(commit)
  }

  #pulled(commit: string): Pulled {
    return { ...this.#name, commit, path: this.#cache.snapshot(commit) }
  }

  #fromCache(why: string): Pulled {
    const { id, revision } = this.#name
    const commit = this.#cache.commitOf(revision)
    const where = `${this.#settings.cache} holds`
    if (commit === undefined || !existsSync(this.#cache.snapshot(commit)))
      throw hubError(`${id}@${revision}: no such folder here, and ${where} no model of that name and revision; ${why}`)
    const missing = missingFiles(this.#cache.snapshot(commit))
    if (missing.length === 0) return this.#pulled(commit)
    throw hubError(`${this.#cache.snapshot(commit)}: half of ${id}: ${missing.join(', ')} not there; ${why}`)
  }

  async #askCommit(): Promise<string> {
    const { id, revision } = this.#name
    const { modelInfo } = await import('@huggingface/hub')
    const { sha } = await modelInfo({ name: id, revision, additionalFields: ['sha'], ...this.#client.access })
    if (typeof sha === 'string' && isCommit(sha)) return sha
    throw hubError(
      `${id}: ${this.#client.settings.endpoint} does not answer as a hub does: "sha" is ${JSON.stringify(sha) ?? 'absent'}`,
    )
  }

  /** Files at the top of the repository; others are no part of a model. */
  async #listFiles(commit: string): Promise<RepoFile[]> {
    const { id } = this.#name
    const { listFiles } = await import('@huggingface/hub')
    const files: RepoFile[] = []
    for await (const entry of listFiles({ repo: id, revision: commit, ...this.#client.access })) {
      const { type, path, size } = entry
      if (type !== 'file' || typeof path !== 'string' || !/^[\w][\w.-]*$/.test(path)) continue
      const hash = entry.lfs?.oid ?? entry.oid
      if (typeof hash !== 'string' || !HASH.test(hash) || !Number.isSafeInteger(size) || size < 0)
        throw hubError(`${id}: ${this.#client.settings.endpoint} does not answer as a hub does: no hash or size of ${path}`)
      files.push({ name: path, size, hash })
    }
    return files
  }

  async #fetchAll(commit: string): Promise<void> {
    const { id } = this.#name
    try {
      const files = await this.#listFiles(commit)
      const small = files.filter(({ name }) => SMALL.test(name))
      // The index first: it says how much there is to fetch.
      const index = small.filter(({ name }) => name === INDEX)
      await this.#fetch(commit, index, index)
      const weights = this.#weights(files)
      const others = small.filter(({ name }) => name !== INDEX)
      await this.#fetch(commit, [...others, ...weights], [...small, ...weights])
    } catch (error) {
      throwIfAborted(this.#options.signal)
      throw this.#client.explain(id, error)
    }
  }

  #weights(files: readonly RepoFile[]): RepoFile[] {
    const { id } = this.#name
    const names = files.map(({ name }) => name)
    const index = files.find(({ name }) => name === INDEX)
    let wanted: string[] | undefined
    try {
      wanted = weightFiles(names, () => readFileSync(this.#cache.blob(index?.hash ?? ''), 'utf8'))
    } catch (error) {
      throw hubError(`${id}: ${INDEX}: ${(error as Error).message}`, error)
    }
    if (!wanted) {
      const pickled = names.some((name) => /^pytorch_model.*\.bin/.test(name)) ? '; pytorch_model.bin is not read' : ''
      throw hubError(`${id}: the repository holds no model.safetensors, ${INDEX} or adapter_model.safetensors${pickled}`)
    }
    const absent = wanted.filter((name) => !names.includes(name))
    if (absent.length > 0) throw hubError(`${id}: ${INDEX} names ${absent.join(', ')}, which the repository does not hold`)
    return files.filter(({ name }) => wanted.includes(name))
  }

  async #fetch(commit: string, files: readonly RepoFile[], all: readonly RepoFile[]): Promise<void> {
    const { onProgress, signal } = this.#options
    const totalBytes = all.reduce((sum, { size }) => sum + size, 0)
    let doneBytes = all.filter((file) => !files.includes(file)).reduce((sum, { size }) => sum + size, 0)
    for (const file of files) {
      const onBytes = (change: number) => {
        doneBytes += change
        onProgress?.({ file: file.name, doneBytes, totalBytes })
      }
      if (this.#cache.has(commit, file.name, file.size)) {
        onBytes(file.size)
        continue
      }
      await fetchFile({ client: this.#client, cache: this.#cache, id: this.#name.id, commit, file, onBytes, signal })
      this.#cache.link(commit, file.name, file.hash)
    }
  }
}

/**
 * The folder of a model of the hub, which is fetched as far as the cache lacks it.
 * @throws EngineError INVALID_ARGUMENT (no name of a model), HUB (URL and reason, never a token), STORE (the disk), ABORTED
 */
export async function pull(options: PullOptions): Promise<Pulled> {
  const name = parseName(options.model)
  if (!name) throw invalidArgument(`"${options.model}" is no name of a model on a hub; such are org/name and org/name@revision`)
  return new Pull(name, options).run()
}

/**
 * The folder that `model` means: itself where it exists, and whatever cannot be a name on a hub; else what `pull` gives.
 * @throws EngineError as `pull`
 */
export async function resolveModel(options: PullOptions): Promise<string> {
  if (existsSync(options.model) || !parseName(options.model)) return options.model
  return (await pull(options)).path
}
