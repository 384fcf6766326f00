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

export interface GenerateEngine {
  generate(call: GenerateCall): Promise<{ outcome: Outcome; steps: string[]; text: string; tokens: readonly number[] }[]>
}

const schema = z.strictObject({
  model: z.string().min(1),
  /** Hash of the checkpoint, as the run records it. */
  modelHash: z.string().min(1),
  template: z.enum(['prefill', 'mm-prm-v1']).default('mm-prm-v1'),
  sampling: samplingSchema.default(() => samplingSchema.parse({})),
})

export type NativePolicyOptions = z.input<typeof schema>

class NativePolicy implements Policy {
  readonly identity: PolicyIdentity
  readonly #engine: GenerateEngine

  constructor(engine: GenerateEngine, { model, modelHash, template, sampling }: z.output<typeof schema>) {
    this.#engine = engine
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
 * An engine on a policy's checkpoint as a policy. The engine stays the caller's to close.
 * @throws EngineError INVALID_ARGUMENT for unknown options
 */
export function nativePolicy(engine: GenerateEngine, options: NativePolicyOptions): Policy {
  return new NativePolicy(engine, validate(schema, options, 'native policy'))
}
