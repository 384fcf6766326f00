/** Schemas of what a caller hands to `engine.generate` and `engine.stream`. */
import { z } from 'zod'
import { image, index, maxTiles, positive, signal } from './options.ts'

const DEFAULT_MAX_TOKENS = 1024
export const MAX_SAMPLES = 65_536

const message = z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })

export const samplingSchema = z.strictObject({
  /** 0: greedy. */
  temperature: z.number().min(0).default(1),
  /** 0: off. */
  topK: z.number().int().min(0).default(0),
  topP: z.number().gt(0).max(1).default(1),
  minP: z.number().min(0).max(1).default(0),
  repetitionPenalty: z.number().gt(0).default(1),
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

export const generateSchema = z.strictObject({
  /** A conversation; when the last message is the assistant's, it is continued. */
  messages: z.array(message).min(1).optional(),
  /** A question for a policy that writes steps. */
  question: z.string().optional(),
  image: image.optional(),
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
  maxTokens: positive.default(DEFAULT_MAX_TOKENS),
  /** Ends a sample after so many `</step>`. */
  maxSteps: positive.optional(),
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
export type ParsedGenerateRequest = z.output<typeof generateSchema>
