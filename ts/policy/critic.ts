/** Critics: the package's own engine, and models on servers that tell log-probabilities. */
import type { Choice, Critic, CriticMessage, CriticRequest } from '../contracts/critic.ts'
import { policyError } from '../contracts/errors.ts'
import { type ProblemImage, placePictures, type QuestionPart } from '../contracts/problem.ts'
import { Dialect } from './dialect.ts'
import { imageUris } from './image-uri.ts'
import { ChatClient, type ChatMessage, type ClientOptions } from './openai-client.ts'

/** What a critic needs of the engine. */
export interface CriticEngine {
  identity(): string
  generate(call: {
    messages: CriticMessage[]
    images?: ProblemImage[]
    firstSample: number
    maxTokens: number
    seed: number
    stop: string[]
    sampling: { temperature: number; topP: number; topK: number }
    signal?: AbortSignal
  }): Promise<{ text: string }[]>
  choiceLogprobs(call: {
    messages: CriticMessage[]
    images?: ProblemImage[]
    choices: string[]
    signal?: AbortSignal
  }): Promise<number[]>
}

const nativeCall = ({ messages, images }: CriticRequest, signal: AbortSignal | undefined) => ({
  messages: [...messages],
  ...(images && { images: [...images] }),
  ...(signal && { signal }),
})

/** A checkpoint folder, asked through its chat template. */
export function engineCritic(engine: CriticEngine): Critic {
  return {
    name: engine.identity(),
    async write({ sampling, sample, stop = [], ...request }, signal) {
      const { maxTokens, seed, ...rest } = sampling
      const call = { ...nativeCall(request, signal), firstSample: sample, maxTokens, seed, stop: [...stop], sampling: rest }
      const [written] = await engine.generate(call)
      return written?.text ?? ''
    },
    async choose({ choices, ...request }, signal) {
      const logprobs = await engine.choiceLogprobs({ ...nativeCall(request, signal), choices: [...choices] })
      return logprobs.map((logprob) => ({ logprob, isBound: false }))
    },
  }
}

/** As many as servers tell. */
const TOP_LOGPROBS = 20

async function chatMessages({ messages, images = [] }: CriticRequest, signal?: AbortSignal): Promise<ChatMessage[]> {
  const uris = await imageUris({ id: 'critic' }, images, signal)
  const first = messages.findIndex((message) => message.role === 'user')
  const partOf = (part: QuestionPart) =>
    'text' in part
      ? { type: 'text' as const, text: part.text }
      : { type: 'image_url' as const, image_url: { url: uris[part.picture] as string } }
  return messages.map((message, i) =>
    i === first && uris.length > 0
      ? { role: message.role, content: placePictures(message.content, uris.length).map(partOf) }
      : { ...message },
  )
}

/** An assistant's turn at the end is gone on with. */
const continued = ({ messages }: CriticRequest) =>
  messages.at(-1)?.role === 'assistant' && { continue_final_message: true, add_generation_prompt: false }

/** A model on an OpenAI-compatible server. @throws EngineError INVALID_ARGUMENT; when asked: POLICY, ABORTED */
export function chatCritic(options: ClientOptions): Critic {
  const client = new ChatClient(options, new Dialect())
  return {
    name: client.model,
    async write({ sampling, sample, stop = [], ...request }, signal) {
      const { temperature, topP, topK, maxTokens, seed } = sampling
      const parameters = {
        ...{ temperature, top_p: topP, max_tokens: maxTokens, seed: seed + sample },
        ...(topK > 0 && { top_k: topK }),
        ...(stop.length > 0 && { stop }),
        ...continued(request),
      }
      const answer = await client.complete(await chatMessages(request, signal), parameters, 'critic', signal)
      const text = answer.choices[0]?.message.content
      if (typeof text !== 'string') throw policyError('critic: the server answered without a text')
      return cutAt(text, stop)
    },
    async choose({ choices, ...request }, signal) {
      const parameters = { max_tokens: 1, logprobs: true, top_logprobs: TOP_LOGPROBS, ...continued(request) }
      const answer = await client.complete(await chatMessages(request, signal), parameters, 'critic', signal)
      const [first] = answer.choices[0]?.logprobs?.content ?? []
      if (!first) {
        throw policyError(
          `critic: ${client.shown} gave no log-probabilities: a judge that is read needs "logprobs" of the server`,
        )
      }
      return choices.map((choice) => told(choice, [first, ...first.top_logprobs]))
    },
  }
}

/** What is not listed is no likelier than the last that is. */
function told(choice: string, listed: readonly { token: string; logprob: number }[]): Choice {
  const found = listed.find(({ token }) => token === choice)
  if (found) return { logprob: found.logprob, isBound: false }
  return { logprob: Math.min(...listed.map(({ logprob }) => logprob)), isBound: true }
}

/** A server that takes no stops writes on. */
function cutAt(text: string, stop: readonly string[]): string {
  const ends = stop.map((s) => text.indexOf(s)).filter((at) => at >= 0)
  return ends.length > 0 ? text.slice(0, Math.min(...ends)) : text
}
