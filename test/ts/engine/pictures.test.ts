/** Pictures cross into native code once: whatever they are called, however many ask, and whoever leaves early. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { loadNative, type TileOptions } from '../../../ts/engine/native.ts'
import { Pictures } from '../../../ts/engine/pictures.ts'

const TILES: TileOptions = { imageSize: 8, minTiles: 1, maxTiles: 2, useThumbnail: false, mean: [0, 0, 0], std: [1, 1, 1] }
const TILE_BYTES = 3 * 8 * 8

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-pictures-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const png = (grey: number) =>
  sharp({ create: { width: 16, height: 8, channels: 3, background: { r: grey, g: grey, b: grey } } })
    .png()
    .toBuffer()

/** How often pictures were handed to native code while `work` ran. */
async function crossings(work: () => Promise<void>): Promise<number> {
  const native = loadNative()
  const { cutPicture } = native
  let count = 0
  native.cutPicture = (...args) => {
    count++
    return cutPicture(...args)
  }
  try {
    await work()
  } finally {
    native.cutPicture = cutPicture
  }
  return count
}

async function errorOf(work: Promise<unknown>): Promise<EngineError> {
  const error = await work.catch((e: unknown) => e)
  assert.instance(error, EngineError)
  return error as EngineError
}

test('one picture crosses once, by path, bytes and data URI', async () => {
  const bytes = await png(7)
  const path = join(folder, 'seven.png')
  writeFileSync(path, bytes)
  const pictures = new Pictures()
  const count = await crossings(async () => {
    const first = await pictures.get(path, TILES, undefined)
    assert.is(first.numTiles, 2)
    assert.is(first.numBytes, 2 * TILE_BYTES)
    for (const image of [path, bytes, new Uint8Array(bytes), `data:image/png;base64,${bytes.toString('base64')}`]) {
      assert.is(await pictures.get(image, TILES, undefined), first)
    }
  })
  assert.is(count, 1)
})

test('many at once are one; other tiles or other pixels are another', async () => {
  const [bytes, other] = [await png(8), await png(9)]
  const pictures = new Pictures()
  const count = await crossings(async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => pictures.get(bytes, TILES, undefined)))
    assert.is(new Set(all).size, 1)
    assert.is((await pictures.get(bytes, { ...TILES, maxTiles: 1 }, undefined)).numTiles, 1)
    assert.not.equal((await pictures.get(other, TILES, undefined)).normalised(), all[0]?.normalised())
  })
  assert.is(count, 3)
})

test('a path that holds another picture is another', async () => {
  const path = join(folder, 'changing.png')
  const pictures = new Pictures()
  writeFileSync(path, await png(1))
  const before = await pictures.get(path, TILES, undefined)
  writeFileSync(path, await png(2))
  assert.not.equal((await pictures.get(path, TILES, undefined)).normalised(), before.normalised())
})

test('what is too much is forgotten, the oldest first', async () => {
  const [a, b, c] = await Promise.all([png(11), png(12), png(13)])
  const pictures = new Pictures({}, 4 * TILE_BYTES)
  const count = await crossings(async () => {
    for (const image of [a, b, a, c, a, b]) await pictures.get(image as Buffer, TILES, undefined)
  })
  assert.is(count, 4) // a, b, c, and b again
  const none = new Pictures({}, 0)
  assert.is((await none.get(a as Buffer, TILES, undefined)).numTiles, 2)
})

test('who leaves early ends the work only where nobody else waits for it', async () => {
  const bytes = await png(14)
  const pictures = new Pictures()
  const one = new AbortController()
  const [left, stayed] = [pictures.get(bytes, TILES, one.signal), pictures.get(bytes, TILES, undefined)]
  one.abort()
  assert.is((await errorOf(left)).code, 'ERR_ENGINE_ABORTED')
  assert.is((await stayed).numTiles, 2)

  const next = await png(15)
  const both = new AbortController()
  const gone = [pictures.get(next, TILES, both.signal), pictures.get(next, TILES, both.signal)]
  both.abort()
  for (const call of gone) assert.is((await errorOf(call)).code, 'ERR_ENGINE_ABORTED')
  assert.is((await pictures.get(next, TILES, undefined)).numTiles, 2)
  assert.is((await errorOf(pictures.get(next, TILES, both.signal))).code, 'ERR_ENGINE_ABORTED')
})

test('what is wrong names the file that was asked for, each time', async () => {
  const bytes = (await png(16)).subarray(0, 60)
  const paths = ['broken-a.png', 'broken-b.png'].map((name) => join(folder, name))
  for (const path of paths) writeFileSync(path, bytes)
  const pictures = new Pictures()
  const errors = await Promise.all(paths.map((path) => errorOf(pictures.get(path, TILES, undefined))))
  for (const [i, path] of paths.entries()) {
    assert.is(errors[i]?.code, 'ERR_ENGINE_INVALID_ARGUMENT')
    assert.ok(errors[i]?.message.includes(path), errors[i]?.message)
    assert.match((await errorOf(pictures.get(path, TILES, undefined))).message, /corrupt|truncated/)
  }
})

test.run()
