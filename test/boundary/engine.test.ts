/** The life of an engine as callers see it: errors, aborts, closing while busy, several at once, worker threads. */
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { findCards } from '../../ts/engine/devices.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { nativeScorer } from '../../ts/policy/scorer.ts'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const [IMAGE = ''] = picturesOf(MODEL)
const QUESTION = 'The bar chart shows 12 apples and 30 oranges. How many fruits are there?'
const STEPS = ['Read the chart: 12 and 30.', '12 + 30 = 42.', 'Answer: 42']

async function rejection(promise: Promise<unknown>): Promise<EngineError> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, EngineError)
    return error as EngineError
  }
  throw new Error('the promise should have been rejected')
}

test('solutions packed together, alone, in any order and on any thread count give the same bits', async () => {
  const solutions = [STEPS, [...STEPS.slice(0, 2), 'Answer: 43'], ['I guess 41.'], [STEPS[0] as string]]
  const reference: number[][] = []
  for (const threads of [1, 2, 3]) {
    await using engine = await Engine.open({ model: MODEL, cpu: { threads } })
    const packed = await engine.scoreSteps({ question: QUESTION, image: IMAGE, solutions })
    if (reference.length === 0) reference.push(...packed)
    assert.equal(packed, reference, `${threads} threads`)
    for (const [i, steps] of solutions.entries()) {
      assert.equal(await engine.scoreSteps({ question: QUESTION, image: IMAGE, steps }), reference[i], `alone ${i}`)
    }
    const reversed = await engine.scoreSteps({ question: QUESTION, image: IMAGE, solutions: solutions.toReversed() })
    assert.equal(reversed, reference.toReversed())
    const together = await Promise.all(solutions.map((steps) => engine.scoreSteps({ question: QUESTION, image: IMAGE, steps })))
    assert.equal(together, reference, 'several calls in flight')
  }
})

test('raw logits explain the scores', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const { scores, logits } = await engine.scoreSteps({ question: QUESTION, steps: STEPS, returnLogits: true })
  assert.is(logits.length, STEPS.length)
  logits.forEach(([yes, no], i) => {
    const p = 1 / (1 + Math.exp((no as number) - (yes as number)))
    assert.ok(Math.abs(p - (scores[i] as number)) < 1e-12)
  })
})

test('candidates: one without steps has none to score, a bad one is an error of its own, the others keep their bits', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const [first, last] = await engine.scoreSteps({ question: QUESTION, image: IMAGE, solutions: [STEPS, ['I guess 41.']] })
  const request = { question: QUESTION, image: IMAGE, solutions: [STEPS, [], ['a', '\n'], ['x'.repeat(20_000)], ['I guess 41.']] }
  const { scores, errors } = await engine.scoreCandidates(request)
  assert.equal(scores, [first, [], null, null, last])
  assert.equal(errors.map((e) => [e.candidate, e.code]), [[2, 'ERR_ENGINE_INVALID_ARGUMENT'], [3, 'ERR_ENGINE_INVALID_ARGUMENT']]) // biome-ignore format: short
  assert.match(errors[0]?.message as string, /solutions\[2\]\[1\]: is empty/)
  assert.match(errors[1]?.message as string, /solutions\[3\]: .*positions/)
  assert.equal(await engine.scoreSteps({ question: QUESTION, image: IMAGE, solutions: [[], STEPS, []] }), [[], first, []])
  assert.equal(await engine.scoreSteps({ question: QUESTION, solutions: [[], []] }), [[], []])
  assert.equal(await engine.scoreCandidates({ question: QUESTION, solutions: [[' ']] }).then((r) => r.scores), [null])
  const raw = await engine.scoreCandidates({ ...request, returnLogits: true })
  const [whole] = await engine.scoreSteps({ question: QUESTION, image: IMAGE, solutions: [STEPS], returnLogits: true })
  assert.equal(raw.logits?.slice(0, 3), [whole?.logits, [], null])
  assert.not('logits' in (await engine.scoreCandidates(request)))
})

