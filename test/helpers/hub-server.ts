/** A hub on the loopback interface: its API, files that lie on another origin, and misbehaviour as it is told to. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { sendJson } from './chat-server.ts'

export const COMMIT = '0123456789abcdef0123456789abcdef01234567'
/** Whether it has answered; what it has not is answered as a hub does. */
type Misbehaviour = (request: IncomingMessage, response: ServerResponse, url: URL) => boolean

export interface Seen {
  origin: 'hub' | 'files'
  path: string
  range: string | undefined
  authorization: string | undefined
}

const sha = (kind: string, ...parts: (string | Buffer)[]) => {
  const hash = createHash(kind)
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}
export const isLarge = (name: string) => name.endsWith('.safetensors')
export const hashOf = (name: string, bytes: Buffer) =>
  isLarge(name) ? sha('sha256', bytes) : sha('sha1', `blob ${bytes.length}\0`, bytes)

/** Sends what the range asks for. */
function sendBytes(request: IncomingMessage, response: ServerResponse, bytes: Buffer, etag: string): void {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  if (from === undefined) {
    response.writeHead(200, { 'content-length': bytes.length, etag: `"${etag}"` })
    response.end(bytes)
    return
  }
  const end = Math.min(to ? Number(to) + 1 : bytes.length, bytes.length)
  response.writeHead(206, { 'content-range': `bytes ${from}-${end - 1}/${bytes.length}`, etag: `"${etag}"` })
  response.end(bytes.subarray(Number(from), end))
}

export class HubServer {
  readonly files: Map<string, Buffer>
  readonly seen: Seen[] = []
  misbehave: Misbehaviour = () => false
  endpoint = ''
  readonly #servers: Server[] = []
  #filesOrigin = ''

  private constructor(files: Map<string, Buffer>) {
    this.files = files
  }

  /** Serves the files of a folder as the model `org/name`, at `main`, at the tag `v1` and at COMMIT. */
  static async start(folder: string): Promise<HubServer> {
    const names = readdirSync(folder).filter((name) => !name.startsWith('golden.'))
    const server = new HubServer(new Map(names.map((name) => [name, readFileSync(join(folder, name))])))
    server.#filesOrigin = await server.#listen((request, response) => server.#answerFile(request, response))
    server.endpoint = await server.#listen((request, response) => server.#answer(request, response))
    return server
  }

  async #listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
    const server = createServer(answer)
    this.#servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  close(): void {
    for (const server of this.#servers) {
      server.close()
      server.closeAllConnections()
    }
  }

  /** Requests for a file's bytes, not for its size alone. */
  fetched(name: string): Seen[] {
    return this.seen.filter(({ path, range }) => path.endsWith(`/${name}`) && range !== 'bytes=0-0')
  }

  #see(origin: Seen['origin'], request: IncomingMessage): URL {
    const url = new URL(request.url ?? '', 'http://x')
    this.seen.push({ origin, path: url.pathname, range: request.headers.range, authorization: request.headers.authorization })
    return url
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = this.#see('hub', request)
    if (!this.misbehave(request, response, url)) this.#behave(request, response, url)
  }

  #behave(request: IncomingMessage, response: ServerResponse, url: URL): unknown {
    const revision = /^\/api\/models\/org\/name\/revision\/(.+)$/.exec(url.pathname)?.[1]
    if (revision !== undefined) {
      if (!['main', 'v1', COMMIT].includes(decodeURIComponent(revision)))
        return sendJson(response, 404, { error: 'Invalid rev id' }, { 'x-error-code': 'RevisionNotFound' })
      return sendJson(response, 200, {
        _id: '1',
        id: 'org/name',
        sha: COMMIT,
        private: false,
        gated: false,
        downloads: 0,
        likes: 0,
      })
    }
    if (url.pathname === `/api/models/org/name/tree/${COMMIT}`) return this.#list(response, url)
    const name = /^\/org\/name\/resolve\/[0-9a-f]{40}\/(.+)$/.exec(url.pathname)?.[1]
    const bytes = this.files.get(name ?? '')
    if (name === undefined || !bytes)
      return sendJson(response, 404, { error: 'Repository not found' }, { 'x-error-code': 'RepoNotFound' })
    response.setHeader('x-repo-commit', COMMIT)
    if (!isLarge(name)) return sendBytes(request, response, bytes, hashOf(name, bytes))
    response.setHeader('x-linked-etag', `"${hashOf(name, bytes)}"`)
    response.setHeader('x-linked-size', bytes.length)
    response.writeHead(302, { location: `${this.#filesOrigin}/cdn/${name}?X-Amz-Signature=signed-secret` })
    return response.end()
  }

  /** In pages of three. */
  #list(response: ServerResponse, url: URL): void {
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const entries = [...this.files].map(([path, bytes]) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: sha('sha1', `blob ${bytes.length}\0`, bytes),
      ...(isLarge(path) && { lfs: { oid: sha('sha256', bytes), size: bytes.length, pointerSize: 130 } }),
    }))
    const next = `<${this.endpoint}${url.pathname}?cursor=${from + 3}>; rel="next"`
    sendJson(response, 200, entries.slice(from, from + 3), from + 3 < entries.length ? { link: next } : {})
  }

  #answerFile(request: IncomingMessage, response: ServerResponse): void {
    const url = this.#see('files', request)
    if (this.misbehave(request, response, url)) return
    const name = url.pathname.slice('/cdn/'.length)
    const bytes = this.files.get(name) as Buffer
    sendBytes(request, response, bytes, hashOf(name, bytes))
  }
}
