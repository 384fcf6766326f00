/**
 * Chat completions of an OpenAI-compatible server (vLLM, SGLang, llama.cpp, hosted APIs): retries with back-off, a
 * limit on requests at once, and an answer that is checked before anyone believes it.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { throwIfAborted } from '../contracts/abort.ts'
import { type Access, accessTo } from '../contracts/access.ts'
import { Outage, policyError } from '../contracts/errors.ts'
import { nestsDeeply } from '../contracts/json-depth.ts'
import { validate } from '../contracts/validate.ts'
import { Dialect, namedIn, optionsInstead, type Parameters } from './dialect.ts'
import { type HttpAnswer, postJson } from './http.ts'
import { causeOf, type Failure, RETRIED_STATUS, retryAfterMs, retrying } from './retry.ts'

const MAX_ANSWER_BYTES = 64 * 2 ** 20
/** A chat completion nests a handful of levels. */
const MAX_DEPTH = 64
/** Of an answer that is none, so much is looked at. */
const MAX_WORDS = 20_000
/** With which servers refuse parameters; some answer with 200, or take their own refusal for an accident. */
const REFUSING_STATUS = new Set([200, 400, 422, 500, 501])
export const NO_SEED = 'the server takes no seed: the same command will not give the same rollouts again'

export const clientSchema = z.strictObject({
  /** Up to and including `/v1`. User and password in it are sent as Basic authorisation where there is no key. */
  baseUrl: z.url({ protocol: /^https?$/ }),
  model: z.string().min(1),
  apiKey: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')
    .optional(),
  /** Requests at once. */
  concurrency: z.number().int().positive().default(16),
  timeoutMs: z.number().positive().default(600_000),
  /** Requests begun in a second, at most; default: as many as there are. */
  ratePerSecond: z.number().positive().optional(),
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

/** Half a surrogate pair, as a server cuts texts, would not come back from a data base as it went in. */
const text = z.string().transform((t) => t.toWellFormed())
/** Written apart by a server's reasoning parser; a form that is not known says nothing. */
const reasoning = text.nullish().catch(null)
const tokenSchema = z.object({ token: z.string(), logprob: z.number() })
/** A form that is not known says nothing. */
const logprobsSchema = z
  .object({ content: z.array(tokenSchema.extend({ top_logprobs: z.array(tokenSchema).default([]) })).nullish() })
  .nullish()
  .catch(null)
const choiceSchema = z.object({
  logprobs: logprobsSchema,
  finish_reason: z.string().nullish(),
  /** As our own server tells that the prompt has opened a block of reasoning, in which the text begins. */
  starts_in_reasoning: z.boolean().nullish().catch(null),
  message: z.object({
    content: text.nullish(),
    refusal: text.nullish(),
    reasoning_content: reasoning,
    reasoning,
  }),
})
const answerSchema = z.object({
  choices: z.array(choiceSchema),
  // A count that is none does not spoil the texts.
  usage: z.object({ completion_tokens: z.number().int().nonnegative().nullish() }).nullish().catch(undefined),
})

export type ChatChoice = z.output<typeof choiceSchema>
export type ChatAnswer = z.output<typeof answerSchema>

/** What another attempt may cure is passing; what a server says of a request it will not take is in its words. */
export class Fault extends Error {
  readonly status: number
  /** What the server said. */
  readonly words: string
  readonly isPassing: boolean
  readonly retryAfterMs: number | undefined

  constructor(message: string, more: { status: number; words: string; isPassing: boolean; retryAfterMs?: number | undefined }) {
    super(message, causeOf(more.status))
    this.status = more.status
    this.words = more.words
    this.isPassing = more.isPassing
    this.retryAfterMs = more.retryAfterMs
  }
}

export interface Call {
  messages: readonly ChatMessage[]
  parameters: Parameters
  signal: AbortSignal | undefined
}

export class ChatClient {
  readonly model: string
  /** What is known of the parameters that the server takes. */
  readonly dialect: Dialect
  readonly #access: Access
  readonly #options: z.output<typeof clientSchema>
  readonly #waiting: (() => void)[] = []
  #running = 0
  /** When the next request may begin. */
  #nextAt = 0

  /** @throws EngineError INVALID_ARGUMENT */
  constructor(options: ClientOptions, dialect = new Dialect()) {
    this.#options = validate(clientSchema, options, 'OpenAI-compatible server')
    this.model = this.#options.model
    this.dialect = dialect
    this.#access = accessTo(this.#options.baseUrl, '/chat/completions', this.#options.apiKey)
  }

  /** The server as errors name it. */
  get shown(): string {
    return this.#access.shown
  }

  /**
   * @param about names the problem in errors
   * @throws EngineError POLICY after the last attempt, or at once where no attempt can help; ABORTED
   */
  async complete(
    messages: readonly ChatMessage[],
    parameters: Parameters,
    about: string,
    signal?: AbortSignal,
  ): Promise<ChatAnswer> {
    return completing({ messages, parameters, signal }, about, this.#options, () => this)
  }

  /**
   * One request, as it is.
   * @throws Fault where the server answered with anything but a completion; Error where it did not answer
   */
  async once({ messages, parameters, signal }: Call, timeoutMs = this.#options.timeoutMs): Promise<ChatAnswer> {
    await this.#enter(signal)
    try {
      const payload = { model: this.model, messages, ...parameters }
      const { url, headers } = this.#access
      return this.#read(await postJson(url, payload, { headers, timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal }))
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  /**
   * A parameter that a refusal names is left out where the same can be asked for without it; for good where that helped.
   * @throws as `once`
   */
  async attempt(call: Call): Promise<ChatAnswer> {
    const doubtful: string[] = []
    let first: Fault | undefined
    for (;;) {
      const parameters = this.dialect.translate(call.parameters, doubtful)
      try {
        const answer = await this.once({ ...call, parameters })
        this.#adopt(doubtful)
        return answer
      } catch (error) {
        if (!(error instanceof Fault)) throw error
        first ??= error
        const named = this.#suspects(error, parameters)
        const firm = named.filter((name) => !this.dialect.canDoWithout(name, parameters))
        if (firm.length > 0) throw withOptions(error, firm)
        if (named.length === 0) throw first
        doubtful.push(...named)
      }
    }
  }

  #suspects({ status, words }: Fault, parameters: Parameters): string[] {
    const isRefusal = REFUSING_STATUS.has(status) && (status !== 200 || words.includes('"error"'))
    return isRefusal ? namedIn(words, parameters) : []
  }

  #adopt(names: readonly string[]): void {
    if (names.includes('seed') && !this.dialect.refuses('seed')) process.emitWarning(`${this.#access.shown}: ${NO_SEED}`)
    this.dialect.adopt(names)
  }

  async #enter(signal: AbortSignal | undefined): Promise<void> {
    while (this.#running >= this.#options.concurrency) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running++
    await this.#turn(signal)
    if (!signal?.aborted) return
    this.#running--
    this.#waiting.shift()?.()
    throwIfAborted(signal)
  }

  /** Waits until the rate allows for another one; an abort ends the wait. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const { ratePerSecond } = this.#options
    if (ratePerSecond === undefined) return
    const at = Math.max(performance.now(), this.#nextAt)
    this.#nextAt = at + 1000 / ratePerSecond
    await sleep(at - performance.now(), undefined, signal && { signal }).catch(() => {})
  }

  #read({ status, headers, body }: HttpAnswer): ChatAnswer {
    const words = this.#access.redact(body.slice(0, MAX_WORDS))
    const fault = (what: string, isPassing: boolean) =>
      new Fault(`${what}${excerpt(words)}`, {
        ...{ status, words, isPassing },
        retryAfterMs: retryAfterMs(headers['retry-after']),
      })
    if (status !== 200) throw fault(`status ${status}`, status >= 500 || RETRIED_STATUS.has(status))
    if (nestsDeeply(body, MAX_DEPTH)) throw fault('the answer is no chat completion but deeply nested', true)
    let json: unknown
    try {
      json = JSON.parse(body, (_, value) => (typeof value === 'string' ? this.#access.redactAnswer(value) : value))
    } catch {
      throw fault('the answer is not JSON', true)
    }
    const answer = answerSchema.safeParse(json)
    if (!answer.success) throw fault('the answer is not a chat completion', true)
    return answer.data
  }

  /** An error of the network without what it may hold beside its words, such as the bytes it was about. */
  told(error: Error): Error {
    if (error instanceof Fault) return error
    const Kind = error instanceof Outage ? Outage : Error
    return new Kind(this.#access.redact(error.message))
  }
}

const readFailure = (_: ChatClient, error: Error): Failure => (error instanceof Fault ? error : { isPassing: true })

/**
 * Asks whom `choose` names until one answers.
 * @param read what a failure means for the next attempt
 * @throws EngineError POLICY after the last attempt, or at once where no attempt can help; ABORTED
 */
export async function completing(
  call: Call,
  about: string,
  { attempts, backOffMs }: { attempts: number; backOffMs: number },
  choose: () => ChatClient,
  read = readFailure,
): Promise<ChatAnswer> {
  const { signal } = call
  let client = choose()
  const attempt = () => {
    client = choose()
    return client.attempt(call)
  }
  try {
    return await retrying({ attempts, backOffMs, signal }, attempt, (error) => read(client, error))
  } catch (error) {
    throwIfAborted(signal)
    const fault = client.told(error as Error)
    const tried = fault instanceof Fault && !fault.isPassing ? '' : `, ${attempts} attempts`
    throw policyError(`${about}: ${client.shown}: ${fault.message}${tried}`, fault)
  }
}

function withOptions(fault: Fault, names: readonly string[]): Fault {
  const { status, words, isPassing, retryAfterMs } = fault
  const message = `${fault.message}; a server that takes no ${names.join(' and ')} needs ${optionsInstead(names)}`
  return new Fault(message, { status, words, isPassing, retryAfterMs })
}

function excerpt(body: string): string {
  const text = body.trim().replace(/\s+/g, ' ')
  return text === '' ? '' : `: ${text.slice(0, 300)}`
}