test('as the scorer of a search: a solution that is too long says so, the others have scores and logits; none is an error', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const problem = { id: 'p', question: QUESTION, answer: '42', image: IMAGE }
  const scorer = nativeScorer(engine)
  const [good, long] = await scorer.score({ problem, solutions: [STEPS, ['x'.repeat(20_000)]] })
  const [whole] = await engine.scoreSteps({ question: QUESTION, image: IMAGE, solutions: [STEPS], returnLogits: true })
  assert.equal(good, whole)
  assert.equal(long?.scores, [])
  assert.match(long?.error as string, /solutions\[1\]: .*positions/)
  const error = await rejection(scorer.score({ problem, solutions: [['x'.repeat(20_000)]] }))
  assert.match(error.message, /solutions\[0\]: .*positions/)
})

test('a text that cannot fit is refused before it is tokenised, and a large request lets others run', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const text = 'hello world '.repeat(90_000)
  const cpu = process.cpuUsage()
  const refused = await rejection(engine.scoreSteps({ question: text, steps: ['a'] }))
  assert.match(refused.message, /the question: 1080000 characters are too many; the model has \d+ positions/)
  assert.match((await rejection(engine.generate({ question: text }))).message, /1080000 characters are too many/)
  assert.match((await rejection(engine.generate({ messages: [{ role: 'user', content: text }] }))).message, /too many/)
  const { user, system } = process.cpuUsage(cpu)
  assert.ok((user + system) / 1000 < 250, `${(user + system) / 1000} ms of work for texts of 1 MB`)

  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  const steps = Array.from({ length: 40 }, (_, i) => `Step ${i}: `.repeat(20))
  const tooLong = Array.from({ length: 40 }, (_, i) => [...steps.map((s) => `${i} ${s}`), 'x'.repeat(8192)])
  await engine.scoreCandidates({ question: QUESTION, solutions: tooLong })
  clearInterval(timer)
  assert.ok(ticks >= 5, `others ran ${ticks} times`)
})

test('bad requests name what is wrong', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const bad: [object, RegExp][] = [
    [{ question: QUESTION, steps: [] }, /at least one step/],
    [{ question: QUESTION, steps: ['a', 3] }, /steps\[1\]/],
    [{ question: QUESTION, steps: ['a', ''] }, /1.*empty|empty.*1/],
    [{ question: QUESTION, solutions: [] }, /at least one solution/],
    [{ question: QUESTION, solutions: [['a'], ['b', ' ']] }, /solutions\[1\]\[1\]: is empty/],
    [{ question: QUESTION, solutions: [['a'], ['x'.repeat(20_000)]] }, /solutions\[1\]: .*positions/],
    [{ question: QUESTION, steps: ['a'], solutions: [['a']] }, /either "steps" or "solutions"/],
    [{ question: QUESTION, step: ['a'] }, /did you mean "steps"/],
    [{ steps: ['a'] }, /question/],
    [{ question: QUESTION, steps: ['a'], image: '/no/such/file.png' }, /no\/such\/file\.png/],
    [{ question: 'x'.repeat(100_000), steps: ['a'] }, /positions/],
  ]
  for (const [request, message] of bad) {
    const error = await rejection(engine.scoreSteps(request as never) as Promise<unknown>)
    assert.is(error.code, 'ERR_ENGINE_INVALID_ARGUMENT', error.message)
    assert.match(error.message, message)
  }
  const tokens = await rejection(engine.logits({ tokens: [1, 10_000_000] }))
  assert.match(tokens.message, /10000000/)
  // Ids that would wrap around to a small one in 32 bits.
  assert.match((await rejection(engine.logits({ tokens: [1, 2 ** 32 + 1] }))).message, /tokens\[1\]/)
  assert.match((await rejection(engine.logits({ tokens: [1], rows: [2 ** 32] }))).message, /rows\[0\]/)
})

test('unknown options and models are refused at opening', async () => {
  assert.match((await rejection(Engine.open({ model: MODEL, cpu: { thread: 2 } } as never))).message, /did you mean "threads"/)
  assert.match(
    (await rejection(Engine.open({ model: MODEL, threads: 2 } as never))).message,
    /"threads" \(it is "cpu\.threads"\)/,
  )
  assert.is((await rejection(Engine.open({ model: '/no/such/model' }))).code, 'ERR_ENGINE_INVALID_MODEL')
  assert.match((await rejection(Engine.open({ model: MODEL, scoring: 'mm-prn' }))).message, /mm-prm/)
})

