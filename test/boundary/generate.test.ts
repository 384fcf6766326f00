/** Generation as callers see it: samples, streams, stops, bad input, aborts, closing, back-pressure, workers. */
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import type { StreamEvent } from '../../ts/engine/generation.ts'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const [IMAGE = ''] = picturesOf(MODEL)
const QUESTION = 'How many fruits are there?'

async function rejection(promise: Promise<unknown>): Promise<EngineError> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, EngineError)
    return error as EngineError
  }
  throw new Error('the promise should have been rejected')
}

async function until(condition: () => boolean): Promise<void> {
  const limit = performance.now() + 10_000
  while (!condition()) {
    assert.ok(performance.now() < limit, 'waited in vain')
    await new Promise((r) => setTimeout(r, 1))
  }
}

test('a sample depends on its prompt, seed and index alone', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const common = { question: QUESTION, image: IMAGE, maxTokens: 24, seed: 7, stopAtEnd: false }
  const all = await engine.generate({ ...common, n: 6 })
  assert.equal(
    all.map((c) => c.sample),
    [0, 1, 2, 3, 4, 5],
  )
  assert.is(new Set(all.map((c) => c.text)).size, 6, 'the samples differ')
  assert.equal(await engine.generate({ ...common, n: 2, firstSample: 3 }), all.slice(3, 5))
  assert.equal(await engine.generate({ ...common, n: 6, seed: 7n }), all)
  assert.not.equal(await engine.generate({ ...common, n: 6, seed: 8 }), all)
  const shorter = await engine.generate({ ...common, n: 1, maxTokens: 10 })
  assert.equal(shorter[0]?.tokens, all[0]?.tokens.slice(0, 10), 'a longer sample begins with the shorter one')
})

test('beginnings that were computed before are reused, images too', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const request = { question: QUESTION, image: IMAGE, template: 'prefill', maxTokens: 4, n: 2 }
  await engine.generate(request)
  const before = engine.stats()
  assert.is(before.imagesEmbedded, 1)
  await engine.generate({ ...request, steps: ['Count them.'] })
  const after = engine.stats()
  assert.is(after.imagesEmbedded, 1)
  assert.is(after.imagesReused, 1)
  assert.ok(after.reusedTokens - before.reusedTokens >= 32, 'the prompt up to the new step')
  await engine.scoreSteps({ question: QUESTION, steps: ['One.', 'Two.'] })
  const scored = engine.stats().prefilledTokens
  await engine.scoreSteps({ question: QUESTION, steps: ['One.', 'Two.'] })
  assert.is(engine.stats().prefilledTokens, scored, 'known scores cost nothing')
  await engine.scoreSteps({ question: QUESTION, steps: ['One.', 'Two.', 'Three.'] })
  assert.ok(engine.stats().prefilledTokens - scored < 16, 'only the new step is computed')
})

test('prompts as messages, continued messages, questions and tokens', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const options = { maxTokens: 3, sampling: { temperature: 0 } }
  const user = { role: 'user' as const, content: 'What is 2 + 3?' }
  const [chat] = await engine.generate({ messages: [user], ...options })
  const [continued] = await engine.generate({ messages: [user, { role: 'assistant', content: '' }], ...options })
  assert.equal(continued, chat)
  const [withImage] = await engine.generate({ messages: [user], image: IMAGE, ...options })
  assert.not.equal(withImage?.tokens, chat?.tokens)
  const [tokens] = await engine.generate({ tokens: [5, 6, 7], ...options })
  assert.is(tokens?.tokens.length, 3)
})

test('stop texts are cut off, never leak, and end a sample early', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const request = { question: QUESTION, maxTokens: 40, n: 4, seed: 3, stopAtEnd: false }
  const whole = await engine.generate(request)
  for (const { text, sample } of whole) {
    const stop = text.slice(9, 13)
    const at = text.indexOf(stop)
    const stopped = (await engine.generate({ ...request, stop: [stop, 'never written'] }))[sample]
    assert.is(stopped?.text, text.slice(0, at))
    assert.is(stopped?.finish, 'stop')
    let streamed = ''
    for await (const event of engine.stream({ ...request, stop: [stop] })) if (event.sample === sample) streamed += event.text
    assert.is(streamed, text.slice(0, at))
  }
  const token = whole[0]?.tokens[5] as number
  const byId = (await engine.generate({ ...request, stop: [token] }))[0]
  assert.is(byId?.finish, 'stop')
  assert.is(byId?.tokens.at(-1), token)
  assert.is(byId?.tokens.indexOf(token), (byId?.tokens.length ?? 0) - 1)
})

