/**
 * Chat completions of an OpenAI-compatible server (vLLM, SGLang, llama.cpp, hosted APIs): retries with back-off, a
 * limit on requests at once, and an answer that is checked before anyone believes it.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError, policyError } from '../contracts/errors.ts'
import { validate } from '../contracts/validate.ts'
import { type HttpAnswer, postJson } from './http.ts'

const MAX_ANSWER_BYTES = 64 * 2 ** 20
const MAX_BACK_OFF_MS = 60_000
const RETRIED_STATUS = new Set([408, 409, 425, 429])

export const clientSchema = z.strictObject({
  /** Up to and including `/v1`. */
  baseUrl: z.url({ protocol: /^https?$/ }),
  model: z.string().min(1),
  apiKey: z.string().min(1).optional(),
  /** Requests at once. */
  concurrency: z.number().int().positive().default(16),
  timeoutMs: z.number().positive().default(600_000),
  /** Attempts of one request, the first included. */
  attempts: z.number().int().positive().default(6),
  /** Wait before the second attempt; doubles, and yields to the server's Retry-After. */
  backOffMs: z.number().nonnegative().default(500),
})

export type ClientOptions = z.input<typeof clientSchema>

export type ContentPart = { type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } }
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant'
  content: string | ContentPart[]
}

/** Written apart by a server's reasoning parser; a form that is not known says nothing. */
const reasoning = z.string().nullish().catch(null)
const choiceSchema = z.object({
  finish_reason: z.string().nullish(),
  message: z.object({
    content: z.string().nullish(),
    refusal: z.string().nullish(),
    reasoning_content: reasoning,
    reasoning,
  }),
})
const answerSchema = z.object({
  choices: z.array(choiceSchema),
  usage: z.object({ completion_tokens: z.number().int().nonnegative().nullish() }).nullish(),
})

export type ChatChoice = z.output<typeof choiceSchema>
export type ChatAnswer = z.output<typeof answerSchema>

/** A fault that another attempt may cure. */
class Passing extends Error {
  readonly retryAfterMs: number | undefined
  constructor(message: string, retryAfterMs?: number) {
    super(message)
    this.retryAfterMs = retryAfterMs
  }
}

export class ChatClient {
  readonly model: string
  readonly #url: URL
  readonly #options: z.output<typeof clientSchema>
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** @throws EngineError INVALID_ARGUMENT */
  constructor(options: ClientOptions) {
    this.#options = validate(clientSchema, options, 'OpenAI-compatible server')
    this.model = this.#options.model
    this.#url = new URL(`${this.#options.baseUrl.replace(/\/+$/, '')}/chat/completions`)
  }

  /**
   * @param about names the problem in errors
   * @throws EngineError POLICY after the last attempt, or at once where no attempt can help; ABORTED
   */
  async complete(
    messages: readonly ChatMessage[],
    parameters: Readonly<Record<string, unknown>>,
    about: string,
    signal?: AbortSignal,
  ): Promise<ChatAnswer> {
    const { attempts, backOffMs } = this.#options
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal)
      try {
        return await this.#attempt({ model: this.model, messages, ...parameters }, about, signal)
      } catch (error) {
        throwIfAborted(signal)
        if (error instanceof EngineError) throw error
        const message = (error as Error).message
        if (attempt === attempts) throw policyError(`${about}: ${this.#url.href}: ${message}, ${attempts} attempts`, error)
        const wait = (error instanceof Passing ? error.retryAfterMs : undefined) ?? backOffMs * 2 ** (attempt - 1)
        await sleep(Math.min(wait, MAX_BACK_OFF_MS), undefined, signal && { signal }).catch(() => throwIfAborted(signal))
      }
    }
  }

  async #attempt(payload: unknown, about: string, signal: AbortSignal | undefined): Promise<ChatAnswer> {
    await this.#enter(signal)
    try {
      const { apiKey, timeoutMs } = this.#options
      const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
      return this.#read(await postJson(this.#url, payload, { headers, timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal }), about)
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  async #enter(signal: AbortSignal | undefined): Promise<void> {
    while (this.#running >= this.#options.concurrency) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running++
    if (!signal?.aborted) return
    this.#running--
    this.#waiting.shift()?.()
    throwIfAborted(signal)
  }

  #read({ status, headers, body }: HttpAnswer, about: string): ChatAnswer {
    if (status >= 500 || RETRIED_STATUS.has(status)) {
      throw new Passing(`status ${status}${excerpt(body)}`, retryAfterMs(headers['retry-after']))
    }
    if (status !== 200) throw policyError(`${about}: ${this.#url.href}: status ${status}${excerpt(body)}`)
    let json: unknown
    try {
      json = JSON.parse(body)
    } catch {
      throw new Passing(`the answer is not JSON${excerpt(body)}`)
    }
    const answer = answerSchema.safeParse(json)
    if (!answer.success) throw new Passing(`the answer is not a chat completion${excerpt(body)}`)
    return answer.data
  }
}

function excerpt(body: string): string {
  const text = body.trim().replace(/\s+/g, ' ')
  return text === '' ? '' : `: ${text.slice(0, 300)}`
}

/** Seconds or a date, as HTTP has it. */
function retryAfterMs(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string') return undefined
  const ms = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}
