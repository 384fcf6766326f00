/**
 * One server, or several that serve the same model. A problem goes to one of them, always the same, so that its prefixes are
 * cached there; where that one cannot be reached, to the next in the problem's own order. Seeds are part of a request:
 * whichever answers, the request is the same.
 */
import { z } from 'zod'
import { hash32 } from '../contracts/random.ts'
import { Dialect, type Parameters } from './dialect.ts'
import { type ChatAnswer, ChatClient, type ChatMessage, clientSchema, completing, Fault } from './openai-client.ts'

/** So long one that could not be reached is not tried again while others can be. */
const LEFT_OUT_MS = 30_000

const url = clientSchema.shape.baseUrl
export const endpointsSchema = clientSchema.extend({
  /** Up to and including `/v1`; of several servers, a list. `concurrency` and `ratePerSecond` are of each. */
  baseUrl: z.union([url, z.array(url).min(1)]),
})

export class Endpoints {
  readonly clients: readonly ChatClient[]
  readonly #names = new Map<ChatClient, string>()
  readonly #outUntil = new Map<ChatClient, number>()
  readonly #retries: { attempts: number; backOffMs: number }

  /** @throws EngineError INVALID_ARGUMENT */
  constructor({ baseUrl, ...options }: z.output<typeof endpointsSchema>) {
    // What one refuses is asked of none: else the answer would depend on who gave it.
    const dialect = new Dialect()
    const urls = [...new Set([baseUrl].flat())]
    this.clients = urls.map((one) => new ChatClient({ ...options, baseUrl: one }, dialect))
    for (const [i, client] of this.clients.entries()) this.#names.set(client, urls[i] as string)
    // Each that is down costs an attempt: it must not be one of those that are meant for the rest.
    this.#retries = { attempts: options.attempts + urls.length - 1, backOffMs: options.backOffMs }
  }

  /**
   * @param key what is asked about: the same key goes to the same server
   * @param about names it in errors
   * @throws EngineError POLICY after the last attempt, or at once where no attempt can help; ABORTED
   */
  complete(
    key: string,
    { messages, parameters }: { messages: readonly ChatMessage[]; parameters: Parameters },
    about: string,
    signal: AbortSignal | undefined,
  ): Promise<ChatAnswer> {
    const order = this.#orderOf(key)
    const choose = () => order.find((client) => !this.#isOut(client)) ?? (order[0] as ChatClient)
    const read = (client: ChatClient, error: Error) => {
      if (error instanceof Fault) return error
      this.#leaveOut(client, error)
      const isAnotherLeft = this.clients.some((other) => !this.#isOut(other))
      return { isPassing: true, ...(isAnotherLeft && { retryAfterMs: 0 }) }
    }
    return completing({ messages, parameters, signal }, about, this.#retries, choose, read)
  }

  /** Each key has an order of its own: what one server leaves is spread over all others. */
  #orderOf(key: string): ChatClient[] {
    if (this.clients.length === 1) return [...this.clients]
    const weights = new Map(this.clients.map((client) => [client, hash32(`${key}\n${this.#names.get(client)}`)]))
    return [...this.clients].sort((a, b) => (weights.get(b) as number) - (weights.get(a) as number))
  }

  #isOut(client: ChatClient): boolean {
    return performance.now() < (this.#outUntil.get(client) ?? 0)
  }

  #leaveOut(client: ChatClient, error: Error): void {
    if (this.clients.length === 1) return
    if (!this.#isOut(client))
      process.emitWarning(`${client.shown}: ${client.told(error).message}; its problems go to the other endpoints for now`)
    this.#outUntil.set(client, performance.now() + LEFT_OUT_MS)
  }
}
