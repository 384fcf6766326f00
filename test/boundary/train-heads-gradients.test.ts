/**
 * Reward heads and losses over siblings: losses, gradients and steps beside autograd (heads/gradients.json, made by
 * test/fresh/head_gradients.py), gradients by finite differences, and what packing and threads must not change.
 */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadNative, type NativeHead, type NativeTrainBatch, type NativeTrainer } from '../../ts/engine/native.ts'
import { checkGradients } from '../helpers/finite-differences.ts'
import { readJson, relativeDistance } from '../helpers/golden.ts'
import { READING } from '../helpers/training.ts'
import { variantFolder, variantOf } from '../helpers/variants.ts'

const native = loadNative()
const EXPECTED = readJson(join(import.meta.dirname, 'heads/gradients.json'))
const MODELS = join(import.meta.dirname, '../golden/models')
// biome-ignore lint/suspicious/noExplicitAny: cases are plain data
type Case = any
const CASES: [string, Case][] = Object.entries(EXPECTED.cases)

const STORED: NativeHead = { kind: '', name: '', outputs: 0, width: 0, keepsVocabulary: false }
const folderOf = ({ base, variant }: Case): string => (variant ? variantFolder(variantOf(variant)) : join(MODELS, base))

function open(model: string, more: object = {}): Promise<NativeTrainer> {
  const parts = { trainVision: false, trainProjector: false, trainLanguage: true, recompute: false, newTokens: new Int32Array() }
  const lora = { loraRank: 0, loraAlpha: 0, loraTargets: [], seed: 3n }
  return native.openTrainer({ model, compute: 'f32', isa: '', threads: 2, ...parts, ...lora, head: STORED, ...more })
}

/** `packed`: siblings as one tree. */
function batch(c: Case, packed = false): NativeTrainBatch {
  const samples = EXPECTED.samples.map((s: Case, i: number) => ({
    tokens: Int32Array.from(s.tokens),
    images: new Int32Array(),
    group: packed ? s.group : i,
    tokenWeights: new Float32Array(),
    markers: Int32Array.from(s.markers),
    labels: Float32Array.from(s.labels),
    markerWeights: Float32Array.from(s.markerWeights),
    siblings: s.siblings,
  }))
  const pair = Int32Array.from(EXPECTED.pair)
  return { task: 'markers', samples, images: [], imageToken: -1, pair, ...(c.loss === 'rank' && { rank: EXPECTED.rank }) }
}

const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values))
const near = (a: number, b: number, relative: number) => Math.abs(a - b) <= relative * Math.abs(b)

/** As in head_gradients.py. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    yield state >>> 16
  }
}
const source = numbers(7)
const BITS = Uint8Array.from({ length: 700 * 64 }, () => (source.next().value as number) & 15)

/** Norm, and the sums with four patterns of signs. */
function sketch(gradient: Float32Array): number[] {
  const sums = [0, 1, 2, 3].map((b) => gradient.reduce((sum, v, i) => sum + (((BITS[i] as number) >> b) & 1 ? v : -v), 0))
  return [Math.sqrt(gradient.reduce((sum, v) => sum + v * v, 0)), ...sums]
}

/** Of what is trained, by name. */
async function gradientsOf(trainer: NativeTrainer): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>()
  for (const name of trainer.tensorNames()) {
    const gradient = await trainer.tensor(name, 'gradient')
    if (gradient.length > 0) found.set(name, gradient)
  }
  return found
}

for (const [name, c] of CASES) {
  test(`${name}: loss, gradients and three steps are autograd's`, async () => {
    const trainer = await open(folderOf(c))
    const data = batch(c)
    const { loss } = await trainer.accumulate(data, 1)
    assert.ok(near(loss, c.value, 1e-5), `loss ${loss}, not ${c.value}`)
    const gradients = await gradientsOf(trainer)
    // The vocabulary of a model whose pieces are not read learns nothing.
    assert.equal([...gradients.keys()].sort(), Object.keys(c.gradients).sort())
    const largest = Math.max(...(Object.values(c.gradients) as number[][]).map(([n]) => n as number))
    for (const [tensor, gradient] of gradients) {
      const theirs: number[] = c.gradients[tensor]
      const size = theirs[0] as number
      const off = norm(sketch(gradient).map((v, i) => v - (theirs[i] as number)))
      // Biases of keys cancel in the softmax: what is left of them is rounding.
      assert.ok(off < 1e-4 * size + 1e-7 * largest, `${tensor}: off by ${off / size} of its norm, ${size}`)
    }
    for (const [i, wanted] of c.losses.entries()) {
      await trainer.step({ ...EXPECTED.step, anchor: c.kind === 'ensemble' ? EXPECTED.anchor : 0 })
      const now = await trainer.accumulate(data, 1)
      assert.ok(near(now.loss, wanted, 1e-4), `loss after step ${i + 1}: ${now.loss}, not ${wanted}`)
    }
    await trainer.close()
  })

  test(`${name}: gradients by finite differences`, async () => {
    const trainer = await open(folderOf(c), { isa: 'reference' })
    // Before a ReLU a difference may go across its bend: there the native tests keep away from it, and autograd has all.
    const smooth = /^(two-layer|ensemble)$/.test(c.kind)
      ? /^score\.(2|model\.nn_out)/
      : /^(score|v_head|model\.norm)|layers\.2\.mlp/
    await checkGradients(trainer, batch(c, true), (tensor) => tensor.endsWith('.weight') && smooth.test(tensor))
    await trainer.close()
  })
}

