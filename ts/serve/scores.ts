/** Step scores: in our own form, and in those that clients of vLLM's reward models send. */
import { randomUUID } from 'node:crypto'
import type { z } from 'zod'
import { invalidArgument } from '../contracts/errors.ts'
import { verdictFields } from '../contracts/verdict.ts'
import type { Engine } from '../engine/engine.ts'
import type { CountedSteps } from '../engine/scorer.ts'
import { markedText, readConversation } from './conversation.ts'
import { promptsOf } from './generate.ts'
import { dataUri } from './pictures.ts'
import type { classifySchema, poolingSchema, scoreSchema } from './requests.ts'

/** A process reward model, and below which score one of its steps is taken for wrong, where that is known. */
export interface ScoreWork {
  engine: Engine
  threshold: number | undefined
  signal: AbortSignal
}

/** As `mm-prm score` answers a line. @throws EngineError INVALID_ARGUMENT */
export async function scoreSteps(r: z.output<typeof scoreSchema>, { engine, threshold, signal }: ScoreWork): Promise<object> {
  const { question, steps, solutions, returnLogits } = r
  if ((steps === undefined) === (solutions === undefined))
    throw invalidArgument('exactly one of "steps" and "solutions" is needed')
  if (r.image !== undefined && r.images !== undefined) throw invalidArgument('give either "image" or "images", not both')
  const asked = { question, images: (r.images ?? (r.image === undefined ? [] : [r.image])).map(dataUri), signal }
  if (steps !== undefined) {
    const { scores, logits, std } = await engine.scoreSteps({ ...asked, steps, returnLogits: true })
    return { scores, ...(returnLogits && { logits }), ...(std && { std }), ...verdictFields(scores, threshold) }
  }
  const { errors, scores, logits, std } = await engine.scoreCandidates({
    ...asked,
    solutions: solutions ?? [],
    returnLogits: returnLogits ?? false,
  })
  return {
    scores,
    ...(logits && { logits }),
    ...(std && { std }),
    ...(errors.length > 0 && { errors }),
    ...verdictFields(scores, threshold),
  }
}

type PoolingRequest = z.output<typeof poolingSchema | typeof classifySchema>

/** A conversation whose last turn holds the steps, a marker behind each. */
async function scoreConversation({ messages }: PoolingRequest, { engine, signal }: ScoreWork): Promise<CountedSteps> {
  const { images, messages: turns } = readConversation(messages ?? [])
  const solution = turns.pop()
  const question = turns.pop()
  const others = turns.filter(({ role }) => role !== 'system')
  if (solution?.role !== 'assistant' || question?.role !== 'user' || others.length > 0)
    throw invalidArgument('messages: a question of the user and the assistant’s solution, perhaps behind a system message')
  const marker = engine.stepMarker()
  const parts = markedText(solution).split(marker)
  if (parts.pop()?.trim() !== '' || parts.length === 0)
    throw invalidArgument(`messages: the assistant’s turn must hold its steps with ${marker} behind each`)
  const steps = parts.map((part) => part.trim())
  return engine.scoreCounted({ question: markedText(question), steps, signal, ...(images && { images }) })
}

/** @throws EngineError INVALID_ARGUMENT */
async function scoreAll(r: PoolingRequest, work: ScoreWork): Promise<CountedSteps[]> {
  if ((r.input === undefined) === (r.messages === undefined))
    throw invalidArgument('exactly one of "input" and "messages" is needed')
  if (r.messages) return [await scoreConversation(r, work)]
  const { engine, signal } = work
  const inputs = promptsOf(r.input ?? [])
  return Promise.all(
    inputs.map((input) => engine.scoreMarked({ ...(typeof input === 'string' ? { text: input } : { tokens: input }), signal })),
  )
}

function listOf(id: string, model: string, scored: readonly CountedSteps[], data: readonly object[]) {
  const prompt_tokens = scored.reduce((n, { numTokens }) => n + numTokens, 0)
  return {
    ...{ id: `${id}-${randomUUID()}`, object: 'list', created: Math.floor(Date.now() / 1000), model, data },
    usage: { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens },
  }
}

/** `[against, for]` per step: what vLLM gives at the step markers of a process reward model. */
export async function pooling(r: PoolingRequest, model: string, work: ScoreWork): Promise<object> {
  const scored = await scoreAll(r, work)
  const data = scored.map(({ scores }, index) => ({ index, object: 'pooling', data: scores.map((p) => [1 - p, p]) }))
  return listOf('pool', model, scored, data)
}

/** One class per solution, by its last step; the probabilities of all steps beside it. */
export async function classify(r: PoolingRequest, model: string, work: ScoreWork): Promise<object> {
  const scored = await scoreAll(r, work)
  const data = scored.map(({ scores }, index) => {
    const last = scores.at(-1) as number
    const isRight = last >= (work.threshold ?? 0.5)
    return { index, label: isRight ? 'LABEL_1' : 'LABEL_0', probs: [1 - last, last], num_classes: 2, steps: scores }
  })
  return listOf('classify', model, scored, data)
}
