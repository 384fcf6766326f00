/**
 * Whole models by finite differences on the reference kernels in fp32: every tensor there is, for both losses, with a
 * picture and packed paths. Covers what the native tests of single ops cannot: embedding, patches, positions, pixel
 * shuffle, projector, shared heads, the final norm, Yes and No at markers. And: packed paths equal separate ones.
 */
import { basename, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../ts/contracts/random.ts'
import { loadNative, type NativeTrainBatch, type NativeTrainer } from '../../ts/engine/native.ts'
import { copyCheckpoint, editJson, pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { checkGradients } from '../helpers/finite-differences.ts'
import { relativeDistance } from '../helpers/golden.ts'
import { READING, randomPicture, SEEING, workFolder } from '../helpers/training.ts'
import { variantFolder, variantOf } from '../helpers/variants.ts'

const native = loadNative()

/** Tiles of 2 by 2 patches for a tower of 4 by 4: the gradient of its positions goes through their interpolation. */
function otherTiles(): string {
  const folder = join(workFolder(), 'other-tiles')
  copyCheckpoint(SEEING, folder)
  editJson(folder, 'config.json', (json) => {
    json.force_image_size = 0.5 * json.vision_config.image_size
  })
  return folder
}

/** Two of its three layers see four tokens. */
const SLIDING = variantFolder(variantOf('slide-qwen3-types'), { sliding_window: 4 })
const MODELS = [
  SEEING,
  otherTiles(),
  pickCheckpoint({ architecture: /ForConditionalGeneration/ }),
  pickCheckpoint({ vision: true, file: 'tokenizer.model' }),
  READING,
  SLIDING,
]
const IMAGE_TOKEN = 5
const NONE = {
  tokenWeights: new Float32Array(),
  markers: new Int32Array(),
  labels: new Float32Array(),
  markerWeights: new Float32Array(),
}

function open(model: string, isa: string, more: object = {}): Promise<NativeTrainer> {
  const all = { trainVision: true, trainProjector: true, trainLanguage: true, recompute: false, newTokens: new Int32Array() }
  const lora = { loraRank: 0, loraAlpha: 0, loraTargets: [], seed: 3n }
  return native.openTrainer({
    model,
    compute: 'f32',
    isa,
    threads: 2,
    ...all,
    ...lora,
    ...more,
  })
}

/** Three paths that share their picture and 6 tokens, two of them 3 more; `packed`: as one tree. */
async function batch(task: 'tokens' | 'markers', trainer: NativeTrainer, packed = true): Promise<NativeTrainBatch> {
  const { tokensPerTile, imageSize } = trainer.info()
  const random = seededRandom('batch')
  const ids = (n: number) => Array.from({ length: n }, () => 10 + Math.floor(random() * 500))
  const [shared, more] = [ids(6), ids(3)]
  const tails = [[...more, ...ids(5)], [...more, ...ids(4)], ids(6)]
  const picture = Array.from({ length: tokensPerTile }, () => IMAGE_TOKEN)
  const samples = tails.map((tail, i) => {
    const tokens = Int32Array.from([...picture, ...shared, ...tail])
    const common = { ...NONE, tokens, images: tokensPerTile > 0 ? Int32Array.of(0) : new Int32Array(), group: packed ? 0 : i }
    if (task === 'tokens') {
      const from = tokensPerTile + 3
      return { ...common, tokenWeights: Float32Array.from(tokens, (_, t) => (t < from ? 0 : ([1, 0.5, 2][t % 3] as number))) }
    }
    const markers = Int32Array.of(tokensPerTile + 5, tokensPerTile + 8, tokens.length - 1)
    return {
      ...common,
      markers,
      labels: Float32Array.of(0.75, 1 - i / 4, i === 1 ? 1 : 0),
      markerWeights: Float32Array.of(1, 0.5, 2),
    }
  })
  const images = tokensPerTile > 0 ? [await randomPicture(imageSize, 'picture')] : []
  return { task, samples, images, imageToken: IMAGE_TOKEN, pair: Int32Array.of(100, 200) }
}

const WITH_MARKERS = [SEEING, READING]

for (const model of MODELS) {
  for (const task of ['tokens', 'markers'] as const) {
    if (task === 'markers' && !WITH_MARKERS.includes(model)) continue // the losses differ, the models do not
    test(`${basename(model)}, ${task}: the gradient of every tensor`, async () => {
      const trainer = await open(model, 'reference')
      const data = await batch(task, trainer)
      await checkGradients(trainer, data)
      await trainer.close()
    })
  }
}

/** Fp32 sums of another order differ by as much as each is off; the reference kernels add in double. */
const packingLimit = (isa: string) => (isa === 'reference' ? 1e-6 : 2e-6)

test('packed paths of one question equal separate ones in loss and gradients, on every instruction set', async () => {
  for (const isa of native.probe().isas) {
    for (const model of MODELS) {
      for (const task of ['tokens', 'markers'] as const) {
        const trainer = await open(model, isa)
        const run = async (packed: boolean) => {
          await trainer.clearGradients()
          const result = await trainer.accumulate(await batch(task, trainer, packed), 1)
          const all: number[] = []
          for (const name of trainer.tensorNames()) for (const g of await trainer.tensor(name, 'gradient')) all.push(g)
          return { result, all }
        }
        const [apart, tree] = [await run(false), await run(true)]
        assert.ok(tree.result.numRows < apart.result.numRows, 'shared beginnings are computed once')
        assert.is(tree.result.numTokens, apart.result.numTokens)
        assert.ok(Math.abs(tree.result.loss - apart.result.loss) < 1e-6 * apart.result.loss, `${model} ${task} ${isa}: loss`)
        assert.ok(Math.abs(tree.result.weight - apart.result.weight) < 1e-6)
        const off = relativeDistance(tree.all, apart.all)
        assert.ok(off < packingLimit(isa), `${model} ${task} ${isa}: gradients differ by ${off}`)
        await trainer.close()
      }
    }
  }
})

test('recomputed activations: the same bits in loss and gradients, on every instruction set', async () => {
  for (const isa of native.probe().isas) {
    for (const compute of ['f32', 'bf16']) {
      const results: Buffer[] = []
      for (const recompute of [false, true]) {
        const trainer = await open(SEEING, isa, { recompute, compute, threads: recompute ? 1 : 2 })
        const { loss } = await trainer.accumulate(await batch('tokens', trainer), 0.5)
        const bytes: Uint8Array[] = [Buffer.from(Float64Array.of(loss).buffer)]
        for (const name of trainer.tensorNames()) bytes.push(Buffer.from((await trainer.tensor(name, 'gradient')).buffer))
        results.push(Buffer.concat(bytes))
        await trainer.close()
      }
      assert.ok(results[0]?.equals(results[1] as Buffer), `${isa} ${compute}`)
    }
  }
})
test.run()