test('packed siblings equal separate ones; 1 and 2 threads give the same bits', async () => {
  for (const [name, c] of CASES) {
    const run = async (packed: boolean, threads: number) => {
      const trainer = await open(folderOf(c), { threads })
      const result = await trainer.accumulate(batch(c, packed), 0.5)
      const gradients = [...(await gradientsOf(trainer)).values()]
      await trainer.close()
      return { ...result, all: gradients.flatMap((g) => [...g]), predictions: result.predictions.map((p) => [...p]) }
    }
    const [apart, tree, one] = [await run(false, 2), await run(true, 2), await run(true, 1)]
    assert.ok(tree.numRows < apart.numRows, name)
    assert.ok(near(tree.loss, apart.loss, 1e-6), `${name}: loss ${tree.loss}, apart ${apart.loss}`)
    assert.ok(relativeDistance(tree.all, apart.all) < 2e-6, `${name}: gradients`)
    assert.equal(one, tree, `${name}: threads`)
  }
})

test('the pull to the anchor is the gradient of the mean square distance', async () => {
  const c = EXPECTED.cases['ensemble, bce']
  const trainer = await open(folderOf(c))
  const names = trainer.tensorNames().filter((name) => name.startsWith('score.model.'))
  const gaps = new Map<string, number[]>()
  for (const name of names) {
    const [now, start] = await Promise.all([name, name.replace('.model.', '.reg_model.')].map((n) => trainer.tensor(n, 'value')))
    gaps.set(
      name,
      Array.from(now as Float32Array, (v, i) => v - (start?.[i] as number)),
    )
  }
  const count = [...gaps.values()].reduce((sum, gap) => sum + gap.length, 0)
  assert.ok([...gaps.values()].some((gap) => norm(gap) > 0.1))
  await trainer.step({ ...EXPECTED.step, maxNorm: 0, anchor: 0.75 })
  for (const name of names) {
    const m = await trainer.tensor(name, 'm')
    const wanted = (gaps.get(name) as number[]).map((gap) => (1 - EXPECTED.step.beta1) * ((2 * 0.75) / count) * gap)
    assert.ok(relativeDistance([...m], wanted) < 1e-6, name)
  }
  await trainer.close()
})

const NEW: [NativeHead['kind'], Partial<NativeHead>, Record<string, number>][] = [
  ['linear', { name: 'score', outputs: 2 }, { 'score.weight': 2 * 64, 'score.bias': 2 }],
  ['two-layer', { outputs: 2 }, { 'score.0.weight': 64 * 64, 'score.0.bias': 64, 'score.2.weight': 2 * 64, 'score.2.bias': 2 }],
  ['ensemble', { outputs: 3, width: 5 }, { 'score.model.nn1.weight': 3 * 64 * 5, 'score.model.nn_out.bias': 3 }],
]

test('a new head: its tensors, by the seed alone, within ±1/sqrt(in); an ensemble begins at its anchor', async () => {
  for (const [kind, more, sizes] of NEW) {
    const valuesOf = async (seed: bigint) => {
      const trainer = await open(READING, { head: { ...STORED, kind, ...more }, seed })
      const values = new Map<string, number[]>()
      for (const name of trainer.tensorNames())
        if (name.startsWith('score')) values.set(name, [...(await trainer.tensor(name, 'value'))])
      await trainer.close()
      return values
    }
    const [first, again, other] = [await valuesOf(3n), await valuesOf(3n), await valuesOf(4n)]
    assert.equal(first, again)
    for (const [name, size] of Object.entries(sizes)) {
      const values = first.get(name) ?? []
      assert.is(values.length, size, name)
      assert.not.equal(values, other.get(name), name)
      const bound = name.includes('nn_out') ? 1 / Math.sqrt(5) : 1 / 8
      assert.ok(Math.max(...values.map(Math.abs)) <= bound, name)
      assert.ok(size < 60 || Math.max(...values.map(Math.abs)) > 0.9 * bound, name)
    }
    if (kind === 'ensemble')
      assert.equal(first.get('score.reg_model.nn2.weight'), first.get('score.model.nn2.weight'), 'held to how it begins')
    const flat = [...first.values()].flat()
    assert.ok(new Set(flat).size > (kind === 'ensemble' ? 0.45 : 0.99) * flat.length, 'no number comes twice')
  }
})

const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'was taken',
    (e: unknown) => (e as Error).message,
  )

test('batches and heads that do not fit are refused', async () => {
  const c = EXPECTED.cases['value, bce']
  const trainer = await open(folderOf(c))
  const tokens = { ...batch(c), task: 'tokens' } as NativeTrainBatch
  assert.match(await refusal(trainer.accumulate(tokens, 1)), /a reward head in the vocabulary's place: it learns scores of steps/)
  assert.match(await refusal(trainer.step({ ...EXPECTED.step, anchor: 1 })), /only the heads of an ensemble are held/)
  const rank = { weight: Number.NaN, margin: 0 }
  assert.match(await refusal(trainer.accumulate({ ...batch(c), rank }, 1)), /rank loss must be finite and not negative/)
  await trainer.close()
  const wanted = { ...STORED, kind: 'linear', name: 'score', outputs: 1 }
  assert.match(await refusal(open(folderOf(c), { head: wanted })), /has a reward head, which is trained on/)
  assert.match(await refusal(open(READING, { head: { ...wanted, outputs: 0 } })), /at least one output/)
  assert.match(await refusal(open(READING, { head: { ...wanted, outputs: 3 } })), /a head of 3 classes cannot be trained/)
  assert.match(await refusal(open(READING, { head: { ...wanted, kind: 'tower' } })), /no kind of head is called tower/)
})
test.run()
