/**
 * Training of Qwen2.5-VL and Qwen3-VL on samples with two pictures, with none and with one: losses, gradients and steps
 * beside autograd (qwen-vl/gradients.json, made by test/fresh/gradients.py), gradients of the towers by finite differences,
 * and what must not change a bit.
 */
import { basename, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadNative, type NativePicture, type NativeTrainBatch, type NativeTrainer } from '../../ts/engine/native.ts'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { checkGradients } from '../helpers/finite-differences.ts'
import { readJson } from '../helpers/golden.ts'

const native = loadNative()
const EXPECTED = readJson(join(import.meta.dirname, 'qwen-vl/gradients.json'))
const MODELS = [/Qwen2_5_VL/, /Qwen3VL/].map((architecture) => pickCheckpoint({ vision: true, architecture }))
const TASKS = ['tokens', 'markers', 'pairs'] as const
type Task = (typeof TASKS)[number]

/** As in gradients.py. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    yield state >>> 16
  }
}

function open(model: string, more: object = {}): Promise<NativeTrainer> {
  const all = { trainVision: true, trainProjector: true, trainLanguage: true, recompute: false, newTokens: new Int32Array() }
  const lora = { loraRank: 0, loraAlpha: 0, loraTargets: [], seed: 3n }
  return native.openTrainer({ model, compute: 'f32', isa: '', threads: 2, ...all, ...lora, ...more })
}

async function picture(model: string, index: number): Promise<NativePicture> {
  const { image_mean: mean, image_std: std, patch_size } = readJson(join(model, 'preprocessor_config.json'))
  const [height, width] = EXPECTED.grids[index].map((n: number) => n * patch_size)
  const source = numbers(1 + index)
  const rgb = Uint8Array.from({ length: 3 * width * height }, () => (source.next().value as number) % 256)
  return native.cutPicture(rgb, width, height, {
    factor: 2 * patch_size,
    minPixels: 1,
    maxPixels: 10 * width * height,
    mean,
    std,
  })
}

async function batch(model: string, task: Task, group = (i: number) => i): Promise<NativeTrainBatch> {
  const images = await Promise.all(EXPECTED.grids.map((_: unknown, i: number) => picture(model, i)))
  const shared = { images, imageToken: EXPECTED.imageToken }
  if (task === 'pairs') return { task, samples: answers(group), preference: EXPECTED.preference, ...shared }
  // biome-ignore lint/suspicious/noExplicitAny: the file is plain data
  const samples = EXPECTED.samples.map((s: any, i: number) => ({
    tokens: Int32Array.from(s.tokens),
    images: Int32Array.from(s.pictures),
    group: group(i),
    tokenWeights: Float32Array.from(s.tokenWeights),
    markers: Int32Array.from(s.markers),
    labels: Float32Array.from(s.labels),
    markerWeights: Float32Array.from(s.markerWeights),
  }))
  return { task, samples, pair: Int32Array.from(EXPECTED.pair), ...shared }
}

const UNMARKED = { markers: new Int32Array(), labels: new Float32Array(), markerWeights: new Float32Array() }

/** Two for each pair. */
function answers(group: (i: number) => number): NativeTrainBatch['samples'] {
  // biome-ignore lint/suspicious/noExplicitAny: the file is plain data
  return EXPECTED.pairs.flatMap(({ pictures, answers, reference }: any, i: number) =>
    // biome-ignore lint/suspicious/noExplicitAny: the file is plain data
    answers.map(({ tokens, tokenWeights }: any, k: number) => ({
      ...UNMARKED,
      tokens: Int32Array.from(tokens),
      tokenWeights: Float32Array.from(tokenWeights),
      images: Int32Array.from(pictures),
      group: group(i),
      reference: reference[k],
    })),
  )
}

const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values))
const near = (a: number, b: number, relative: number) => Math.abs(a - b) <= relative * Math.abs(b)

let bits: Uint8Array = new Uint8Array()
/** Norm, and the sums with four patterns of signs. */
function sketch(gradient: Float32Array): number[] {
  if (bits.length < gradient.length) {
    const source = numbers(7)
    bits = Uint8Array.from({ length: gradient.length }, () => (source.next().value as number) & 15)
  }
  const sums = [0, 1, 2, 3].map((b) => gradient.reduce((sum, v, i) => sum + (((bits[i] as number) >> b) & 1 ? v : -v), 0))
  return [Math.sqrt(gradient.reduce((sum, v) => sum + v * v, 0)), ...sums]
}

for (const model of MODELS) {
  for (const task of TASKS) {
    test(`${basename(model)}, ${task}: loss, gradients and three steps are autograd's`, async () => {
      const expected = EXPECTED.models[basename(model)][task]
      const trainer = await open(model)
      const data = await batch(model, task)
      const { loss } = await trainer.accumulate(data, 1)
      assert.ok(near(loss, expected.loss, 1e-5), `loss ${loss}, not ${expected.loss}`)
      assert.equal(trainer.tensorNames().sort(), Object.keys(expected.gradients).sort())
      const largest = Math.max(...(Object.values(expected.gradients) as number[][]).map(([n]) => n as number))
      for (const name of trainer.tensorNames()) {
        const theirs: number[] = expected.gradients[name]
        const size = theirs[0] as number
        const ours = sketch(await trainer.tensor(name, 'gradient'))
        const off = norm(ours.map((v, i) => v - (theirs[i] as number)))
        // Biases of keys cancel in the softmax: what is left of them is rounding.
        assert.ok(off < 1e-4 * size + 1e-7 * largest, `${name}: off by ${off / size} of its norm, ${size}`)
      }
      for (const [i, wanted] of expected.losses.entries()) {
        await trainer.step(EXPECTED.step)
        const now = await trainer.accumulate(data, 1)
        assert.ok(near(now.loss, wanted, 1e-4), `loss after step ${i + 1}: ${now.loss}, not ${wanted}`)
      }
      await trainer.close()
    })
  }

  test(`${basename(model)}: gradients of the tower by finite differences`, async () => {
    const trainer = await open(model, { isa: 'reference' })
    const [, , shown] = (await batch(model, 'tokens')).samples
    const data = { ...(await batch(model, 'tokens')), samples: [shown as NativeTrainBatch['samples'][number]] }
    // Half of the blocks (autograd has them all), and what stands before and behind them.
    await checkGradients(trainer, data, (name) => /visual/.test(name) && !/blocks\.[13]\./.test(name))
    await trainer.close()
  })
}
test.run()
