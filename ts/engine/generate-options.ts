/** Schemas of what a caller hands to `engine.generate` and `engine.stream`. */
import { z } from 'zod'
import type { Sampling } from '../contracts/policy.ts'
import { ROLLOUT_SAMPLING } from '../contracts/sampling.ts'
import { validate } from '../contracts/validate.ts'
import { index, maxTiles, pictures, positive, signal } from './options.ts'

export const MAX_SAMPLES = 65_536

const part = z.union([
  z.strictObject({ type: z.literal('text'), text: z.string() }),
  z.strictObject({ type: z.literal('image') }),
])
/** A part `image` is the place of the next picture, as is the mark `<image>` in a text. */
const message = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.union([z.string(), z.array(part).min(1)]),
})

export const samplingSchema = z.strictObject({
  /** 0: greedy. */
  temperature: z.number().min(0).optional(),
  /** 0: off. */
  topK: z.number().int().min(0).optional(),
  topP: z.number().gt(0).max(1).optional(),
  minP: z.number().min(0).max(1).default(0),
  repetitionPenalty: z.number().gt(0).optional(),
  frequencyPenalty: z.number().default(0),
  presencePenalty: z.number().default(0),
  /** Tokens the repetition penalty sees. */
  penaltyScope: z.enum(['all', 'generated']).default('all'),
  /** Whose order of filters: vLLM applies min-p before top-k and top-p, HF after. */
  order: z.enum(['vllm', 'hf']).default('vllm'),
})

const seed = z.union(
  [
    z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    z
      .bigint()
      .min(0n)
      .lt(2n ** 64n),
  ],
  {
    message: 'must be a whole number, or a bigint below 2^64',
  },
)

const generateSchema = z.strictObject({
  /** A conversation; when the last message is the assistant's, it is continued. */
  messages: z.array(message).min(1).optional(),
  /** A question for a policy that writes steps. */
  question: z.string().optional(),
  ...pictures,
  /** What the folder's chat template is told beside the messages, such as `{ enable_thinking: false }`. */
  templateVariables: z.record(z.string(), z.json()).default({}),
  /** Steps written so far, to be continued. */
  steps: z.array(z.string()).default([]),
  /** Rollout template of `question`; default: the one the checkpoint was trained with. */
  template: z.string().min(1).optional(),
  /** Token ids, the image's context tokens included. */
  tokens: z.array(index).min(1).optional(),
  maxTiles,
  n: positive.max(MAX_SAMPLES).default(1),
  /** Index of the first sample: the samples from 16 on are those that n = 32 would give after the first 16. */
  firstSample: z.number().int().min(0).max(0x7fffffff).default(0),
  /** Default: 4096 for a `question`, 1024 for others. */
  maxTokens: positive.optional(),
  /** Ends a sample after so many `</step>`. */
  maxSteps: positive.optional(),
  /** Default: as rollouts are sampled for a `question`, the model's own distribution for others. */
  sampling: samplingSchema.default(() => samplingSchema.parse({})),
  seed: seed.default(0),
  /** Texts and token ids that end a sample, beside the checkpoint's own end tokens. */
  stop: z.array(z.union([z.string().min(1), index])).default([]),
  /** Whether the checkpoint's own end tokens end a sample. */
  stopAtEnd: z.boolean().default(true),
  /** Return the log-probability of every token under the model's unfiltered distribution. */
  logprobs: z.boolean().default(false),
  signal,
})

export type GenerateRequest = z.input<typeof generateSchema>
export type SamplingOptions = z.input<typeof samplingSchema>

/** Unfiltered; what is not a rollout may be anything. */
const PLAIN_SAMPLING: Sampling = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, maxTokens: 1024 }

/** A request with its defaults. `where` names the call. @throws EngineError INVALID_ARGUMENT */
export function readGenerateRequest(request: GenerateRequest, where: string) {
  const r = validate(generateSchema, request, where)
  const { maxTokens, ...usual } = r.question === undefined ? PLAIN_SAMPLING : ROLLOUT_SAMPLING
  const { temperature, topK, topP, repetitionPenalty, ...rest } = r.sampling
  return {
    ...r,
    maxTokens: r.maxTokens ?? maxTokens,
    sampling: {
      temperature: temperature ?? usual.temperature,
      topK: topK ?? usual.topK,
      topP: topP ?? usual.topP,
      repetitionPenalty: repetitionPenalty ?? usual.repetitionPenalty,
      ...rest,
    },
  }
}

export type ParsedGenerateRequest = ReturnType<typeof readGenerateRequest>
