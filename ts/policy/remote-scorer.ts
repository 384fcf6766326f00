/** A process reward model behind `mm-prm serve` as the scorer of a search: the bits of the same model here. */
import { z } from 'zod'
import { throwIfAborted } from '../contracts/abort.ts'
import { type Access, accessTo } from '../contracts/access.ts'
import { EngineError, invalidArgument, policyError } from '../contracts/errors.ts'
import { askedQuestion } from '../contracts/problem.ts'
import type { ScoreRequest, StepScorer, StepScores } from '../contracts/scorer.ts'
import { validate } from '../contracts/validate.ts'
import { getJson, type HttpAnswer, postJson } from './http.ts'
import { imageUris } from './image-uri.ts'
import { clientSchema } from './openai-client.ts'
import { causeOf, RETRIED_STATUS, retryAfterMs, retrying } from './retry.ts'

const MAX_ANSWER_BYTES = 64 * 2 ** 20
const MAX_EXCERPT = 300

export const remoteScorerSchema = clientSchema.omit({ model: true }).extend({ model: z.string().min(1).optional() })
export type RemoteScorerOptions = z.input<typeof remoteScorerSchema>

const number = z.number()
const answerSchema = z.object({
  scores: z.array(z.array(number.min(0).max(1)).nullable()),
  logits: z.array(z.array(z.array(number)).nullable()),
  /** Of ensembles alone. */
  std: z.array(z.array(number).nullable()).optional(),
  errors: z.array(z.object({ candidate: z.number().int().nonnegative(), code: z.string(), message: z.string() })).default([]),
})
const modelSchema = z.object({ id: z.string(), scorer: z.string().optional(), threshold: number.gt(0).lt(1).optional() })
const modelsSchema = z.object({ data: z.array(modelSchema) })

/** What the server said of a request that it did not answer. */
class Refusal extends Error {
  readonly status: number
  readonly isPassing: boolean
  readonly retryAfterMs: number | undefined

  constructor({ status, headers, body }: HttpAnswer) {
    super(`status ${status}: ${body.trim().replace(/\s+/g, ' ').slice(0, MAX_EXCERPT)}`, causeOf(status))
    this.status = status
    this.isPassing = status >= 500 || RETRIED_STATUS.has(status)
    this.retryAfterMs = retryAfterMs(headers['retry-after'])
  }
}

class RemoteScorer implements StepScorer {
  readonly name: string
  readonly threshold?: number
  readonly #access: Access
  readonly #options: z.output<typeof remoteScorerSchema>
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(name: string, threshold: number | undefined, options: z.output<typeof remoteScorerSchema>) {
    this.name = name
    if (threshold !== undefined) this.threshold = threshold
    this.#options = options
    this.#access = accessTo(options.baseUrl, '/score/steps', options.apiKey)
  }

  async score({ problem, solutions }: ScoreRequest, signal?: AbortSignal): Promise<StepScores[]> {
    if (solutions.length === 0) return []
    const { question, images: pictures = [] } = askedQuestion(problem)
    const images = await imageUris(problem, pictures, signal)
    const request = { question, solutions, returnLogits: true, ...(images.length > 0 && { images }) }
    await this.#enter()
    try {
      const { scores, logits, std, errors } = await this.#ask(request, `problem "${problem.id}"`, solutions.length, signal)
      if (errors.length === solutions.length && errors[0]) throw invalidArgument(errors[0].message)
      const reasons = new Map(errors.map((error) => [error.candidate, error.message]))
      return scores.map((given, i) => {
        const [raw, spread, error] = [logits[i], std?.[i], reasons.get(i)]
        return {
          scores: given ?? [],
          ...(raw && { logits: raw }),
          ...(spread && { std: spread }),
          ...(error !== undefined && { error }),
        }
      })
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  async #ask(request: object, about: string, count: number, signal: AbortSignal | undefined) {
    const { attempts, backOffMs, timeoutMs } = this.#options
    const { url, headers, shown, redact } = this.#access
    const once = async () => {
      const answer = await postJson(url, request, { headers, timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal })
      if (answer.status !== 200) throw new Refusal(answer)
      const read = answerSchema.safeParse(parsed(answer.body))
      if (read.success && read.data.scores.length === count) return read.data
      throw new Error('the answer is no list of scores for these solutions')
    }
    try {
      return await retrying({ attempts, backOffMs, signal }, once, passing)
    } catch (error) {
      throwIfAborted(signal)
      const message = `${about}: ${shown}: ${redact((error as Error).message)}`
      throw error instanceof Refusal && error.status === 400 ? invalidArgument(message, error) : policyError(message, error)
    }
  }

  async #enter(): Promise<void> {
    while (this.#running >= this.#options.concurrency) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running++
  }
}

const passing = (error: Error) => (error instanceof Refusal ? error : { isPassing: true })

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** A server's address is often written without the `/v1` that its interfaces stand under. */
function withVersion(baseUrl: string): string {
  const url = new URL(baseUrl)
  if (/^\/*$/.test(url.pathname)) url.pathname = '/v1'
  return url.href
}

/**
 * Asks the server once who it is: its PRM gives the scorer its name, so that a run is the same wherever the PRM is.
 * @throws EngineError INVALID_ARGUMENT (unknown options), POLICY (no such server, or one without a PRM), ABORTED
 */
export async function remoteScorer(options: RemoteScorerOptions, signal?: AbortSignal): Promise<StepScorer> {
  const given = validate(remoteScorerSchema, options, 'step scores from a server')
  const settings = { ...given, baseUrl: withVersion(given.baseUrl) }
  const { url, headers, shown, redact } = accessTo(settings.baseUrl, '/models', settings.apiKey)
  const { attempts, backOffMs, timeoutMs } = settings
  const ask = async () => {
    const answer = await getJson(url, { headers, timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal })
    if (answer.status !== 200) throw new Refusal(answer)
    return answer.body
  }
  const body = await retrying({ attempts, backOffMs, signal }, ask, passing).catch((error: Error) => {
    throwIfAborted(signal)
    if (error instanceof EngineError) throw error
    throw policyError(`${shown}: ${redact(error.message)}`, error)
  })
  const models = modelsSchema.safeParse(parsed(body))
  const found = models.data?.data.find(({ scorer }) => scorer !== undefined)
  if (found?.scorer !== undefined) return new RemoteScorer(found.scorer, found.threshold, settings)
  throw policyError(`${shown}: this server scores no steps; start one with mm-prm serve --prm DIR`)
}
