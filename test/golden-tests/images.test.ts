/** Every golden picture: decoding, grid, tiles, resize and normalisation against Pillow (golden/images/README.md). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadNative, type TileOptions } from '../../ts/engine/native.ts'
import { decodeImage } from '../../ts/images/index.ts'
import { GOLDEN_ROOT, needAreas, readJson, readTensors } from '../helpers/golden.ts'

await needAreas('images')

const ROOT = join(GOLDEN_ROOT, 'images')
const golden = readJson(join(ROOT, 'images.json'))
const tensors = readTensors(join(ROOT, 'images.safetensors'))
const native = loadNative()

// biome-ignore lint/suspicious/noExplicitAny: cases are plain data, see golden/images/README.md
type Case = any
interface Rgb {
  rgb: Uint8Array
  width: number
  height: number
}

const KNOWN = {
  'images.json': [
    'about',
    'reference',
    'resize',
    'normalization',
    'lossyTolerance',
    'cases',
    'rawCases',
    'resizeCases',
    'aspectRatios',
  ],
  case: [
    'name',
    'file',
    'bytes',
    'fileSha256',
    'format',
    'pilMode',
    'exactDecode',
    'content',
    'exifOrientation',
    'iccProfile',
    'frames',
    'note',
    'decoded',
    'tilings',
  ],
  decoded: ['width', 'height', 'channels', 'sha256', 'tensor'],
  tiling: [
    'imageSize',
    'minTiles',
    'maxTiles',
    'useThumbnail',
    'ratio',
    'tiles',
    'tileSha256',
    'normalizedSha256',
    'samples',
    'tilesTensor',
    'normalizedTensor',
  ],
  rawCase: ['name', 'width', 'height', 'tensor', 'sha256', 'tilings'],
  resizeCase: ['name', 'from', 'to', 'input', 'output', 'sha256'],
  aspectRatio: ['width', 'height', 'imageSize', 'minTiles', 'maxTiles', 'ratio', 'tie', 'note'],
}
const FORMATS = ['png', 'jpeg', 'webp', 'gif']

function checkKeys(kind: keyof typeof KNOWN, value: Case): void {
  const unknown = Object.keys(value).filter((key) => !KNOWN[kind].includes(key))
  assert.equal(unknown, [], `${kind}: the test does not know these keys`)
}

const sha256 = (bytes: Uint8Array | Float32Array) => createHash('sha256').update(bytes).digest('hex')

function bytesOf(name: string): Uint8Array {
  const data = tensors.get(name)?.data
  assert.instance(data, Uint8Array, `tensor ${name}`)
  return data as Uint8Array
}

/** Holds a lossy picture, or tiles of it, to the decoders' tolerance. */
function compareLossy(actual: Uint8Array, expected: Uint8Array, where: string): void {
  assert.is(actual.length, expected.length, where)
  let [largest, sum] = [0, 0]
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number))
    largest = Math.max(largest, difference)
    sum += difference
  }
  const { maxAbsDiff, meanAbsDiff } = golden.lossyTolerance
  assert.ok(
    largest <= maxAbsDiff && sum / expected.length <= meanAbsDiff,
    `${where}: off by ${largest}, ${sum / expected.length} on average`,
  )
}

/** Normalised planes [3, S, S] back to the pixels [S, S, 3] they were made from. */
function pixelsOf(planes: Float32Array): Uint8Array {
  const { mean, std } = golden.normalization
  const area = planes.length / 3
  const pixels = new Uint8Array(planes.length)
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < area; i++) pixels[3 * i + c] = Math.round(((planes[c * area + i] as number) * std[c] + mean[c]) * 255)
  }
  return pixels
}

function optionsOf(golden_: Case): TileOptions {
  const { mean, std } = golden.normalization
  return { useThumbnail: false, ...golden_, mean, std }
}

