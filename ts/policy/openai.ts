/** A policy on an OpenAI-compatible server. What a server makes of `n` and `finish_reason` is not taken on trust. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { policyError } from '../contracts/errors.ts'
import type { Policy, PolicyIdentity, Rollout, RolloutRequest } from '../contracts/policy.ts'
import { shownQuestion } from '../contracts/problem.ts'
import { hash32 } from '../contracts/random.ts'
import { capRollout } from '../contracts/read-rollout.ts'
import { hasReasoning } from '../contracts/reasoning.ts'
import { type StepSplitter, stepSplitter } from '../contracts/step-splitter.ts'
import { validate } from '../contracts/validate.ts'
import type { Parameters } from './dialect.ts'
import { Endpoints, endpointsSchema } from './endpoints.ts'
import { withPictures } from './image-uri.ts'
import type { ChatChoice, ChatMessage } from './openai-client.ts'
import { probeServer } from './probe.ts'
import { readText } from './read-text.ts'
import { samplingSchema } from './sampling.ts'
import { continuesTurn, findTemplate, type PolicyTemplate, templateHash } from './templates.ts'
import { shareTokens } from './token-share.ts'

const schema = endpointsSchema.extend({
  /**
   * `mm-prm-v1`, `instruct` (for models that were not trained on the tags), `prefill` where the server continues, or `plain`
   * (no tags; the default where `steps` is given).
   */
  template: z.string().optional(),
  /** How the steps of a policy without tags are told apart: `blank-line`, `line`, `step-n`, `heading`, `regex:…`. */
  steps: z.string().optional(),
  /** What the server's chat template is told beside the messages (`chat_template_kwargs`), such as `{ enable_thinking: false }`. */
  templateVariables: z.record(z.string(), z.json()).optional(),
  sampling: samplingSchema.default(() => samplingSchema.parse({})),
  /** The most samples asked for in one request (`n`); the image travels once with each. A sample's seed depends on it. */
  samplesPerRequest: z.number().int().positive().default(16),
  /** Requests without a sample in them that are borne for one prefix. */
  maxEmptyAnswers: z.number().int().nonnegative().default(3),
})

/** The last turn is gone on with. */
const CONTINUED = { continue_final_message: true, add_generation_prompt: false }

export type OpenAiPolicyOptions = z.input<typeof schema>

class OpenAiPolicy implements Policy {
  readonly identity: PolicyIdentity
  readonly #endpoints: Endpoints
  readonly #template: PolicyTemplate
  readonly #splitter: StepSplitter | undefined
  readonly #options: z.output<typeof schema>
  /** Falls to what the server proves to give. */
  #samplesPerRequest: number
  /** Not where the model reasons first: a stop text would end it at the first step that it thinks of. */
  #stopsAtStep = true
  #prepared: Promise<readonly string[]> | undefined

  constructor(options: z.output<typeof schema>) {
    const { steps, template = steps === undefined ? 'mm-prm-v1' : 'plain', ...more } = options
    const { sampling, samplesPerRequest, templateVariables, maxEmptyAnswers: _, ...client } = more
    this.#options = options
    this.#endpoints = new Endpoints(client)
    this.#template = findTemplate(template)
    this.#splitter = steps === undefined ? undefined : stepSplitter(steps)
    if (this.#splitter) this.#stopsAtStep = false
    this.#samplesPerRequest = samplesPerRequest
    const modelHash = createHash('sha256').update(options.model).digest('hex').slice(0, 16)
    const hash = templateHash(this.#template)
    const asked = {
      ...{ template, templateHash: hash, sampling },
      ...(steps !== undefined && { steps }),
      ...(templateVariables && { templateVariables }),
      samplesPerRequest,
    }
    this.identity = { kind: 'openai', model: options.model, modelHash, ...asked }
  }

  prepare(signal?: AbortSignal): Promise<readonly string[]> {
    this.#prepared ??= this.#probe(signal).catch((error: unknown) => {
      this.#prepared = undefined // stopped, or refused: the next call asks again
      throw error
    })
    return this.#prepared
  }

