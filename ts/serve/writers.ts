/** `/v1/chat/completions` and `/v1/completions`: whole answers, and answers told as they are written. */
import { randomUUID } from 'node:crypto'
import { invalidArgument } from '../contracts/errors.ts'
import type { Completion } from '../engine/completion.ts'
import type { Engine } from '../engine/engine.ts'
import type { GenerateRequest } from '../engine/generate-options.ts'
import { chatLogprobs, finishReason, textLogprobs, usageOf } from './choices.ts'
import { type ChatRequest, type CompletionRequest, chatCall, completionCall, drawnSeed, promptsOf } from './generate.ts'
import type { Metrics } from './metrics.ts'
import type { EventStream } from './sse.ts'

/** Samples of all prompts of a request. */
const MAX_SAMPLES = 1024

/** What answers, and for how long. */
export interface Work {
  engine: Engine
  /** Under which the model answers, whatever name it was asked by. */
  model: string
  metrics: Metrics
  /** Aborts when nobody waits any more. */
  signal: AbortSignal
}

/** How the two interfaces differ. */
interface Form {
  readonly id: string
  readonly object: string
  readonly chunk: string
  choice(completion: Completion, index: number): object
  /** What opens a choice of a stream; nothing where there is nothing to say. */
  opening(index: number): object | undefined
  delta(text: string, index: number): object
  closing(completion: Completion | undefined, finish: string, index: number): object
}

function chatForm({ tokenizer }: Engine): Form {
  const chunk = (index: number, delta: object) => ({ index, delta, logprobs: null, finish_reason: null })
  return {
    ...{ id: 'chatcmpl', object: 'chat.completion', chunk: 'chat.completion.chunk' },
    choice: (completion, index) => ({
      index,
      message: { role: 'assistant', content: completion.text, refusal: null },
      logprobs: chatLogprobs(tokenizer, completion),
      finish_reason: finishReason(completion.finish),
      ...(completion.startsInReasoning && { starts_in_reasoning: true }),
    }),
    opening: (index) => chunk(index, { role: 'assistant', content: '' }),
    delta: (content, index) => chunk(index, { content }),
    closing: (completion, finish_reason, index) => ({
      ...{ index, delta: {}, finish_reason },
      logprobs: completion ? chatLogprobs(tokenizer, completion) : null,
    }),
  }
}

function textForm({ tokenizer }: Engine): Form {
  return {
    ...{ id: 'cmpl', object: 'text_completion', chunk: 'text_completion' },
    choice: (completion, index) => ({
      ...{ index, text: completion.text, finish_reason: finishReason(completion.finish) },
      logprobs: textLogprobs(tokenizer, completion),
    }),
    opening: () => undefined,
    delta: (text, index) => ({ index, text, logprobs: null, finish_reason: null }),
    closing: (completion, finish_reason, index) => ({
      ...{ index, text: '', finish_reason },
      logprobs: completion ? textLogprobs(tokenizer, completion) : null,
    }),
  }
}

/** All prompts of one request, with what every part of its answer begins with. */
interface Job {
  form: Form
  calls: readonly GenerateRequest[]
  n: number
  head: { id: string; created: number; model: string; system_fingerprint: string; seed: number }
}

function job(form: Form, calls: readonly GenerateRequest[], n: number | undefined, seed: number, { engine, model }: Work): Job {
  const [id, created] = [`${form.id}-${randomUUID()}`, Math.floor(Date.now() / 1000)]
  return { form, calls, n: n ?? 1, head: { id, created, model, system_fingerprint: engine.identity(), seed } }
}

/** @throws EngineError INVALID_ARGUMENT */
export function chatJob(r: ChatRequest, work: Work): Job {
  const seed = drawnSeed(r.seed)
  return job(chatForm(work.engine), [chatCall(r, seed)], r.n, seed, work)
}

/** @throws EngineError INVALID_ARGUMENT */
export function completionJob(r: CompletionRequest, work: Work): Job {
  const prompts = promptsOf(r.prompt)
  const n = r.n ?? 1
  if (prompts.length * n > MAX_SAMPLES)
    throw invalidArgument(`${prompts.length} prompts, ${n} samples each: at most ${MAX_SAMPLES} in all`)
  if (r.best_of !== undefined && r.best_of !== n) throw invalidArgument('best_of must be n: samples are not ranked here')
  const { tokenizer } = work.engine
  const seed = drawnSeed(r.seed)
  const ids = prompts.map((prompt) =>
    typeof prompt === 'string' ? [...tokenizer.prefixIds, ...tokenizer.encode(prompt)] : prompt,
  )
  const calls = ids.map((tokens) => completionCall(r, tokens, seed))
  return job(textForm(work.engine), calls, n, seed, work)
}

/** The whole answer. */
export async function answer({ form, calls, n, head }: Job, { engine, metrics, signal }: Work): Promise<object> {
  const completions = await Promise.all(calls.map((call) => engine.generate({ ...call, signal })))
  const usage = usageOf(completions)
  metrics.used(usage.prompt_tokens, usage.completion_tokens)
  const choices = completions.flatMap((own, prompt) => own.map((completion, i) => form.choice(completion, prompt * n + i)))
  return { ...head, object: form.object, choices, usage }
}

/**
 * The answer as it is written; resolves when it has been. Log-probabilities come with the end of a sample: they are
 * complete only then.
 */
export async function tell(
  { form, calls, n, head }: Job,
  { engine, metrics, signal }: Work,
  out: EventStream,
  withUsage: boolean,
) {
  const began = performance.now()
  let isFirst = true
  const send = (choices: readonly object[], more: object = {}) => out.send({ ...head, object: form.chunk, choices, ...more })
  const one = async (call: GenerateRequest, prompt: number): Promise<Completion[]> => {
    const place = (sample: number) => prompt * n + sample - (call.firstSample ?? 0)
    const stream = engine.stream({ ...call, signal })
    let next = await stream.next() // what is wrong with a request shows here, before the answer has begun
    for (let i = 0; i < n; i++) {
      const opening = form.opening(prompt * n + i)
      if (opening) await send([opening])
    }
    for (; ; next = await stream.next()) {
      if (next.done) {
        if (call.logprobs) for (const c of next.value) await send([form.closing(c, finishReason(c.finish), place(c.sample))])
        return next.value
      }
      if (isFirst) metrics.firstToken((performance.now() - began) / 1000)
      isFirst = false
      const { sample, text, done, finish } = next.value
      if (text !== '') await send([form.delta(text, place(sample))])
      if (done && !call.logprobs) await send([form.closing(undefined, finishReason(finish), place(sample))])
    }
  }
  const completions = await Promise.all(calls.map(one))
  const usage = usageOf(completions)
  metrics.used(usage.prompt_tokens, usage.completion_tokens)
  if (withUsage) await send([], { usage })
}
