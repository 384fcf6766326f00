/** The engine's completions as OpenAI's choices. */
import type { Completion, Finish } from '../engine/completion.ts'
import type { Tokenizer } from '../engine/tokenizer/index.ts'

export const finishReason = (finish: Finish | undefined) => (finish === 'length' ? 'length' : 'stop')

/** Per token, of those that were drawn; bytes, since a token may be half a character. */
export function chatLogprobs(tokenizer: Tokenizer, { tokens, logprobs }: Completion) {
  if (!logprobs) return null
  const content = tokens.map((id, i) => ({
    token: tokenizer.decode([id]),
    logprob: logprobs[i] as number,
    bytes: [...tokenizer.bytes(id)],
    top_logprobs: [],
  }))
  return { content, refusal: null }
}

export function textLogprobs(tokenizer: Tokenizer, { tokens, logprobs }: Completion) {
  if (!logprobs) return null
  const texts = tokens.map((id) => tokenizer.decode([id]))
  let offset = 0
  const offsets = texts.map((text) => (offset += text.length) - text.length)
  return { tokens: texts, token_logprobs: logprobs, top_logprobs: null, text_offset: offsets }
}

export function usageOf(prompts: readonly (readonly Completion[])[]) {
  const prompt_tokens = prompts.reduce((n, [first]) => n + (first?.promptTokens ?? 0), 0)
  const completion_tokens = prompts.flat().reduce((n, { tokens }) => n + tokens.length, 0)
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}