  async #probe(signal: AbortSignal | undefined): Promise<readonly string[]> {
    const { clients } = this.#endpoints
    const found = await Promise.all(clients.map((client) => probeServer(client, this.#everyParameter(), signal)))
    for (const { samplesPerRequest } of found)
      if (samplesPerRequest !== undefined) this.#samplesPerRequest = Math.min(this.#samplesPerRequest, samplesPerRequest)
    if (clients.length === 1) return found[0]?.warnings ?? []
    return found.flatMap(({ warnings }, i) => warnings.map((warning) => `${clients[i]?.shown}: ${warning}`))
  }

  async rollouts(requests: readonly RolloutRequest[], signal?: AbortSignal): Promise<Rollout[][]> {
    return Promise.all(requests.map((request) => this.#node(request, signal)))
  }

  async #node(request: RolloutRequest, signal: AbortSignal | undefined): Promise<Rollout[]> {
    const messages = await this.#messages(request, signal)
    const end = request.from + request.count
    const chunks: Promise<Rollout[]>[] = []
    const most = this.#samplesPerRequest
    for (let from = request.from; from < end; from += most) {
      chunks.push(this.#chunk(messages, { ...request, from, count: Math.min(most, end - from) }, signal))
    }
    return (await Promise.all(chunks)).flat()
  }

  /** As many samples as asked for, however few the server gives at a time. */
  async #chunk(messages: ChatMessage[], request: RolloutRequest, signal: AbortSignal | undefined): Promise<Rollout[]> {
    const about = `problem "${request.problem.id}"`
    const rollouts: Rollout[] = []
    let empty = 0
    while (rollouts.length < request.count) {
      const n = Math.min(request.count - rollouts.length, this.#samplesPerRequest)
      const parameters = this.#parameters(request, request.from + rollouts.length, n)
      const { choices, usage } = await this.#endpoints.complete(request.problem.id, { messages, parameters }, about, signal)
      if ('stop' in parameters && choices.some(hasReasoned)) {
        this.#stopsAtStep = false
        continue
      }
      const given = choices.slice(0, n)
      const counted = usage?.completion_tokens ?? undefined
      const shares = counted === undefined ? [] : shareTokens(counted, choices.map(textOf))
      rollouts.push(...given.map((choice, i) => toRollout(choice, request, shares[i], this.#splitter)))
      if (given.length === 0 && ++empty > this.#options.maxEmptyAnswers) {
        throw policyError(`${about}: the server answers without a sample, ${empty} times for one prefix`)
      }
      if (given.length > 0 && given.length < n) this.#samplesPerRequest = Math.min(this.#samplesPerRequest, given.length)
    }
    return rollouts
  }

  async #messages({ problem, prefix }: RolloutRequest, signal: AbortSignal | undefined): Promise<ChatMessage[]> {
    const render = (question: string) => this.#template.render(question, prefix, this.#splitter?.join)
    const { assistant } = render('')
    const content = await withPictures(problem, shownQuestion(problem), (question) => render(question).user, signal)
    const messages: ChatMessage[] = [{ role: 'user', content }]
    if (assistant !== '') messages.push({ role: 'assistant', content: assistant })
    return messages
  }

  /** What the standard does not know is sent only where it is not neutral. */
  #usual(): Parameters {
    const { sampling, templateVariables } = this.#options
    const { temperature, topK, topP, repetitionPenalty, maxTokens } = sampling
    return {
      temperature,
      top_p: topP,
      max_tokens: maxTokens,
      ...(topK > 0 && { top_k: topK }),
      ...(repetitionPenalty !== 1 && { repetition_penalty: repetitionPenalty }),
      ...(templateVariables && { chat_template_kwargs: templateVariables }),
    }
  }

  #parameters(request: RolloutRequest, index: number, n: number): Parameters {
    return {
      n,
      seed: hash32(`${request.seed}/${index}`) >>> 1,
      ...this.#usual(),
      ...(request.maxSteps === 1 && this.#stopsAtStep && { stop: ['</step>'] }),
      ...(continuesTurn(this.#template) && request.prefix.length > 0 && CONTINUED),
    }
  }

  /** All that a run may send. */
  #everyParameter(): Parameters {
    return { ...this.#usual(), ...(continuesTurn(this.#template) && CONTINUED) }
  }
}

const reasoningOf = ({ message }: ChatChoice) => message.reasoning_content ?? message.reasoning ?? ''
const hasReasoned = (choice: ChatChoice) =>
  choice.starts_in_reasoning === true || reasoningOf(choice) !== '' || hasReasoning(choice.message.content ?? '')
/** All that was written, for its length. */
const textOf = (choice: ChatChoice) => reasoningOf(choice) + (choice.message.content ?? choice.message.refusal ?? '')

function toRollout(
  choice: ChatChoice,
  { maxSteps }: RolloutRequest,
  numTokens: number | undefined,
  splitter: StepSplitter | undefined,
): Rollout {
  const { finish_reason: finish, message, starts_in_reasoning } = choice
  const content = message.content ?? ''
  // A server takes the stop text out of what it returns.
  const wasStopped = maxSteps === 1 && finish === 'stop' && content.lastIndexOf('<step>') > content.lastIndexOf('</step>')
  const text = wasStopped ? `${content}</step>` : content
  const isReasoning = starts_in_reasoning ?? false
  const { outcome, steps } = readText(text, { truncated: finish === 'length', maxSteps, isReasoning }, splitter)
  return {
    outcome: finish === 'content_filter' && outcome === 'complete' ? 'unparsed' : outcome,
    steps,
    text: capRollout(text || (message.refusal ?? reasoningOf(choice))),
    ...(numTokens !== undefined && { numTokens }),
  }
}

/**
 * A policy on an OpenAI-compatible server (vLLM, SGLang, llama.cpp, a hosted API), or on several that serve the same model.
 * Samples of one request share its token count by length.
 * @throws EngineError INVALID_ARGUMENT: unknown options or template, a URL that is none
 */
export function openAiPolicy(options: OpenAiPolicyOptions): Policy {
  return new OpenAiPolicy(validate(schema, options, 'OpenAI policy'))
}
