/** The package's own engine as a policy. It sees the engine through the interface below, which the engine fulfils. */
import { z } from 'zod'
import { EngineError } from '../contracts/errors.ts'
import type { Outcome, Policy, PolicyIdentity, Rollout, RolloutRequest } from '../contracts/policy.ts'
import type { ProblemImage } from '../contracts/problem.ts'
import { capRollout } from '../contracts/read-rollout.ts'
import { validate } from '../contracts/validate.ts'
import { samplingSchema } from './sampling.ts'
import { findTemplate, templateHash } from './templates.ts'

export interface GenerateCall {
  question: string
  image?: ProblemImage
  steps: string[]
  template: string
  n: number
  firstSample: number
  seed: number
  maxTokens: number
  maxSteps?: number
  sampling: { temperature: number; topK: number; topP: number; repetitionPenalty: number }
  signal?: AbortSignal
}

/** What the engine tells of itself, and what it is asked. */
export interface GenerateEngine {
  info(): { model: string; rolloutTemplate: string }
  identity(): string
  generate(call: GenerateCall): Promise<{ outcome: Outcome; steps: string[]; text: string; tokens: readonly number[] }[]>
}

export const policySchema = z.strictObject({
  /** What a run records of it; default: the engine's folder, and its identity. */
  model: z.string().min(1).optional(),
  modelHash: z.string().min(1).optional(),
  /** Default: the one that the checkpoint was trained with. */
  template: z.enum(['prefill', 'mm-prm-v1']).optional(),
  sampling: samplingSchema.default(() => samplingSchema.parse({})),
})

export type NativePolicyOptions = z.input<typeof policySchema>

class NativePolicy implements Policy {
  readonly identity: PolicyIdentity
  readonly #engine: GenerateEngine

  constructor(engine: GenerateEngine, { sampling, ...o }: z.output<typeof policySchema>) {
    this.#engine = engine
    const info = engine.info()
    const { model = info.model, modelHash = engine.identity(), template = info.rolloutTemplate } = o
    const hash = templateHash(findTemplate(template))
    this.identity = { kind: 'native', model, modelHash, template, templateHash: hash, sampling }
  }

  /** Requests go to the engine at once: it batches their samples and shares what their prompts begin with. */
  async rollouts(requests: readonly RolloutRequest[], signal?: AbortSignal): Promise<Rollout[][]> {
    return Promise.all(requests.map((request) => this.#node(request, signal)))
  }

  async #node(request: RolloutRequest, signal: AbortSignal | undefined): Promise<Rollout[]> {
    const { problem, prefix, seed, from, count, maxSteps } = request
    const { template, sampling } = this.identity
    const { maxTokens, ...rest } = sampling
    try {
      const completions = await this.#engine.generate({
        ...{
          question: problem.question,
          steps: [...prefix],
          template,
          n: count,
          firstSample: from,
          seed,
          maxTokens,
          sampling: rest,
        },
        ...(problem.image !== undefined && { image: problem.image }),
        ...(maxSteps !== undefined && { maxSteps }),
        ...(signal && { signal }),
      })
      return completions.map(({ outcome, steps, text, tokens }) => ({
        ...{ outcome, steps, text: capRollout(text), numTokens: tokens.length },
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
