/**
 * Training against torch's autograd, AdamW and transformers' schedules: every case in fp32 on every instruction set of
 * this machine (tolerances: test/golden/README.md), and bf16 against our own fp32.
 */
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BatchLoss } from '../../ts/contracts/trainer.ts'
import { readCheckpointFolder } from '../../ts/engine/checkpoint.ts'
import { loadNative, type NativePicture, type NativeTrainBatch, type NativeTrainer } from '../../ts/engine/native.ts'
import { openTokenizer } from '../../ts/engine/tokenizer/index.ts'
import { prmRow } from '../../ts/engine/training-rows.ts'
import { decodeImage } from '../../ts/images/index.ts'
import { SCHEDULES, scheduleFactor } from '../../ts/train/schedule.ts'
import { GOLDEN_ROOT, needAreas, readJson, readTensors, relativeDistance } from '../helpers/golden.ts'

await needAreas('training', 'models')

const LOSS = 1e-5
const GRADIENTS = 1e-4
const TRAJECTORY_LOSS = 1e-3
const TRAJECTORY_WEIGHTS = 1e-3
const LEARNING_RATE = 1e-7
const LORA_SEED = 3n

const ROOT = join(GOLDEN_ROOT, 'training')
const golden = readJson(join(ROOT, 'training.json'))
const native = loadNative()

// biome-ignore lint/suspicious/noExplicitAny: cases are plain data, see test/golden/README.md
type Case = any
const EMPTY = {
  tokenWeights: new Float32Array(),
  markers: new Int32Array(),
  labels: new Float32Array(),
  markerWeights: new Float32Array(),
}

const modelFolder = (c: Case) => join(GOLDEN_ROOT, 'models', c.model)

async function open(c: Case, compute: 'f32' | 'bf16', isa: string, more: object = {}): Promise<NativeTrainer> {
  return native.openTrainer({
    model: modelFolder(c),
    compute,
    isa,
    threads: 2,
    trainVision: true,
    trainProjector: true,
    trainLanguage: true,
    recompute: false,
    newTokens: new Int32Array(),
    loraRank: 0,
    loraAlpha: 0,
    loraTargets: [],
    seed: LORA_SEED,
    ...more,
  })
}

function tokenBatch(rows: Case[], sampleWeights?: number[]): NativeTrainBatch {
  const samples = rows.map((row, i) => ({
    ...EMPTY,
    tokens: Int32Array.from(row.inputIds),
    images: new Int32Array(),
    group: i,
    tokenWeights: Float32Array.from(row.targetMask, (on: number) => on * (sampleWeights?.[i] ?? 1)),
  }))
  return { task: 'tokens', samples, images: [], imageToken: -1 }
}

/** `packed`: all rows as one tree. */
async function markerBatch(c: Case, rows: Case[], packed: boolean): Promise<NativeTrainBatch> {
  const folder = await readCheckpointFolder(modelFolder(c))
  const tokenizer = await openTokenizer(modelFolder(c))
  const vision = native.inspectModel(modelFolder(c)).vision
  const images: NativePicture[] = []
  const index = new Map<string, number>()
  const samples = []
  for (const [i, row] of rows.entries()) {
    const key = `${row.image}/${row.maxTiles}`
    if (row.image && !index.has(key)) {
      const { rgb, width, height } = await decodeImage(join(modelFolder(c), row.image))
      assert.ok(vision)
      const picture = await native.cutPicture(rgb, width, height, folder.pictureOptions(vision, row.maxTiles))
      assert.is(picture.numTiles, row.numTiles)
      index.set(key, images.length)
      images.push(picture)
    }
    const sample = { id: String(i), group: '0', question: row.question, steps: row.steps, labels: row.labels }
    const imageRows = row.image ? [row.numTiles * (vision?.tokensPerTile ?? 0)] : []
    const context = {
      tokenizer,
      template: 'internvl2_5-prm-train',
      systemMessage: folder.config.system_message,
      lossWeight: 'token' as const,
      ownChat: folder.usesOwnChat(tokenizer),
    }
    const made = prmRow(sample, imageRows, context)
    assert.equal([...made.tokens], row.inputIds, 'ids of the training template')
    samples.push({
      tokens: made.tokens,
      images: row.image ? Int32Array.of(index.get(key) as number) : new Int32Array(),
      group: packed ? 0 : i,
      tokenWeights: made.tokenWeights,
      markers: made.markers,
      labels: made.labels,
      markerWeights: made.markerWeights,
    })
  }
  const pair = Int32Array.of(tokenizer.pieceId('Yes') as number, tokenizer.pieceId('No') as number)
  if (c.rewardIds) assert.equal([...pair], c.rewardIds)
  return { task: 'markers', samples, images, imageToken: folder.imageToken(tokenizer), pair }
}

const weightOf = (batch: NativeTrainBatch) =>
  batch.samples.reduce((sum, s) => sum + [...s.tokenWeights, ...s.markerWeights].reduce((a, w) => a + w, 0), 0)

