/** The package's own engine as a policy. It sees the engine through the interface below, which the engine fulfils. */
import { z } from 'zod'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import type { Outcome, Policy, PolicyIdentity, Rollout, RolloutRequest } from '../contracts/policy.ts'
import { askedQuestion, type ProblemImage } from '../contracts/problem.ts'
import { capRollout } from '../contracts/read-rollout.ts'
import { type StepSplitter, stepSplitter } from '../contracts/step-splitter.ts'
import { validate } from '../contracts/validate.ts'
import { readText } from './read-text.ts'
import { samplingSchema } from './sampling.ts'
import { findTemplate, templateHash } from './templates.ts'

/** A question for a policy that writes our tags, or a conversation for one that does not. */
export type GenerateCall = ({ question: string; steps: string[]; template: string } | { messages: ChatTurn[] }) & Sampled
type ChatTurn = { role: 'user' | 'assistant'; content: string }

interface Sampled {
  /** In the order of the marks `<image>`, or in front of all text. */
  images?: ProblemImage[]
  n: number
  firstSample: number
  seed: number
  maxTokens: number
  maxSteps?: number
  sampling: { temperature: number; topK: number; topP: number; repetitionPenalty: number }
  templateVariables?: Record<string, z.core.util.JSONType>
  signal?: AbortSignal
}

interface Written {
  outcome: Outcome
  steps: string[]
  text: string
  /** The text begins inside a block of reasoning that its prompt has opened. */
  startsInReasoning?: boolean
  tokens: readonly number[]
}

/** What the engine tells of itself, and what it is asked. */
export interface GenerateEngine {
  info(): { model: string; rolloutTemplate: string }
  identity(): string
  generate(call: GenerateCall): Promise<Written[]>
}

export const policySchema = z.strictObject({
  /** What a run records of it; default: the engine's folder, and its identity. */
  model: z.string().min(1).optional(),
  modelHash: z.string().min(1).optional(),
  /** Default: the one that the checkpoint was trained with. */
  template: z.enum(['prefill', 'mm-prm-v1', 'plain']).optional(),
  /** How the steps of a policy without tags are told apart; it is then asked with `plain`. */
  steps: z.string().optional(),
  /** What the folder's own chat template is told beside the messages, such as `{ enable_thinking: false }`. */
  templateVariables: z.record(z.string(), z.json()).optional(),
  sampling: samplingSchema.default(() => samplingSchema.parse({})),
})

export type NativePolicyOptions = z.input<typeof policySchema>

class NativePolicy implements Policy {
  readonly identity: PolicyIdentity
  readonly #engine: GenerateEngine
  readonly #splitter: StepSplitter | undefined
  readonly #told: Pick<Sampled, 'templateVariables'> | undefined

  constructor(engine: GenerateEngine, { sampling, ...o }: z.output<typeof policySchema>) {
    this.#engine = engine
    const info = engine.info()
    const { steps } = o
    this.#splitter = steps === undefined ? undefined : stepSplitter(steps)
    const usual = steps === undefined ? info.rolloutTemplate : 'plain'
    const { model = info.model, modelHash = engine.identity(), template = usual } = o
    if ((template === 'plain') !== (steps !== undefined))
      throw invalidArgument('native policy: template "plain" and the option "steps" go together: its steps have no tags')
    const hash = templateHash(findTemplate(template))
    const { templateVariables } = o
    const asked = {
      ...{ template, templateHash: hash, sampling },
      ...(steps !== undefined && { steps }),
      ...(templateVariables && { templateVariables }),
    }
    this.#told = templateVariables && { templateVariables }
    this.identity = { kind: 'native', model, modelHash, ...asked }
  }

  /** Requests go to the engine at once: it batches their samples and shares what their prompts begin with. */
  async rollouts(requests: readonly RolloutRequest[], signal?: AbortSignal): Promise<Rollout[][]> {
    return Promise.all(requests.map((request) => this.#node(request, signal)))
  }

  #asked({ problem, prefix }: RolloutRequest) {
    const { question, images } = askedQuestion(problem)
    const shown = images && { images }
    const { template } = this.identity
    if (!this.#splitter) return { question, ...shown, steps: [...prefix], template }
    const { user, assistant } = findTemplate(template).render(question, prefix, this.#splitter.join)
    const begun = assistant === '' ? [] : [{ role: 'assistant' as const, content: assistant }]
    return { messages: [{ role: 'user' as const, content: user }, ...begun], ...shown }
  }

  async #node(request: RolloutRequest, signal: AbortSignal | undefined): Promise<Rollout[]> {
    const { problem, seed, from, count, maxSteps } = request
    const { maxTokens, ...sampling } = this.identity.sampling
    try {
      const completions = await this.#engine.generate({
        ...this.#asked(request),
        ...{ n: count, firstSample: from, seed, maxTokens, sampling },
        ...this.#told,
        ...(maxSteps !== undefined && !this.#splitter && { maxSteps }),
        ...(signal && { signal }),
      })
      return completions.map(({ outcome, steps, text, startsInReasoning: isReasoning, tokens }) => ({
        ...(this.#splitter
          ? readText(text, { truncated: outcome === 'truncated', maxSteps, isReasoning }, this.#splitter)
          : { outcome, steps }),
        ...{ text: capRollout(text), numTokens: tokens.length },
      }))
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'ERR_ENGINE_ABORTED') throw error
      throw new EngineError(error.code, `problem "${problem.id}": ${error.message}`, { cause: error })
    }
  }
}

/**
 * An engine on a policy's checkpoint as a policy, asked with the template that the checkpoint records. The engine stays
 * the caller's to close; `kit.openPolicy` opens and closes both.
 * @throws EngineError INVALID_ARGUMENT for unknown options
 */
export function nativePolicy(engine: GenerateEngine, options: NativePolicyOptions = {}): Policy {
  return new NativePolicy(engine, validate(policySchema, options, 'native policy'))
}
