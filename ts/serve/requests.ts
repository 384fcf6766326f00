/**
 * What clients send. Ranges and defaults are the library's own (`GenerateRequest`, `ScoreManyRequest`); names are those of
 * OpenAI's interface, and of vLLM where that has none. A field that would change the answer and is not known is refused.
 */
import { z } from 'zod'
import { samplingSchema } from '../engine/generate-options.ts'
import { positive, scoreManySchema, scoreOneSchema } from '../engine/options.ts'

/** Samples of one request. */
const MAX_N = 1024
const MAX_PICTURES = 64
const MAX_STOPS = 64

/** Clients send null for what they leave open. */
const open = <S extends z.ZodType>(schema: S) =>
  schema.nullish().transform((value): z.output<S> | undefined => value ?? undefined)

/** What would change the answer, and is not known here. */
const absent = z.null('is not supported: send none').optional()

const sampling = samplingSchema.shape
const samplingFields = {
  temperature: open(sampling.temperature),
  top_p: open(sampling.topP),
  /** 0 or -1: off. */
  top_k: open(z.number().int().min(-1)),
  min_p: open(z.number().min(0).max(1)),
  repetition_penalty: open(sampling.repetitionPenalty),
  frequency_penalty: open(z.number()),
  presence_penalty: open(z.number()),
  penalty_scope: open(z.enum(['all', 'generated'])),
  /** Whose order of the filters. */
  order: open(z.enum(['vllm', 'hf'])),
}

const common = {
  /** Any: the model that is loaded answers. */
  model: open(z.string()),
  n: open(positive.max(MAX_N)),
  /** Index of the first sample's random stream. */
  first_sample: open(z.number().int().min(0).max(0x7fffffff)),
  max_tokens: open(positive),
  seed: open(z.number().int().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER)),
  stop: open(
    z.union([z.string().min(1), z.array(z.string().min(1)).max(MAX_STOPS)], `must be a text or at most ${MAX_STOPS} of them`),
  ),
  stop_token_ids: open(z.array(z.number().int().nonnegative().max(0x7fffffff)).max(MAX_STOPS)),
  ignore_eos: open(z.boolean()),
  /** Ends a sample after so many `</step>`. */
  max_steps: open(positive),
  stream: open(z.boolean()),
  stream_options: open(z.object({ include_usage: z.boolean().nullish() })),
  ...samplingFields,
  // What changes no text is taken and set aside; what would, where it is neutral.
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
  logit_bias: open(
    z.record(z.string(), z.unknown()).refine((all) => Object.keys(all).length === 0, 'is not supported: send none'),
  ),
}

const textPart = z.object({ type: z.literal('text'), text: z.string() })
const imagePart = z.object({
  type: z.literal('image_url'),
  image_url: z.union([z.string(), z.object({ url: z.string(), detail: z.unknown().optional() })]),
})
const content = z.union([z.string(), z.array(z.union([textPart, imagePart])).min(1)], {
  message: 'must be a text, or parts of type text and image_url',
})
/** Clients send an answer back with all its fields; those that say nothing are set aside. */
const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content,
  tool_calls: open(z.array(z.unknown()).max(0, 'are not supported')),
  function_call: absent,
  audio: absent,
})
export type Message = z.output<typeof message>

export const chatSchema = z.strictObject({
  messages: z.array(message).min(1),
  ...common,
  max_completion_tokens: open(positive),
  logprobs: open(z.boolean()),
  top_logprobs: open(z.literal(0, 'must be 0: the log-probability of the token that was drawn is all there is')),
  /** The last message, the assistant's, is gone on with. */
  continue_final_message: open(z.boolean()),
  add_generation_prompt: open(z.boolean()),
  /** What the model's own chat template is told beside the messages, such as `{ "enable_thinking": false }`. */
  chat_template_kwargs: open(z.record(z.string(), z.custom<z.core.util.JSONType>())),
  response_format: open(z.object({ type: z.literal('text', 'must be "text"') })),
  tools: open(z.array(z.unknown()).max(0, 'are not supported')),
  tool_choice: open(z.literal('none', 'must be "none"')),
  parallel_tool_calls: z.unknown().optional(),
})

const tokenIds = z.array(z.number().int().nonnegative().max(0x7fffffff)).min(1)
/** One or several: texts, in which names of special tokens are these tokens, or token ids. */
const prompts = z.union(
  [z.string().min(1), z.array(z.string().min(1)).min(1).max(MAX_N), tokenIds, z.array(tokenIds).min(1).max(MAX_N)],
  { message: `must be a text, a list of texts, token ids or a list of token ids; at most ${MAX_N} in a list` },
)
export const completionSchema = z.strictObject({
  prompt: prompts,
  ...common,
  /** 0 or 1: the log-probability of the token that was drawn. */
  logprobs: open(
    z.number().int().min(0).max(1, 'must be 0 or 1: the log-probability of the token that was drawn is all there is'),
  ),
  echo: open(z.literal(false, 'must be false')),
  suffix: open(z.literal('', 'is not supported')),
  best_of: open(positive),
})

const one = scoreOneSchema.shape
export const scoreSchema = z.strictObject({
  model: open(z.string()),
  question: one.question,
  /** A data URI. */
  image: open(z.string()),
  images: open(z.array(z.string()).max(MAX_PICTURES)),
  steps: open(one.steps),
  solutions: open(scoreManySchema.shape.solutions.max(MAX_N)),
  returnLogits: open(z.boolean()),
})

/** Taken where it changes nothing. */
const neutral = (value: boolean | number | string, why: string) =>
  open(z.literal(value, `must be ${JSON.stringify(value)}: ${why}`))
const NOT_CUT = 'a prompt is read whole'
const PROBABILITIES = 'probabilities are told; /v1/score/steps gives logits (returnLogits)'

/** As vLLM's reward models are asked: prompts that hold their step markers, or a conversation whose last turn does. */
export const poolingSchema = z.strictObject({
  model: open(z.string()),
  input: open(prompts),
  messages: open(z.array(message).min(1)),
  encoding_format: neutral('float', 'numbers are told as numbers'),
  task: open(z.enum(['token_classify', 'reward', 'encode'], 'must be token_classify, reward or encode: this model scores steps')),
  use_activation: neutral(true, PROBABILITIES),
  activation: neutral(true, PROBABILITIES),
  softmax: neutral(true, PROBABILITIES),
  truncate_prompt_tokens: neutral(-1, NOT_CUT),
  truncation_side: z.unknown().optional(),
  padding: neutral('do_not_pad', NOT_CUT),
  add_generation_prompt: neutral(false, 'the last turn is the assistant’s'),
  dimensions: absent,
  chat_template: absent,
  chat_template_kwargs: absent,
  mm_processor_kwargs: absent,
  media_io_kwargs: absent,
  // What changes no score is taken and set aside; a text is given the prefix of its model where it has none.
  add_special_tokens: open(z.boolean()),
  continue_final_message: open(z.boolean()),
  user: z.unknown().optional(),
  request_id: z.unknown().optional(),
  priority: z.unknown().optional(),
  cache_salt: z.unknown().optional(),
  embed_dtype: z.unknown().optional(),
  endianness: z.unknown().optional(),
})
/** The same asked for one class per solution. */
export const classifySchema = poolingSchema.extend({
  task: open(z.literal('classify', 'must be classify: /pooling answers for each step')),
})
