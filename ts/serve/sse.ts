/** Server-sent events to a reader of any pace: what it has not taken is not written on. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { EngineError } from '../contracts/errors.ts'

/** A reader that takes nothing for so long is gone: its samples hold memory. */
const STALLED_MS = 120_000

export class EventStream {
  readonly #response: ServerResponse
  readonly #headers: Readonly<Record<string, string>>
  readonly #signal: AbortSignal
  #turn: Promise<void> = Promise.resolve()

  /** @param signal aborts when the reader has gone */
  constructor(response: ServerResponse, headers: Readonly<Record<string, string>>, signal: AbortSignal) {
    this.#response = response
    this.#headers = headers
    this.#signal = signal
  }

  /** Whether the answer has begun: it has a status then. */
  get hasBegun(): boolean {
    return this.#response.headersSent
  }

  /** An answer without events, where none was sent yet. */
  refuse(status: number, headers: Readonly<Record<string, string>>, body: object): void {
    this.#response.writeHead(status, { ...this.#headers, ...headers, 'content-type': 'application/json' })
    this.#response.end(JSON.stringify(body))
  }

  /** Resolves when the reader may be sent more. @throws EngineError ABORTED */
  send(value: object | string): Promise<void> {
    const text = `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`
    // WHY one after the other: prompts of one request write to the same reader.
    this.#turn = this.#turn.then(() => this.#write(text))
    return this.#turn
  }

  end(): void {
    this.#response.end()
  }

  async #write(text: string): Promise<void> {
    if (this.#signal.aborted || this.#response.destroyed) throw new EngineError('ERR_ENGINE_ABORTED', 'the reader has gone')
    if (!this.hasBegun) {
      const type = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }
      this.#response.writeHead(200, { ...this.#headers, ...type })
    }
    if (this.#response.write(text)) return
    const stalled = setTimeout(() => this.#response.destroy(), STALLED_MS)
    try {
      await once(this.#response, 'drain', { signal: this.#signal })
    } catch (error) {
      throw new EngineError('ERR_ENGINE_ABORTED', 'the reader has gone', { cause: error })
    } finally {
      clearTimeout(stalled)
    }
  }
}
