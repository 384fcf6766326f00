/**
 * Tiles of another size than the vision tower's own: its positions are interpolated, so that a model gives what one gives
 * whose table was interpolated beforehand. In scoring, generation and training, in both InternVL layouts.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative, type NativeTrainBatch } from '../../ts/engine/native.ts'
import { copyCheckpoint, editJson, editTensor, pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'
import { relativeDistance } from '../helpers/golden.ts'
import { randomPicture } from '../helpers/training.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-image-size-'))
test.after(() => rmSync(scratch, { recursive: true }))

interface Layout {
  from: string
  positions: RegExp
  tower: (folder: string, size: number) => void
  tiles: (folder: string, size: number) => void
}

const CHAT: Layout = {
  from: pickCheckpoint({ sharded: false, vision: true, architecture: /InternVLChatModel/ }),
  positions: /embeddings\.position_embedding$/,
  tower: (folder, size) =>
    editJson(folder, 'config.json', (json) => {
      delete json.force_image_size
      json.vision_config.image_size = size
    }),
  tiles: (folder, size) => editJson(folder, 'config.json', (json) => void (json.force_image_size = size)),
}
const NATIVE: Layout = {
  from: pickCheckpoint({ sharded: false, vision: true, architecture: /ForConditionalGeneration/ }),
  positions: /embeddings\.position_embeddings$/,
  tower: (folder, size) => {
    editJson(folder, 'config.json', (json) => void (json.vision_config.image_size = [size, size]))
    NATIVE.tiles(folder, size)
  },
  tiles: (folder, size) =>
    editJson(folder, 'preprocessor_config.json', (json) => void (json.size = { height: size, width: size })),
}

/** Row i: the weights of `from` places at the i-th of `to`, as a dense matrix. */
function cubicWeights(from: number, to: number): number[][] {
  const kernel = (distance: number) => {
    const x = Math.abs(distance)
    if (x <= 1) return 1.25 * x ** 3 - 2.25 * x ** 2 + 1
    return x < 2 ? -0.75 * (x ** 3 - 5 * x ** 2 + 8 * x - 4) : 0
  }
  return Array.from({ length: to }, (_, i) => {
    const row = new Array(from).fill(0)
    const centre = ((i + 0.5) * from) / to - 0.5
    for (let k = Math.floor(centre) - 1; k <= Math.floor(centre) + 2; k++) {
      row[Math.min(Math.max(k, 0), from - 1)] += kernel(centre - k)
    }
    return row
  })
}

function interpolated(table: Float32Array, width: number, to: number): Float32Array {
  const from = Math.sqrt(table.length / width - 1)
  const weights = cubicWeights(from, to)
  const out = new Float32Array((1 + to * to) * width)
  out.set(table.subarray(0, width))
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) {
      for (let c = 0; c < width; c++) {
        let sum = 0
        for (let j = 0; j < from; j++) {
          for (let k = 0; k < from; k++) {
            const w = (weights[y]?.[j] as number) * (weights[x]?.[k] as number)
            sum += w * (table[(1 + j * from + k) * width + c] as number)
          }
        }
        out[(1 + y * to + x) * width + c] = sum
      }
    }
  }
  return out
}

/** Two folders for tiles of `size` pixels: one with the table as it is, one with a table made for them. */
function twoFolders(layout: Layout, size: number): [string, string] {
  const [plain, prepared] = ['plain', 'prepared'].map((name) => join(scratch, `${basename(layout.from)}-${size}-${name}`))
  for (const folder of [plain, prepared] as string[]) copyCheckpoint(layout.from, folder)
  layout.tiles(plain as string, size)
  layout.tower(prepared as string, size)
  editTensor(prepared as string, layout.positions, (values, shape) => {
    const width = shape.at(-1) as number
    const side = size / 14
    return { values: interpolated(values, width, side), shape: [1, 1 + side * side, width] }
  })
  return [plain as string, prepared as string]
}

