/** One file of a repository, fetched into the cache: it goes on where an earlier attempt stopped, and counts only if its hash fits. */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError, hubError, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { RepoCache } from './cache.ts'
import { type HubClient, RequestFailure } from './client.ts'

export interface RepoFile {
  name: string
  size: number
  /** SHA-256 of a large file, or the hash that git gives a small one: its name among the blobs too. */
  hash: string
}

interface Fetching {
  client: HubClient
  cache: RepoCache
  id: string
  commit: string
  file: RepoFile
  /** Bytes more (or fewer, where an attempt was in vain) than before. */
  onBytes: (change: number) => void
  signal: AbortSignal | undefined
}

const MAX_TRIES = 5
const FIRST_PAUSE_MS = 250

/** Git hashes a file behind a header with its size. */
function startHash({ hash, size }: RepoFile): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
}

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0

async function nextChunk(reader: ReadableStreamDefaultReader<Uint8Array>, timeoutMs: number) {
  const silence = new AbortController()
  const late = sleep(timeoutMs, undefined, { signal: silence.signal }).then(() => {
    throw new RequestFailure('', `no bytes for ${timeoutMs / 1000} s`)
  })
  try {
    return await Promise.race([reader.read(), late])
  } finally {
    silence.abort()
    late.catch(() => {})
  }
}

/** Appends what follows the first `have` bytes. Returns all bytes there are then. */
async function append(f: Fetching, to: FileHandle, hash: Hash, have: number): Promise<number> {
  const { downloadFile } = await import('@huggingface/hub')
  const { client, id, commit, file } = f
  client.failure = undefined
  const blob = await downloadFile({ repo: id, path: file.name, revision: commit, xet: client.settings.xet, ...client.access })
  if (!blob) throw new RequestFailure(file.name, 'no such file', 404, 'EntryNotFound')
  if (blob.size !== file.size)
    throw hubError(`${id}: ${file.name} has ${blob.size} bytes where it is fetched, and ${file.size} in the list of files`)
  const reader = blob.slice(have).stream().getReader()
  let at = have
  try {
    for (;;) {
      throwIfAborted(f.signal)
      const { done, value } = await nextChunk(reader, client.settings.timeoutMs)
      if (done) return at
      if (at + value.length > file.size) throw hubError(`${id}: ${file.name} goes on after its ${file.size} bytes`)
      await to.write(value)
      hash.update(value)
      at += value.length
      f.onBytes(value.length)
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** One attempt. Resolves to whether all bytes are there; throws where the hash is another. */
async function attempt(f: Fetching, path: string): Promise<boolean> {
  const { file, id } = f
  const hash = startHash(file)
  const have = sizeOf(path)
  if (have > 0) for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  const to = await open(path, 'a')
  let size = have
  try {
    if (have < file.size) size = await append(f, to, hash, have)
    await to.sync()
  } finally {
    await to.close()
  }
  if (size < file.size) return false
  const digest = hash.digest('hex')
  if (digest === file.hash) return true
  await rm(path, { force: true })
  f.onBytes(-file.size)
  if (have > 0) return false // what an earlier attempt left may be wrong
  throw hubError(`${id}: ${file.name} came with the hash ${digest}, but ${file.hash} is the file's; it was not kept`)
}

function isDisk(error: unknown): error is NodeJS.ErrnoException {
  return /^(ENOSPC|EACCES|EPERM|EROFS|EDQUOT|EIO|EMFILE)$/.test((error as NodeJS.ErrnoException).code ?? '')
}

/**
 * Fetches the file's blob unless the cache has it. Failures that may pass are tried again as long as bytes come.
 * @throws EngineError HUB naming the URL or the hash, STORE (the disk), ABORTED
 */
export async function fetchFile(f: Fetching): Promise<void> {
  const { file, cache, client, id } = f
  const blob = cache.blob(file.hash)
  if (sizeOf(blob) === file.size && file.size > 0) return f.onBytes(file.size)
  makeFolder(dirname(blob))
  // WHY a name of its own: the Python library, which checks no hash, may be appending to its own of the same blob.
  const path = `${blob}.mm-prm.incomplete`
  if (sizeOf(path) > file.size) await rm(path)
  f.onBytes(sizeOf(path))
  for (let tries = 1; ; tries++) {
    const before = sizeOf(path)
    let failure: RequestFailure | undefined
    try {
      if (await attempt(f, path)) return await rename(path, blob)
    } catch (error) {
      throwIfAborted(f.signal)
      if (isDisk(error)) throw storeError(`cannot write ${path}: ${error.message}`, error)
      if (error instanceof EngineError) throw error
      failure = error instanceof RequestFailure && error.url === '' ? error : (client.failure ?? undefined)
      if (failure?.kind === 'NoRanges') {
        f.onBytes(-sizeOf(path))
        await rm(path, { force: true })
      } else if (failure && !failure.passes) {
        throw client.explain(id, failure)
      }
    }
    if (sizeOf(path) > before) tries = 0
    if (tries >= MAX_TRIES) {
      const why = failure?.message || 'the connection ended early'
      throw hubError(`${id}: ${file.name} of ${client.settings.endpoint}: ${why}, ${MAX_TRIES} times; what came is kept`)
    }
    await sleep(FIRST_PAUSE_MS * 2 ** tries, undefined, { ...(f.signal && { signal: f.signal }) }).catch(() => {})
  }
}
