/** From an OpenAI request to the engine's own. */
import { randomInt } from 'node:crypto'
import type { z } from 'zod'
import { invalidArgument } from '../contracts/errors.ts'
import type { GenerateRequest } from '../engine/generate-options.ts'
import { readConversation } from './conversation.ts'
import type { chatSchema, completionSchema } from './requests.ts'

export type ChatRequest = z.output<typeof chatSchema>
export type CompletionRequest = z.output<typeof completionSchema>

const U64 = 64
const MAX_RANDOM_SEED = 2 ** 48 - 1

/** Negative seeds are seeds too, as two's complement. */
const seedOf = (seed: number) => (seed < 0 ? BigInt.asUintN(U64, BigInt(seed)) : seed)

type Common = Omit<ChatRequest, 'messages'> | Omit<CompletionRequest, 'prompt'>

/** @param seed what the request says, or was drawn for it */
function settings(r: Common, seed: number, maxTokens: number | undefined): Partial<GenerateRequest> {
  const sampling = {
    temperature: r.temperature,
    topK: r.top_k === -1 ? 0 : r.top_k,
    topP: r.top_p,
    minP: r.min_p,
    repetitionPenalty: r.repetition_penalty,
    frequencyPenalty: r.frequency_penalty,
    presencePenalty: r.presence_penalty,
    penaltyScope: r.penalty_scope,
    order: r.order,
  }
  const stop = [...[r.stop ?? []].flat(), ...(r.stop_token_ids ?? [])]
  return {
    seed: seedOf(seed),
    sampling: Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined)),
    logprobs: r.logprobs !== undefined && r.logprobs !== false,
    ...(r.n !== undefined && { n: r.n }),
    ...(r.first_sample !== undefined && { firstSample: r.first_sample }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(r.max_steps !== undefined && { maxSteps: r.max_steps }),
    ...(stop.length > 0 && { stop }),
    ...(r.ignore_eos === true && { stopAtEnd: false }),
  }
}

/** Whoever names no seed wants another text each time; the answer tells which it was. */
export const drawnSeed = (seed: number | undefined) => seed ?? randomInt(MAX_RANDOM_SEED)

/** @throws EngineError INVALID_ARGUMENT */
export function chatCall(r: ChatRequest, seed: number): GenerateRequest {
  const isContinued = r.messages.at(-1)?.role === 'assistant'
  if (isContinued !== (r.continue_final_message ?? false)) {
    throw invalidArgument(
      isContinued
        ? 'the last message is the assistant’s: to have it gone on with, set continue_final_message'
        : 'continue_final_message: the last message must be the assistant’s',
    )
  }
  if (isContinued && r.add_generation_prompt === true)
    throw invalidArgument('continue_final_message and add_generation_prompt exclude each other')
  return {
    ...readConversation(r.messages),
    ...settings(r, seed, r.max_completion_tokens ?? r.max_tokens),
    ...(r.chat_template_kwargs && { templateVariables: r.chat_template_kwargs }),
  }
}

/** One prompt or several, as token ids or text. */
export function promptsOf(prompt: CompletionRequest['prompt']): (string | number[])[] {
  if (typeof prompt === 'string') return [prompt]
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[])
}

export function completionCall(r: CompletionRequest, tokens: number[], seed: number): GenerateRequest {
  return { tokens, ...settings(r, seed, r.max_tokens) }
}