async function checkTiling(image: Rgb, tiling: Case, exact: boolean, where: string): Promise<void> {
  checkKeys('tiling', tiling)
  const options = optionsOf(tiling)
  assert.equal(native.tileGrid(image.width, image.height, options), tiling.ratio, where)
  const picture = await native.cutPicture(image.rgb, image.width, image.height, options)
  const [pixels, numTiles] = [picture.normalised(), picture.numTiles]
  assert.is(numTiles, tiling.tiles, where)
  const planes = 3 * tiling.imageSize ** 2
  assert.is(pixels.length, numTiles * planes, where)
  const tiles = Array.from({ length: numTiles }, (_, t) => pixelsOf(pixels.subarray(t * planes, (t + 1) * planes)))
  if (!exact) {
    assert.ok(tiling.tilesTensor, `${where}: other pixels than the reference's, and no tiles stored to compare with`)
    return compareLossy(Buffer.concat(tiles), bytesOf(tiling.tilesTensor), where)
  }
  assert.equal(tiles.map(sha256), tiling.tileSha256, where)
  assert.is(sha256(pixels), tiling.normalizedSha256, where)
  for (const [tile, c, y, x, value] of tiling.samples) {
    const at = tile * planes + (c * tiling.imageSize + y) * tiling.imageSize + x
    assert.ok(Math.abs((pixels[at] as number) - value) <= 1e-6, `${where}: sample ${tile},${c},${y},${x}`)
  }
  if (tiling.tilesTensor) assert.is(sha256(Buffer.concat(tiles)), sha256(bytesOf(tiling.tilesTensor)), where)
  if (tiling.normalizedTensor) {
    const expected = tensors.get(tiling.normalizedTensor)?.data as Float32Array
    assert.ok(
      pixels.every((value, i) => Math.abs(value - (expected[i] as number)) <= 1e-6),
      `${where}: normalised tensor`,
    )
  }
}

/** The decoded picture if it equals the reference's, else the reference's own where it is stored. */
function checkDecoded(image: Rgb, c: Case): { image: Rgb; exact: boolean } {
  const { width, height, channels, sha256: expected, tensor } = c.decoded
  assert.equal([image.width, image.height, image.rgb.length], [width, height, width * height * channels])
  if (sha256(image.rgb) === expected) return { image, exact: true }
  assert.not(c.exactDecode, `decoded to other bytes than ${expected}`)
  if (!tensor) return { image, exact: false }
  compareLossy(image.rgb, bytesOf(tensor), c.name)
  return { image: { ...image, rgb: bytesOf(tensor) }, exact: true }
}

let ran = 0
checkKeys('images.json', golden)

for (const c of golden.cases) {
  test(`images: ${c.name}`, async () => {
    checkKeys('case', c)
    checkKeys('decoded', c.decoded)
    assert.ok(FORMATS.includes(c.format), `unknown format ${c.format}`)
    const path = join(ROOT, c.file)
    assert.is(sha256(readFileSync(path)), c.fileSha256)
    const { image, exact } = checkDecoded(await decodeImage(path), c)
    for (const [i, tiling] of c.tilings.entries()) await checkTiling(image, tiling, exact, `${c.name}, tiling ${i}`)
    ran++
  })
}

for (const c of golden.rawCases) {
  test(`images: ${c.name}`, async () => {
    checkKeys('rawCase', c)
    const image = { rgb: bytesOf(c.tensor), width: c.width, height: c.height }
    assert.is(sha256(image.rgb), c.sha256)
    for (const [i, tiling] of c.tilings.entries()) await checkTiling(image, tiling, true, `${c.name}, tiling ${i}`)
    ran++
  })
}

for (const c of golden.resizeCases) {
  test(`images: ${c.name}`, async () => {
    checkKeys('resizeCase', c)
    const resized = await native.resizeImage(bytesOf(c.input), c.from[0], c.from[1], c.to[0], c.to[1])
    assert.is(sha256(resized), c.sha256)
    assert.is(sha256(bytesOf(c.output)), c.sha256)
    ran++
  })
}

test('images: aspect ratios', () => {
  for (const c of golden.aspectRatios) {
    checkKeys('aspectRatio', c)
    assert.equal(native.tileGrid(c.width, c.height, optionsOf(c)), c.ratio, JSON.stringify(c))
    ran++
  }
})

test('images: all 256 normalised values of each channel', async () => {
  const table = tensors.get(golden.normalization.tableTensor)?.data as Float32Array
  const side = 16
  const rgb = Uint8Array.from({ length: 3 * side * side }, (_, i) => Math.floor(i / 3))
  const options = optionsOf({ imageSize: side, minTiles: 1, maxTiles: 1 })
  const pixels = (await native.cutPicture(rgb, side, side, options)).normalised()
  assert.equal(Buffer.from(pixels.buffer), Buffer.from(table.buffer, table.byteOffset, table.byteLength))
  ran++
})

test('images: some cases ran', () => {
  console.log(`golden/images: ${ran} cases ran`)
  assert.ok(ran > 0)
})

test.run()