test('a stream adds up to the completions', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const request = { question: QUESTION, image: IMAGE, n: 5, maxTokens: 50, seed: 1, firstSample: 2 }
  const completions = await engine.generate(request)
  const texts = new Map<number, string>()
  const tokens = new Map<number, number[]>()
  const done = new Map<number, StreamEvent>()
  for await (const event of engine.stream(request)) {
    assert.not.ok(done.has(event.sample), 'nothing follows the last event of a sample')
    texts.set(event.sample, (texts.get(event.sample) ?? '') + event.text)
    tokens.set(event.sample, [...(tokens.get(event.sample) ?? []), ...event.tokens])
    if (event.done) done.set(event.sample, event)
  }
  for (const c of completions) {
    assert.is(texts.get(c.sample), c.text)
    assert.equal(tokens.get(c.sample), c.tokens)
    assert.is(done.get(c.sample)?.finish, c.finish)
  }
})

test('bad requests name what is wrong', async () => {
  await using engine = await Engine.open({ model: MODEL, kvCacheBytes: 2 ** 20 })
  const positions = engine.info().decoder.maxPositions
  const vocab = engine.info().decoder.vocab
  const bad: [object, RegExp][] = [
    [{ question: QUESTION, n: 0 }, /n: /],
    [{ question: QUESTION, n: 2.5 }, /n: /],
    [{ question: QUESTION, n: 5000, maxTokens: 50 }, /n = 5000.* \d+ samples .*fit/],
    [{ tokens: Array(positions + 1).fill(5) }, new RegExp(`${positions + 1} tokens, the model has ${positions} positions`)],
    [{ tokens: Array(positions).fill(5) }, /none is left to write/],
    [{ question: QUESTION, maxTokens: 0 }, /maxTokens/],
    [{ question: QUESTION, sampling: { topP: 0 } }, /sampling\.topP/],
    [{ question: QUESTION, sampling: { topP: 1.01 } }, /sampling\.topP/],
    [{ question: QUESTION, sampling: { temperature: -1 } }, /sampling\.temperature/],
    [{ question: QUESTION, sampling: { temperature: Number.NaN } }, /sampling\.temperature/],
    [{ question: QUESTION, sampling: { top_p: 0.9 } }, /unknown option "top_p"/],
    [{ question: QUESTION, stop: [vocab] }, new RegExp(`id ${vocab}`)],
    [{ question: QUESTION, stop: [''] }, /stop\[0\]/],
    [{ question: QUESTION, seed: -1 }, /seed/],
    [{ question: QUESTION, seed: 2n ** 64n }, /seed/],
    [{ question: QUESTION, template: 'prefil' }, /did you mean "prefill"/],
    [{ question: QUESTION, tokens: [1] }, /exactly one of messages, question, tokens/],
    [{ image: IMAGE }, /none is there/],
    [{ tokens: [1], steps: ['a'] }, /"steps" go with "question"/],
    [{ tokens: [1, vocab + 5000] }, /not in the vocabulary/],
    [{ tokens: [1, 2], image: IMAGE }, /image tokens/],
    [{ messages: [] }, /messages/],
    [{ messages: [{ role: 'robot', content: '' }] }, /messages\[0\]\.role/],
    [{ question: QUESTION, maxtokens: 3 }, /did you mean "maxTokens"/],
    [{ question: QUESTION, image: '/no/such/file.png' }, /no\/such\/file\.png/],
  ]
  for (const [request, message] of bad) {
    const error = await rejection(engine.generate(request as never))
    assert.is(error.code, 'ERR_ENGINE_INVALID_ARGUMENT', error.message)
    assert.match(error.message, message)
    assert.match((await rejection(engine.stream(request as never).next())).message, message)
  }
  const { requestsRunning, requestsWaiting, usedPages } = engine.stats()
  assert.equal([requestsRunning, requestsWaiting, usedPages], [0, 0, 0])
  assert.match((await rejection(Engine.open({ model: MODEL, kvCacheBytes: 10 }))).message, /kvCacheBytes/)
  await using judge = await Engine.open({ model: pickCheckpoint({ head: 'reward' }) })
  assert.match((await rejection(judge.generate({ tokens: [1] }))).message, /reward head/)
})

