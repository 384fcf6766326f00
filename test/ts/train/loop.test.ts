/** The training loop with a model that only keeps books: what is shown to it, how it is weighed, when it steps. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import type { BatchLoss, OptimizerStep, TrainableModel, TrainRow, TrainSample } from '../../../ts/contracts/trainer.ts'
import { chunks, epochOrder, isHeldOut, microBatches } from '../../../ts/train/batches.ts'
import { type Dataset, runTraining, type TrainOptions } from '../../../ts/train/index.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-loop-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))
let runs = 0

interface Book {
  /** Ids and scale of every gradient, and every step's options, in order. */
  accumulated: { ids: string[]; scale: number }[]
  steps: OptimizerStep[]
  evaluated: string[][]
}

/** Loss of a row: its weight times `lossOf`. */
function bookkeeper(lossOf: (id: string, step: number) => number = () => 1): { model: TrainableModel; book: Book } {
  const book: Book = { accumulated: [], steps: [], evaluated: [] }
  const lossOfRows = (rows: readonly TrainRow[]): BatchLoss => {
    const weight = rows.reduce((sum, row) => sum + row.weight, 0)
    const loss = rows.reduce((sum, row) => sum + row.weight * lossOf(row.sample.id, book.steps.length), 0)
    const count = { numCorrect: 0, numTerms: rows.length, numTokens: rows.length, numRows: rows.length, numImageRows: 0 }
    return { loss, weight, ...count, predictions: [], logprobs: rows.flatMap(() => [-1, -2]) }
  }
  const model: TrainableModel = {
    info: { isa: 'none', compute: 'f32', threads: 1, parameters: 1, trainable: 1, maxPositions: 100 },
    record: {},
    encode: async (sample) => rowOf(sample),
    accumulate: async (rows, scale) => {
      book.accumulated.push({ ids: rows.map((row) => row.sample.id), scale })
      return lossOfRows(rows)
    },
    evaluate: async (rows) => {
      book.evaluated.push(rows.map((row) => row.sample.id))
      return lossOfRows(rows)
    },
    step: async (options) => {
      book.steps.push(options)
      return 1
    },
    saveModel: async () => {},
    saveState: async (path) => writeFileSync(path, ''),
    loadState: async () => 0,
    abort: () => {},
    [Symbol.asyncDispose]: async () => {},
  }
  return { model, book }
}

/** As many tokens as the question has letters; the weight is the number of steps. */
function rowOf(sample: TrainSample): TrainRow {
  const none = {
    tokenWeights: new Float32Array(),
    markers: new Int32Array(),
    labels: new Float32Array(),
    markerWeights: new Float32Array(),
  }
  return { sample, tokens: new Int32Array(sample.question.length), ...none, weight: sample.steps.length }
}

const dataset = (samples: TrainSample[]): Dataset => ({
  size: samples.length,
  fingerprint: 'x',
  at: (i) => samples[i] as TrainSample,
})
const numbered = (count: number, numTokens = 10) =>
  Array.from({ length: count }, (_, i) => ({
    id: String(i),
    group: `g${i >> 1}`,
    question: 'x'.repeat(numTokens),
    steps: Array.from({ length: 1 + (i % 3) }, () => 's'),
  }))

async function run(samples: TrainSample[], options: Partial<TrainOptions>, lossOf?: (id: string, step: number) => number) {
  const { model, book } = bookkeeper(lossOf)
  const base = { task: 'policy', init: work, out: join(work, String(runs++)), data: dataset(samples) } as const
  const result = await runTraining({ ...base, ...options }, async () => model)
  return { ...book, result }
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)

test('every epoch shows every sample once, in an order of its own that the seed decides', async () => {
  const seen = async (seed: number) => (await run(numbered(20), { epochs: 3, batchSize: 6, seed })).accumulated.map((a) => a.ids)
  const [first, again, other] = [await seen(1), await seen(1), await seen(2)]
  assert.equal(first, again)
  assert.not.equal(first, other)
  assert.equal(
    first.map((ids) => ids.length),
    [6, 6, 6, 2, 6, 6, 6, 2, 6, 6, 6, 2],
  )
  const epochs = [0, 1, 2].map((e) => first.slice(4 * e, 4 * e + 4).flat())
  for (const epoch of epochs)
    assert.equal(
      epoch.map(Number).sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i),
    )
  assert.not.equal(epochs[0], epochs[1])
})

test('micro-batches: one step on all of them, and both ways to average', async () => {
  const samples = numbered(8)
  const weights = new Map(samples.map((s) => [s.id, s.steps.length]))
  for (const averageOver of ['batch', 'micro-batch'] as const) {
    const { accumulated, steps } = await run(samples, { batchSize: 8, microBatchTokens: 30, averageOver })
    assert.is(steps.length, 1)
    assert.ok(accumulated.length >= 3)
    const weightOf = (ids: string[]) => sum(ids.map((id) => weights.get(id) as number))
    const total = weightOf(samples.map((s) => s.id))
    for (const { ids, scale } of accumulated) {
      const expected = averageOver === 'batch' ? 1 / total : 1 / (weightOf(ids) * accumulated.length)
      assert.ok(Math.abs(scale - expected) < 1e-15)
    }
  }
})

