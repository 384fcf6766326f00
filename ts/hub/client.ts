/** How a hub is asked: with the token for it alone, a limit for silence, and failures that name a URL without secrets. */
import { type Access, accessTo } from '../contracts/access.ts'
import { EngineError, hubError } from '../contracts/errors.ts'
import { withoutUserinfo } from '../contracts/secrets.ts'
import type { HubSettings } from './environment.ts'

/** What went wrong with one request, before it is known whether trying again may help. */
export class RequestFailure extends Error {
  readonly url: string
  readonly status: number | undefined
  /** The hub's own word for it, such as `GatedRepo`. */
  readonly kind: string

  constructor(url: string, message: string, status?: number, kind = '') {
    super(message)
    this.url = url
    this.status = status
    this.kind = kind
  }

  /** Whether the same request may get another answer. */
  get passes(): boolean {
    const { status } = this
    return status === undefined || status === 408 || status === 429 || status >= 500
  }
}

const MAX_WORDS = 200

/** Signed URLs carry secrets behind the question mark. */
function plainUrl(url: string | URL): string {
  return withoutUserinfo(String(url)).replace(/[?#].*$/s, '')
}

/** One line of what a server said. */
async function wordsOf(response: Response): Promise<string> {
  const header = response.headers.get('x-error-message')
  if (header) return header
  const text = await response.text().catch(() => '')
  try {
    const { error, message } = JSON.parse(text)
    return String(error ?? message ?? '')
  } catch {
    return /^\s*</.test(text) ? '' : (text.split('\n')[0] ?? '')
  }
}

export class HubClient {
  readonly settings: HubSettings
  /** The last failure: the client library hands on no more than a text in places. */
  failure: RequestFailure | undefined
  readonly #signal: AbortSignal | undefined
  /** undefined: the endpoint is no URL. */
  readonly #access: Access | undefined

  constructor(settings: HubSettings, signal?: AbortSignal) {
    const { endpoint, token } = settings
    this.#access = /^https?:/i.test(endpoint) && URL.canParse(endpoint) ? accessTo(endpoint, '', token) : undefined
    this.settings = { ...settings, endpoint: (this.#access?.shown ?? withoutUserinfo(endpoint)).replace(/\/+$/, '') }
    this.#signal = signal
  }

  #redact(text: string): string {
    return withoutUserinfo(this.#access?.redact(text) ?? text)
  }

  /** What the client library's functions take. */
  get access() {
    return { hubUrl: this.settings.endpoint, fetch: this.fetch }
  }

  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input)
    const headers = new Headers(init.headers)
    const { endpoint, timeoutMs } = this.settings
    if (!this.#access) throw hubError(`the hub's address (HF_ENDPOINT) must be a URL of http or https, not "${endpoint}"`)
    if (!headers.has('authorization') && new URL(url).origin === this.#access.url.origin)
      for (const [name, value] of Object.entries(this.#access.headers)) headers.set(name, value)
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(), timeoutMs)
    const signal = this.#signal ? AbortSignal.any([silence.signal, this.#signal]) : silence.signal
    let response: Response
    try {
      response = await fetch(url, { ...init, headers, signal })
    } catch (error) {
      const { cause } = error as { cause?: { code?: string; message?: string } }
      const why = silence.signal.aborted ? `no answer within ${timeoutMs / 1000} s` : (cause?.message ?? (error as Error).message)
      throw this.#fail(new RequestFailure(plainUrl(url), this.#redact(why)))
    } finally {
      clearTimeout(timer)
    }
    // A server that leaves the range out would have the rest of a file begin at its first byte.
    const from = Number(/^bytes=(\d+)-/.exec(headers.get('range') ?? '')?.[1] ?? 0)
    if (from > 0 && response.status === 200) {
      await response.body?.cancel()
      throw this.#fail(new RequestFailure(plainUrl(url), 'ignores ranges', undefined, 'NoRanges'))
    }
    if (response.ok) return response
    const kind = response.headers.get('x-error-code') ?? ''
    const words = this.#redact(await wordsOf(response)).slice(0, MAX_WORDS)
    throw this.#fail(new RequestFailure(plainUrl(response.url || url), words, response.status, kind))
  }

  #fail(failure: RequestFailure): RequestFailure {
    this.failure = failure
    return failure
  }

  /** A typed error of what the library threw, in our words where the failure is known. */
  explain(id: string, error: unknown): EngineError {
    if (error instanceof EngineError) return error
    const failure = error instanceof RequestFailure ? error : this.failure
    if (!failure) {
      const text = this.#redact(error instanceof Error ? error.message : String(error))
      return hubError(`${id}: ${this.settings.endpoint} does not answer as a hub does: ${text}`)
    }
    const { url, status, kind, message } = failure
    const said = message === '' ? '' : `: ${message}`
    const hasToken = this.settings.token !== undefined
    if (kind === 'GatedRepo')
      return hubError(
        `${id}: ${url} answers ${status}: its terms are to be accepted on the model's page first${hasToken ? ', by the account of the token in use' : '; then set HF_TOKEN'}`,
      )
    if (status === 401 || status === 403) {
      const what = hasToken
        ? 'no such model, or the token in use has no right to it'
        : 'no such model, or one that needs a token: set HF_TOKEN'
      return hubError(`${id}: ${url} answers ${status}: ${what}`)
    }
    if (status === 404) {
      const what = kind === 'RevisionNotFound' ? 'no such revision' : kind === 'EntryNotFound' ? 'no such file' : 'no such model'
      return hubError(`${id}: ${url} answers 404: ${what}`)
    }
    if (status !== undefined) return hubError(`${id}: ${url} answers ${status}${said}`)
    return hubError(`${id}: ${url} cannot be read${said}`)
  }
}
