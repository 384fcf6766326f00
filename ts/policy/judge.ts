/** Judges: whatever can be asked a question in words. What they say is read, and asked for again, by the verifier. */
import { z } from 'zod'
import { policyError } from '../contracts/errors.ts'
import type { Policy } from '../contracts/policy.ts'
import type { ProblemImage } from '../contracts/problem.ts'
import { validate } from '../contracts/validate.ts'
import type { AskJudge } from '../contracts/verifier.ts'
import { Dialect } from './dialect.ts'
import { imageUris } from './image-uri.ts'
import { ChatClient, type ChatMessage, type ClientOptions } from './openai-client.ts'

/** How a judge is asked. */
export const askingSchema = z.strictObject({
  /** Tokens of a reply. The default is room for a model that reasons before the word it was asked for. */
  maxTokens: z.number().int().positive().default(4096),
})
export type JudgeAsking = z.input<typeof askingSchema>

/** What was cut says nothing: `Step 1` may have been step 12. */
const UNSAID = ''

/** Greedy; a judge that is asked again would otherwise say the same again. */
const temperatureOf = (attempt: number) => (attempt === 0 ? 0 : 1)

/** A judge on an OpenAI-compatible server. @throws EngineError INVALID_ARGUMENT; when asked: POLICY, ABORTED */
export function chatJudge({ maxTokens, ...options }: ClientOptions & JudgeAsking): AskJudge {
  const asking = validate(askingSchema, { maxTokens }, 'judge')
  // A model that only samples is a judge too.
  const client = new ChatClient(options, new Dialect(['temperature']))
  return async (prompt, signal, attempt = 0, images = []) => {
    const uris = await imageUris({ id: 'judge' }, images, signal)
    const shown = uris.map((url) => ({ type: 'image_url' as const, image_url: { url: url as string } }))
    const content: ChatMessage['content'] = shown.length === 0 ? prompt : [...shown, { type: 'text', text: prompt }]
    const parameters = {
      temperature: temperatureOf(attempt),
      max_tokens: asking.maxTokens,
      ...(attempt > 0 && { seed: attempt }),
    }
    const answer = await client.complete([{ role: 'user', content }], parameters, 'judge', signal)
    const [choice] = answer.choices
    if (choice?.finish_reason === 'length') return UNSAID
    const text = choice?.message.content
    if (typeof text !== 'string') throw policyError('judge: the server answered without a text')
    return text
  }
}

/** What a judge needs of the engine. */
export interface ChatEngine {
  generate(call: {
    messages: { role: 'user'; content: string }[]
    images?: ProblemImage[]
    maxTokens: number
    seed: number
    sampling: { temperature: number }
    signal?: AbortSignal
  }): Promise<{ text: string; finish: 'stop' | 'length' | 'steps' }[]>
}

/** The package's own engine as a judge, asked through its checkpoint's chat template. @throws EngineError INVALID_ARGUMENT */
export function engineJudge(engine: ChatEngine, options: JudgeAsking = {}): AskJudge {
  const { maxTokens } = validate(askingSchema, options, 'judge')
  return async (prompt, signal, attempt = 0, images = []) => {
    const [completion] = await engine.generate({
      messages: [{ role: 'user', content: prompt }],
      ...(images.length > 0 && { images: [...images] }),
      maxTokens,
      seed: attempt,
      sampling: { temperature: temperatureOf(attempt) },
      ...(signal && { signal }),
    })
    return completion && completion.finish !== 'length' ? completion.text : UNSAID
  }
}

/**
 * Any policy as a judge: the question is a problem to it. Its word is its answer where it writes a whole solution, and
 * all its text where it just replies; a text that was cut says nothing.
 */
export function policyJudge(policy: Policy, seed = 0): AskJudge {
  return async (prompt, signal, attempt = 0, images = []) => {
    const problem = { id: 'judge', question: prompt, answer: '', ...(images.length > 0 && { images }) }
    const [rollouts] = await policy.rollouts([{ problem, prefix: [], seed, from: attempt, count: 1 }], signal)
    const rollout = rollouts?.[0]
    if (!rollout) throw policyError('judge: the policy gave no rollout')
    if (rollout.outcome === 'truncated') return UNSAID
    return rollout.outcome === 'complete' ? (rollout.steps.at(-1) ?? '') : rollout.text
  }
}
