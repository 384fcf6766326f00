/** Sampling options of every policy, with the defaults of MM-PRM's rollouts. */
import { z } from 'zod'

export const samplingSchema = z.strictObject({
  /** 0: greedy. */
  temperature: z.number().min(0).default(1),
  /** 0: off. */
  topK: z.number().int().min(0).default(50),
  topP: z.number().gt(0).max(1).default(0.9),
  repetitionPenalty: z.number().gt(0).default(1.05),
  maxTokens: z.number().int().positive().default(4096),
})