test('the loss that is reported is the mean that the gradient is of', async () => {
  const lossOf = (id: string) => Number(id)
  const samples = numbered(8)
  const total = sum(samples.map((s) => s.steps.length))
  const expected = sum(samples.map((s) => (s.steps.length * Number(s.id)) / total))
  const { result } = await run(samples, { batchSize: 8, microBatchTokens: 30 }, lossOf)
  assert.ok(Math.abs(result.loss - expected) < 1e-12)
})

test('rates, decay and clipping arrive at the optimizer as given; warm-up is rounded up', async () => {
  const options = {
    epochs: 5,
    batchSize: 4,
    learningRate: 2,
    schedule: 'linear',
    warmupRatio: 0.11,
    clip: 0.25,
    decay: 'matrices',
  } as const
  const { steps } = await run(numbered(8), options)
  assert.equal(
    steps.map((s) => s.learningRate),
    [0, 1, 2, 1.75, 1.5, 1.25, 1, 0.75, 0.5, 0.25],
  )
  assert.ok(steps.every((s) => s.maxNorm === 0.25 && !s.decayVectors))
  const direct = await run(numbered(8), { ...options, warmupSteps: 0, decay: 'all' })
  assert.is(direct.steps[0]?.learningRate, 2)
  assert.ok(direct.steps.every((s) => s.decayVectors))
})

test('evaluation: after every epoch by default, as often as asked otherwise, and after the last step', async () => {
  const evalData = dataset(numbered(3))
  const epochs = await run(numbered(8), { epochs: 3, batchSize: 4, evalData })
  assert.is(epochs.evaluated.length, 3)
  const often = await run(numbered(8), { epochs: 3, batchSize: 4, evalData, evalEvery: 4 })
  assert.is(often.evaluated.length, 2, 'steps 4 and 6')
  assert.equal(often.evaluated[0], ['0', '1', '2'])
})

test('early stopping waits for `patience` evaluations without gain and names the best', async () => {
  const curve = [5, 4, 3, 4, 2.5, 3, 3, 3, 1]
  const lossOf = (_: string, step: number) => curve[step - 1] ?? 0
  const { result, steps } = await run(
    numbered(8),
    { epochs: 50, batchSize: 8, evalData: dataset(numbered(2)), patience: 3 },
    lossOf,
  )
  assert.equal([result.stoppedEarly, result.steps, result.bestStep, result.bestEvalLoss], [true, 8, 5, 2.5])
  assert.is(steps.length, 8)
})

test('maxSteps ends a run before its epochs do; part of an epoch is a number of steps', async () => {
  assert.is((await run(numbered(8), { epochs: 10, batchSize: 4, maxSteps: 3 })).steps.length, 3)
  assert.is((await run(numbered(8), { epochs: 0.5, batchSize: 2 })).steps.length, 2)
  assert.is((await run(numbered(8), { epochs: 0.01, batchSize: 2 })).steps.length, 1)
})

test('a pair that the untrained model was not asked about is not trained on', async () => {
  const whole = await run(numbered(4), { loss: 'dpo', longSamples: 'skip' })
  assert.is(whole.steps.length, 1)
  const samples = numbered(4)
  const long = { ...(samples[2] as TrainSample), question: 'x'.repeat(101) }
  let asked = 0
  const at = (i: number) => (i === 2 && asked++ === 0 ? long : (samples[i] as TrainSample))
  const changing = run(samples, { loss: 'dpo', longSamples: 'skip', data: { ...dataset(samples), at } })
  const error = await changing.then(
    () => undefined,
    (e: unknown) => e as EngineError,
  )
  assert.is(error?.code, 'ERR_ENGINE_TRAINING')
  assert.match(error?.message as string, /sample 2: no log-probabilities of the untrained model are known/)
})

test('groups stay together in their own order, and cut micro-batches only between them', () => {
  const groups = ['a', 'b', 'a', 'c', 'b', 'a']
  for (let seed = 0; seed < 20; seed++) {
    const order = epochOrder(groups, seed, 0)
    assert.equal([...order].sort(), [0, 1, 2, 3, 4, 5])
    assert.ok(order.join('').includes('025') && order.join('').includes('14'), order.join(''))
  }
  const rows = [3, 3, 4, 9, 2].map((n, i) =>
    rowOf({ id: String(i), group: ['a', 'a', 'b', 'c', 'd'][i] as string, question: 'x'.repeat(n), steps: [] }),
  )
  assert.equal(
    microBatches(rows, 8).map((batch) => batch.map((row) => row.sample.id).join('')),
    ['01', '2', '3', '4'],
    'a group alone may be too large',
  )
  assert.equal(microBatches(rows, 100).length, 1)
  assert.equal(chunks([1, 2, 3], 2), [[1, 2], [3]])
})

test('the held-out share is as large as asked for, and a problem is never on both sides', async () => {
  const names = Array.from({ length: 4000 }, (_, i) => `problem ${i}`)
  const held = names.filter((name) => isHeldOut(name, 0.2, 3))
  assert.ok(Math.abs(held.length / names.length - 0.2) < 0.02)
  assert.not.equal(
    held,
    names.filter((name) => isHeldOut(name, 0.2, 4)),
  )
  const { accumulated, evaluated } = await run(numbered(40), { evalFraction: 0.3, batchSize: 8 })
  const [trained, asked] = [new Set(accumulated.flatMap((a) => a.ids)), new Set(evaluated.flat())]
  assert.is(trained.size + asked.size, 40)
  assert.ok(asked.size > 3)
  assert.ok([...asked].every((id) => !trained.has(id)))
})
test.run()
