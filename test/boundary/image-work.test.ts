/** Image work in the addon: off the event loop, safe when its environment goes away, and strict about arguments. */
import { Worker } from 'node:worker_threads'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative, nativePath, type TileOptions } from '../../ts/engine/native.ts'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'

const native = loadNative()
const OPTIONS: TileOptions = {
  imageSize: 448,
  minTiles: 1,
  maxTiles: 12,
  useThumbnail: true,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
}
const [WIDTH, HEIGHT] = [2000, 1500]
const large = () => new Uint8Array(WIDTH * HEIGHT * 3).fill(100)

test('the event loop goes on while pixels are worked on', async () => {
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const began = performance.now()
  await Promise.all([1, 2, 3].map(() => native.cutPicture(large(), WIDTH, HEIGHT, OPTIONS)))
  const elapsed = performance.now() - began
  clearInterval(timer)
  assert.ok(turns >= 5, `${turns} turns of the event loop in ${elapsed} ms`)
})

test('the same call gives the same bits however many run at once', async () => {
  const picture = Uint8Array.from({ length: 301 * 207 * 3 }, (_, i) => (Math.imul(i, 2654435761) >>> 20) & 255)
  const alone = await native.cutPicture(picture, 301, 207, OPTIONS)
  const together = await Promise.all(Array.from({ length: 8 }, () => native.cutPicture(picture, 301, 207, OPTIONS)))
  for (const result of together) {
    assert.is(result.numTiles, alone.numTiles)
    assert.is(Buffer.compare(Buffer.from(result.normalised().buffer), Buffer.from(alone.normalised().buffer)), 0)
  }
})

test('a worker may end while its pixels are worked on', async () => {
  const script = `
    const { parentPort, workerData } = require('node:worker_threads')
    const native = require(workerData.addon)
    const pixels = new Uint8Array(workerData.width * workerData.height * 3)
    for (let i = 0; i < 4; i++) native.cutPicture(pixels, workerData.width, workerData.height, workerData.options)
    parentPort.postMessage('busy')`
  for (let round = 0; round < 2; round++) {
    const worker = new Worker(script, {
      eval: true,
      workerData: { addon: nativePath(), width: WIDTH, height: HEIGHT, options: OPTIONS },
    })
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    await worker.terminate()
  }
})

test('arguments that do not fit are refused', async () => {
  const pixel = Uint8Array.of(1, 2, 3)
  const bad: [() => unknown, RegExp][] = [
    [() => native.cutPicture(pixel, 2, 1, OPTIONS), /3 bytes; 2 x 1 pixels need 6/],
    [() => native.cutPicture(pixel, 2 ** 31 - 1, 2 ** 31 - 1, OPTIONS), /need/],
    [() => native.cutPicture(pixel, 0, 0, OPTIONS), /at least 1/],
    [() => native.cutPicture(pixel, -1, -1, OPTIONS), /at least 1/],
    [() => native.cutPicture('rgb' as never, 1, 1, OPTIONS), /rgb must be a Uint8Array/],
    [() => native.cutPicture(new Float32Array(3) as never, 1, 1, OPTIONS), /Uint8Array/],
    [() => native.cutPicture(pixel, 1, 1, { ...OPTIONS, mean: [1] }), /mean must hold 3 numbers/],
    [() => native.cutPicture(pixel, 1, 1, undefined as never), /options/],
    [() => native.cutPicture(pixel, 1, 1, { ...OPTIONS, minTiles: 13 }), /13 and 12/],
    [() => native.tileGrid(1, 1, { ...OPTIONS, imageSize: 0 }), /imageSize/],
    [() => native.resizeImage(pixel, 1, 1, 0, 5), /at least 1/],
    [() => native.inspectModel(7 as never), /model must be the path/],
  ]
  for (const [call, message] of bad) {
    try {
      await call()
    } catch (error) {
      assert.instance(error, EngineError)
      assert.is((error as EngineError).code, 'ERR_ENGINE_INVALID_ARGUMENT')
      assert.match((error as EngineError).message, message)
      continue
    }
    assert.unreachable(`no error like ${message}`)
  }
})

test('a request names pictures, of the tiles that the model reads', async () => {
  const model = pickCheckpoint({ sharded: false, vision: true })
  const options = { weights: 'f32' as const, threads: 1, isa: '', device: 'cpu', deviceLibrary: '', adapters: [] }
  const engine = await native.openEngine({ model, ...options, kvCacheBytes: 2 ** 24, imageCacheBytes: 2 ** 20 }).promise
  const other = await native.cutPicture(new Uint8Array(3 * 9), 3, 3, { ...OPTIONS, imageSize: 3, maxTiles: 1 })
  const bad: [unknown, RegExp][] = [
    [other, /tiles of 3 x 3 pixels; this model reads/],
    [{ pixels: new Float32Array(3), numTiles: 1 }, /picture must be pictures made by cutPicture/],
    [Object.create(Object.getPrototypeOf(other)), /./],
    [undefined, /picture must be/],
  ]
  for (const [picture, message] of bad) {
    try {
      await engine.embedImage({ picture: picture as never, hidden: false }).promise
      assert.unreachable(`no error like ${message}`)
    } catch (error) {
      assert.match((error as Error).message, message)
    }
  }
  await engine.close()
})

test('how an engine reads pictures is said when it opens', async () => {
  const model = pickCheckpoint({ sharded: false, vision: true })
  const shape = { width: 40, height: 20, channels: 3 as const }
  const rows = Buffer.from(Array.from({ length: 40 * 20 * 3 }, (_, i) => (i * 7) % 256))
  const rotated = await sharp(rows, { raw: shape }).withMetadata({ orientation: 6 }).png().toBuffer()
  const upright = await sharp(rotated).autoOrient().png().toBuffer()
  await using ignoring = await Engine.open({ model, maxPixels: 800 })
  await using applying = await Engine.open({ model, exifOrientation: 'apply' })
  const seen = (engine: Engine, image: Buffer) => engine.embedImage({ image, maxTiles: 2 })
  assert.equal((await seen(applying, rotated)).pixels, (await seen(applying, upright)).pixels)
  assert.not.equal((await seen(ignoring, rotated)).pixels, (await seen(ignoring, upright)).pixels)
  const larger = await sharp(rotated).resize(41, 20, { fit: 'fill' }).png().toBuffer()
  try {
    await seen(ignoring, larger)
    assert.unreachable('one pixel column too many')
  } catch (error) {
    assert.match((error as EngineError).message, /41 x 20 pixels; at most 800/)
  }
})

test.run()
