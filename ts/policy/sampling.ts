/** Sampling options of every policy. */
import { z } from 'zod'
import { ROLLOUT_SAMPLING } from '../contracts/sampling.ts'

const { temperature, topK, topP, repetitionPenalty, maxTokens } = ROLLOUT_SAMPLING

export const samplingSchema = z.strictObject({
  /** 0: greedy. */
  temperature: z.number().min(0).default(temperature),
  /** 0: off. */
  topK: z.number().int().min(0).default(topK),
  topP: z.number().gt(0).max(1).default(topP),
  repetitionPenalty: z.number().gt(0).default(repetitionPenalty),
  maxTokens: z.number().int().positive().default(maxTokens),
})