test('an abort at any stage frees the pages at once', async () => {
  await using engine = await Engine.open({ model: MODEL })
  // Long enough that no abort comes too late.
  const request = { question: QUESTION, image: IMAGE, n: 32, maxTokens: 2000, stopAtEnd: false }
  const held = () => engine.stats().usedPages - engine.stats().cachedPages
  assert.is((await rejection(engine.generate({ ...request, signal: AbortSignal.abort() }))).code, 'ERR_ENGINE_ABORTED')
  for (const delay of [0, 1, 3, 8, 20]) {
    const controller = new AbortController()
    const running = rejection(engine.generate({ ...request, signal: controller.signal }))
    setTimeout(() => controller.abort(), delay)
    assert.is((await running).code, 'ERR_ENGINE_ABORTED')
    assert.is(held(), 0)
  }
  const late = new AbortController()
  await engine.generate({ question: QUESTION, maxTokens: 2, signal: late.signal })
  late.abort()
  let seen = 0
  for await (const _ of engine.stream(request)) if (++seen === 10) break
  await until(() => engine.stats().requestsRunning === 0)
  assert.is(held(), 0)
  const controller = new AbortController()
  const stream = engine.stream({ ...request, signal: controller.signal })
  await stream.next()
  controller.abort()
  assert.is((await rejection(drain(stream))).code, 'ERR_ENGINE_ABORTED')
})

async function drain(stream: AsyncGenerator<StreamEvent, unknown>): Promise<number> {
  let events = 0
  for await (const _ of stream) events++
  return events
}

test('a slow reader holds back its own generation only', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const tokens = Array.from({ length: 20 }, (_, i) => 5 + i)
  const slow = engine.stream({ tokens, n: 64, maxTokens: 400, stopAtEnd: false })
  await slow.next()
  let before = -1
  let paused = 0
  while (before !== (paused = engine.stats().decodedTokens)) {
    before = paused
    await new Promise((r) => setTimeout(r, 150))
  }
  assert.ok(paused < 64 * 399, 'paused long before the end')
  assert.is((await engine.generate({ tokens, n: 2, maxTokens: 20, stopAtEnd: false }))[0]?.tokens.length, 20)
  let count = 1
  for await (const event of slow) count += event.tokens.length
  assert.ok(count >= 64 * 400 - 64, `${count}`)
})

test('more requests than fit wait, are preempted and lose nothing', async () => {
  await using roomy = await Engine.open({ model: MODEL })
  const { bytesPerPage } = roomy.stats()
  await using tight = await Engine.open({ model: MODEL, kvCacheBytes: 40 * bytesPerPage })
  const requests = Array.from({ length: 24 }, (_, i) => ({
    tokens: [5 + (i % 3), 6, 7, 8, 9 + i],
    n: 3,
    maxTokens: 60,
    stopAtEnd: false,
    seed: i,
    logprobs: true,
  }))
  const expected = []
  for (const request of requests) expected.push(await roomy.generate(request))
  assert.equal(await Promise.all(requests.map((r) => tight.generate(r))), expected)
  assert.ok(tight.stats().preemptions > 0)
})

test('closing while busy rejects what runs and what waits', async () => {
  const engine = await Engine.open({ model: MODEL })
  const calls = Array.from({ length: 400 }, (_, i) =>
    engine.generate({ tokens: [5 + (i % 90), 6], n: 2, maxTokens: 100, stopAtEnd: false }),
  )
  const stream = engine.stream({ question: QUESTION, n: 2, maxTokens: 300 })
  const settled = Promise.allSettled([...calls, drain(stream)])
  await until(() => engine.stats().callsWaiting > 0)
  await engine.close()
  const rejected = (await settled).filter((outcome) => outcome.status === 'rejected')
  assert.ok(rejected.length > 100)
  for (const outcome of rejected) assert.is(outcome.reason.code, 'ERR_ENGINE_CLOSED')
  assert.is((await rejection(engine.generate({ tokens: [1] }))).code, 'ERR_ENGINE_CLOSED')
  assert.throws(
    () => engine.stats(),
    (error: EngineError) => error.code === 'ERR_ENGINE_CLOSED',
  )
})

test('worker threads end in the middle of a generation', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const request = { tokens: [5, 6, 7], n: 3, maxTokens: 12, seed: 4, stopAtEnd: false }
  const expected = await engine.generate(request)
  const script = new URL('../helpers/generate-worker.mjs', import.meta.url)
  const results = await Promise.all(
    ['finish', 'terminate', 'exit'].map(
      (ending) =>
        new Promise((resolve, reject) => {
          const worker = new Worker(script, { workerData: { model: MODEL, request, ending } })
          let message: unknown
          worker.on('message', (m) => {
            message = m
            if (m === 'busy' && ending === 'terminate') worker.terminate()
          })
          worker.on('error', reject)
          worker.on('exit', () => resolve(message))
        }),
    ),
  )
  assert.equal(results, [expected, 'busy', 'busy'])
})

test.run()
