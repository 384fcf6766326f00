/**
 * How solutions are sampled by default: as MM-PRM samples its rollouts, wherever a question is answered in steps, by a
 * policy, by the engine or by a command.
 */
import type { Sampling } from './policy.ts'

export const ROLLOUT_SAMPLING: Sampling = { temperature: 1, topK: 50, topP: 0.9, repetitionPenalty: 1.05, maxTokens: 4096 }