async function accumulate(
  trainer: NativeTrainer,
  batch: NativeTrainBatch,
  share = 1,
): Promise<{ mean: number; result: BatchLoss }> {
  const weight = weightOf(batch)
  const result = await trainer.accumulate(batch, share / weight)
  assert.ok(Math.abs(result.weight - weight) < 1e-6 * weight)
  return { mean: result.loss / weight, result }
}

/** ‖all − expected‖ / ‖expected‖ over all tensors together. */
function distance(pairs: { actual: Float32Array; expected: ArrayLike<number> }[]): number {
  let difference = 0
  let norm = 0
  for (const { actual, expected } of pairs) {
    assert.is(actual.length, expected.length)
    for (let i = 0; i < actual.length; i++) {
      difference += ((actual[i] as number) - (expected[i] as number)) ** 2
      norm += (expected[i] as number) ** 2
    }
  }
  return Math.sqrt(difference / norm)
}

async function gradients(trainer: NativeTrainer, names: readonly string[]): Promise<Float32Array[]> {
  const all: Float32Array[] = []
  for (const name of names) all.push(await trainer.tensor(name, 'gradient'))
  return all
}

async function checkGradients(trainer: NativeTrainer, c: Case, prefix: string): Promise<void> {
  const stored = readTensors(join(ROOT, c.tensors))
  const names = [...stored.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
  assert.ok(names.length > 0)
  const actual = await gradients(trainer, names)
  const pairs = names.map((name, i) => ({
    actual: actual[i] as Float32Array,
    expected: stored.get(prefix + name)?.data as Float32Array,
  }))
  for (const [i, pair] of pairs.entries()) assert.is(pair.actual.length, pair.expected.length, names[i])
  const off = distance(pairs)
  assert.ok(off < GRADIENTS, `gradients of ${names.length} tensors are off by ${off}`)
}

async function checkLoss(c: Case, mean: number): Promise<void> {
  assert.ok(Math.abs(mean - c.loss) < LOSS * Math.abs(c.loss), `loss ${mean}, expected ${c.loss}`)
}

async function runSft(c: Case, isa: string): Promise<void> {
  const trainer = await open(c, 'f32', isa)
  await checkLoss(c, (await accumulate(trainer, tokenBatch(c.rows, c.sampleWeights ?? undefined))).mean)
  await checkGradients(trainer, c, '')
  await trainer.close()
}

async function runPrm(c: Case, isa: string): Promise<void> {
  const trainer = await open(c, 'f32', isa)
  const { mean, result } = await accumulate(trainer, await markerBatch(c, c.rows, false))
  await checkLoss(c, mean)
  await checkGradients(trainer, c, '')
  await trainer.clearGradients()
  const packed = await accumulate(trainer, await markerBatch(c, c.rows, true))
  await checkLoss(c, packed.mean)
  await checkGradients(trainer, c, '')
  const oneQuestion = new Set(c.rows.map((row: Case) => row.question)).size === 1
  if (oneQuestion) {
    assert.ok(packed.result.numRows < result.numRows, 'shared beginnings are computed once')
    assert.ok(Math.abs(packed.mean - mean) < 1e-6 * mean)
    await checkTreeEqualsPaths(trainer, c)
  }
  await trainer.close()
}

/** Issue bar: packed and separate agree to 1e-6 relative, where both are ours. */
async function checkTreeEqualsPaths(trainer: NativeTrainer, c: Case): Promise<void> {
  const names = [...readTensors(join(ROOT, c.tensors)).keys()]
  const packed = await gradients(trainer, names)
  await trainer.clearGradients()
  await accumulate(trainer, await markerBatch(c, c.rows, false))
  const apart = await gradients(trainer, names)
  const off = distance(names.map((_, i) => ({ actual: packed[i] as Float32Array, expected: apart[i] as Float32Array })))
  assert.ok(off < 1e-6, `packed and separate gradients differ by ${off}`)
}

async function runLora(c: Case, isa: string): Promise<void> {
  const options = { loraRank: c.rank, loraAlpha: c.alpha, loraTargets: c.targets, trainVision: false, trainProjector: false }
  const trainer = await open(c, 'f32', isa, options)
  for (const [name, { data }] of readTensors(join(ROOT, c.tensors))) {
    if (name.startsWith('adapter.')) await trainer.setTensor(name.slice('adapter.'.length), data as Float32Array)
  }
  await checkLoss(c, (await accumulate(trainer, tokenBatch(c.rows))).mean)
  await checkGradients(trainer, c, 'grad.')
  await trainer.close()
}

async function runTrajectory(c: Case, isa: string): Promise<void> {
  const names: string[] = c.groups.flatMap((g: Case) => g.names)
  const vision = names.some((name) => name.startsWith('vision'))
  const trainer = await open(c, 'f32', isa, { trainVision: vision })
  const initial = new Map<string, Float32Array>()
  for (const name of names) initial.set(name, await trainer.tensor(name, 'value'))
  const batches = await Promise.all(
    c.batches.map((rows: Case[]) => (c.task === 'prm' ? markerBatch(c, rows, false) : tokenBatch(rows))),
  )
  const decays = c.groups.map((g: Case) => g.weightDecay)
  for (let step = 0; step < c.steps; step++) {
    let loss = 0
    for (let a = 0; a < c.accumulate; a++) {
      const batch = batches[(step * c.accumulate + a) % batches.length]
      loss += (await accumulate(trainer, batch, 1 / c.accumulate)).mean / c.accumulate
    }
    const expected = c.losses[step]
    assert.ok(Math.abs(loss - expected) < TRAJECTORY_LOSS * expected, `step ${step}: loss ${loss}, expected ${expected}`)
    const learningRate = c.peakLearningRate * scheduleFactor(c.schedule, step, c.warmupSteps, c.steps)
    assert.ok(Math.abs(learningRate - c.learningRates[step]) < LEARNING_RATE)
    const norm = await trainer.step({
      learningRate,
      beta1: c.betas[0],
      beta2: c.betas[1],
      eps: c.eps,
      weightDecay: decays[0],
      decayVectors: decays.length === 1,
      maxNorm: c.clip,
    })
    assert.ok(Math.abs(norm - c.gradNorms[step]) < TRAJECTORY_LOSS * c.gradNorms[step], `step ${step}: norm ${norm}`)
  }
  const moved: { actual: Float32Array; expected: Float32Array }[] = []
  for (const [name, { data }] of readTensors(join(ROOT, c.tensors))) {
    const now = await trainer.tensor(name, 'value')
    const from = initial.get(name) as Float32Array
    moved.push({
      actual: now.map((w, i) => w - (from[i] as number)),
      expected: (data as Float32Array).map((w, i) => w - (from[i] as number)),
    })
  }
  const off = distance(moved)
  assert.ok(off < TRAJECTORY_WEIGHTS, `weights are off by ${off} of the distance they moved`)
  await trainer.close()
}

const RUNNERS: Record<string, (c: Case, isa: string) => Promise<void>> = {
  sft: runSft,
  prm: runPrm,
  lora: runLora,
  trajectory: runTrajectory,
}

const counts: Record<string, number> = {}
const test = suite('training')
for (const c of golden.cases) {
  for (const isa of native.probe().isas) {
    test(`${c.name} [${isa}]`, async () => {
      const run = RUNNERS[c.kind]
      assert.ok(run, `no runner for cases of kind "${c.kind}"`)
      await run?.(c, isa)
      counts[c.kind] = (counts[c.kind] ?? 0) + 1
    })
  }
}

for (const c of golden.cases.filter((x: Case) => x.kind === 'prm')) {
  test(`${c.name}: bf16 near fp32, the same bits for any number of threads, and with recomputation`, async () => {
    const batch = await markerBatch(c, c.rows, true)
    const names = [...readTensors(join(ROOT, c.tensors)).keys()]
    const run = async (compute: 'f32' | 'bf16', more: object) => {
      const trainer = await open(c, compute, '', more)
      const { mean } = await accumulate(trainer, batch)
      const result = { mean, gradients: await gradients(trainer, names) }
      await trainer.close()
      return result
    }
    const f32 = await run('f32', { threads: 2 })
    const one = await run('bf16', { threads: 1 })
    assert.ok(Math.abs(one.mean - f32.mean) < 0.05 * f32.mean, `bf16 loss ${one.mean}, fp32 ${f32.mean}`)
    for (const other of [await run('bf16', { threads: 3 }), await run('bf16', { threads: 2, recompute: true })]) {
      assert.is(other.mean, one.mean)
      other.gradients.forEach((g, i) => {
        assert.ok(Buffer.from(g.buffer).equals(Buffer.from((one.gradients[i] as Float32Array).buffer)), names[i])
      })
    }
    counts['threads'] = (counts['threads'] ?? 0) + 1
  })
}

test('schedules', () => {
  for (const s of golden.schedules) {
    assert.ok(SCHEDULES.includes(s.kind), `no schedule "${s.kind}"`)
    const off = relativeDistance(
      s.factors.map((_: number, i: number) => scheduleFactor(s.kind, i, s.warmupSteps, s.totalSteps)),
      s.factors,
    )
    assert.ok(off < LEARNING_RATE, `${s.kind} ${s.warmupSteps}/${s.totalSteps}: ${off}`)
    counts['schedule'] = (counts['schedule'] ?? 0) + 1
  }
})

test.after(() => {
  const ran = Object.entries(counts).map(([kind, n]) => `${n} ${kind}`)
  assert.ok(golden.cases.length > 0 && ran.length > 0, 'nothing ran')
  console.log(`training: ${ran.join(', ')}`)
})
test.run()