test('a device is one that there is, and an engine says which it took and why', async () => {
  {
    await using engine = await Engine.open({ model: MODEL, cpu: { isa: 'reference', threads: 1 } })
    const { totalBytes, ...device } = engine.info().device
    assert.equal(device, { kind: 'cpu', name: 'reference, 1 thread', class: 'reference', why: 'asked for' })
    assert.ok(totalBytes > 0)
  }
  for (const device of ['gpu', 'cuda:', 'cuda:x', 'cuda:-1', 'CPU', '']) {
    const refused = await rejection(Engine.open({ model: MODEL, device }))
    assert.is(refused.code, 'ERR_ENGINE_INVALID_ARGUMENT')
    assert.match(refused.message, /device.*must be auto, cpu, cuda or cuda:N/)
  }
  const cards = findCards()
  if (cards.devices.length > 0) return
  assert.is((await rejection(Engine.open({ model: MODEL, device: 'cuda' }))).code, 'ERR_ENGINE_NO_DEVICE')
  await using engine = await Engine.open({ model: MODEL, device: 'auto' })
  assert.is(engine.info().device.kind, 'cpu')
  assert.match(engine.info().device.why, /no card opens: ./)
})

test('what a progress callback throws comes out of opening', async () => {
  const onProgress = () => {
    throw new Error('from the callback')
  }
  const outcome = await Engine.open({ model: MODEL, onProgress }).catch((error: Error) => error.message)
  assert.is(outcome, 'from the callback')
})

test('a signal stops a call before, during and without effect after it', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const request = { question: QUESTION, image: IMAGE, solutions: Array.from({ length: 64 }, (_, i) => [`Step ${i}`, ...STEPS]) }
  assert.is((await rejection(engine.scoreSteps({ ...request, signal: AbortSignal.abort() }))).code, 'ERR_ENGINE_ABORTED')
  const controller = new AbortController()
  const running = rejection(engine.scoreSteps({ ...request, signal: controller.signal }))
  setTimeout(() => controller.abort(), 5)
  assert.is((await running).code, 'ERR_ENGINE_ABORTED')
  const late = new AbortController()
  const scores = await engine.scoreSteps({ question: QUESTION, steps: STEPS, signal: late.signal })
  late.abort()
  assert.is(scores.length, STEPS.length)
})

test('closing while busy rejects what waits, and a closed engine says so', async () => {
  const engine = await Engine.open({ model: MODEL })
  const calls = Array.from({ length: 8 }, () => engine.scoreSteps({ question: QUESTION, image: IMAGE, steps: STEPS }))
  const settled = Promise.allSettled(calls)
  await new Promise((r) => setTimeout(r, 20))
  await engine.close()
  await engine.close()
  for (const outcome of await settled) {
    if (outcome.status === 'rejected') assert.is(outcome.reason.code, 'ERR_ENGINE_CLOSED')
  }
  assert.is((await rejection(engine.scoreSteps({ question: QUESTION, steps: STEPS }))).code, 'ERR_ENGINE_CLOSED')
})

test('several engines and worker threads in one process', async () => {
  await using one = await Engine.open({ model: MODEL })
  await using two = await Engine.open({ model: pickCheckpoint({ head: 'reward' }) })
  const expected = await one.scoreSteps({ question: QUESTION, steps: STEPS })
  const inWorker = (close: boolean) =>
    new Promise<number[]>((resolve, reject) => {
      const worker = new Worker(new URL('../helpers/score-worker.mjs', import.meta.url), {
        workerData: { model: MODEL, close, request: { question: QUESTION, steps: STEPS } },
      })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const results = await Promise.all([inWorker(true), inWorker(false), two.scoreSteps({ question: QUESTION, steps: STEPS })])
  assert.equal(results[0], expected)
  assert.equal(results[1], expected)
})

test.run()
