/** A sample as callers see it: its text up to where it was stopped, and the steps and answer written in it. */
import type { Outcome } from '../contracts/policy.ts'
import { readRollout } from '../contracts/read-rollout.ts'
import type { NativeSample } from './native.ts'
import { type StopRules, StopText } from './stop-text.ts'
import type { Tokenizer } from './tokenizer/index.ts'

/** `stop`: an end token or a stop of the request; `length`: maxTokens or the model's positions; `steps`: maxSteps. */
export type Finish = 'stop' | 'length' | 'steps'

export interface Completion {
  /** Index of the sample's random stream. */
  sample: number
  /** Without the stop token or text that ended it. */
  text: string
  /** Ids as drawn, up to and including what ended the sample. */
  tokens: number[]
  /**
   * Contents of the closed blocks in order; the answer is the last step, as it is for a PRM, a search and a data set.
   * Without the steps that the request gave.
   */
  steps: string[]
  /** Content of the first closed `<answer>` block; null without one. */
  answer: string | null
  /** How the text reads as a solution in blocks: only a `complete` one can be right or wrong. */
  outcome: Outcome
  finish: Finish
  /** The prompt's template has opened a block of reasoning, in which the text begins; absent where it has not. */
  startsInReasoning?: true
  /** Of the prompt, the image's included. */
  promptTokens: number
  /** One per token, when asked for. */
  logprobs?: number[]
}

/** Reads a finished sample. What the engine wrote beyond a stop text, before it learned of it, is cut off. */
export function toCompletion(
  tokenizer: Tokenizer,
  rules: StopRules,
  native: NativeSample,
  sample: number,
  promptTokens: number,
): Completion {
  const reader = new StopText(tokenizer, rules)
  const { maxSteps, isReasoning } = rules
  // A stop id ends the sample and is no part of its text.
  const numTextTokens = native.tokens.length - (native.finish === 'stop' ? 1 : 0)
  let numTokens = native.tokens.length
  let finish: Finish = native.finish === 'length' ? 'length' : 'stop'
  for (let i = 0; i < numTextTokens; i++) {
    reader.push(native.tokens[i] as number)
    if (!reader.stopped) continue
    finish = reader.stopped
    numTokens = i + 1
    break
  }
  reader.finish()
  return {
    sample,
    text: reader.text,
    tokens: [...native.tokens.subarray(0, numTokens)],
    ...readRollout(reader.text, { truncated: finish === 'length', maxSteps, isReasoning }),
    finish,
    ...(isReasoning && { startsInReasoning: true }),
    promptTokens,
    ...(native.logprobs.length > 0 && { logprobs: [...native.logprobs.subarray(0, numTokens)] }),
  }
}