/** What a model of 14 pixels a patch makes of a picture: rows, scores or logits, and a text. */
async function outputs(model: string, image: string) {
  await using engine = await Engine.open({ model, weights: 'f32' })
  const seen = await engine.embedImage({ image, maxTiles: 2 })
  const [written] = await engine.generate({ question: 'How many?', image, maxTokens: 12, sampling: { temperature: 0 } })
  const { logits } = await engine.scoreSteps({ question: 'How many?', image, steps: ['a', 'b'], returnLogits: true })
  return { numTiles: seen.numTiles, rows: seen.embeds, text: written?.text, logits: logits.flat() }
}

async function lossOf(model: string): Promise<number> {
  const options = { trainVision: true, trainProjector: true, trainLanguage: true, recompute: false, newTokens: new Int32Array() }
  const lora = { loraRank: 0, loraAlpha: 0, loraTargets: [], seed: 3n }
  const trainer = await loadNative().openTrainer({ model, compute: 'f32', isa: '', threads: 2, ...options, ...lora })
  const { tokensPerTile, imageSize } = trainer.info()
  const tokens = Int32Array.from([...Array.from({ length: tokensPerTile }, () => 5), 11, 12, 13, 14])
  const sample = {
    tokens,
    images: Int32Array.of(0),
    group: 0,
    tokenWeights: Float32Array.from(tokens, (_, i) => (i > tokensPerTile ? 1 : 0)),
    markers: new Int32Array(),
    labels: new Float32Array(),
    markerWeights: new Float32Array(),
  }
  const batch = { task: 'tokens', samples: [sample], images: [await randomPicture(imageSize, 'one tile')], imageToken: 5 }
  const { loss } = await trainer.evaluate(batch as unknown as NativeTrainBatch)
  await trainer.close()
  return loss
}

for (const layout of [CHAT, NATIVE]) {
  for (const size of [28, 84]) {
    test(`${basename(layout.from)}: tiles of ${size} pixels`, async () => {
      const [plain, prepared] = twoFolders(layout, size)
      const [image = ''] = picturesOf(layout.from)
      const [actual, expected] = [await outputs(plain, image), await outputs(prepared, image)]
      assert.is(actual.numTiles, expected.numTiles)
      assert.is((actual.rows.length / actual.numTiles) % (size / 28) ** 2, 0)
      assert.ok(relativeDistance(actual.rows, expected.rows) < 1e-5)
      assert.is(actual.text, expected.text)
      assert.ok(relativeDistance(actual.logits as number[], expected.logits as number[]) < 1e-5)
      const [loss, same] = [await lossOf(plain), await lossOf(prepared)]
      assert.ok(Math.abs(loss - same) < 1e-5 * same, `${loss} and ${same}`)
    })
  }

  test(`${basename(layout.from)}: a size that the pixel shuffle does not divide is refused by name`, async () => {
    const folder = join(scratch, `${basename(layout.from)}-odd`)
    copyCheckpoint(layout.from, folder)
    layout.tiles(folder, 42)
    const error = await Engine.open({ model: folder }).catch((e: Error) => e)
    assert.match((error as Error).message, /config\.json: "downsample_ratio" does not fit 3 patches a side \(image size 42/)
  })
}

const SIZES: [string, unknown, RegExp][] = [
  ['one edge', { shortest_edge: 56 }, /preprocessor_config\.json: "size" must be \{ height, width \}/],
  ['no square', { height: 56, width: 84 }, /preprocessor_config\.json: "size" is not square/],
  ['no number', { height: '56', width: 56 }, /preprocessor_config\.json: "size\.height" must be/],
]
for (const [name, size, says] of SIZES) {
  test(`a size of ${name} is refused by name`, async () => {
    const folder = join(scratch, name)
    copyCheckpoint(NATIVE.from, folder)
    editJson(folder, 'preprocessor_config.json', (json) => void (json.size = size))
    const error = await Engine.open({ model: folder }).catch((e: Error) => e)
    assert.match((error as Error).message, says)
  })
}

test.run()
