/** Pictures as users hand them over: every way to give one, and every way in which one can be bad. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { type DecodeOptions, decodeImage, hashPixels, storableImage, withImage } from '../../../ts/images/index.ts'

const FIGURE = Buffer.from(Array.from({ length: 30 * 20 * 3 }, (_, i) => (i * 37) % 256))
const figure = () => sharp(FIGURE, { raw: { width: 30, height: 20, channels: 3 } })

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mm-prm-image-'))
})
test.after(() => rm(folder, { recursive: true }))

async function rejection(image: unknown, options?: DecodeOptions): Promise<string> {
  try {
    await decodeImage(image as string, options)
  } catch (error) {
    assert.instance(error, EngineError)
    assert.is((error as EngineError).code, 'ERR_ENGINE_INVALID_ARGUMENT')
    return (error as EngineError).message
  }
  throw new Error('the picture should have been refused')
}

async function stored(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const out = Buffer.alloc(body.length + 8)
  out.writeUInt32BE(data.length, 0)
  body.copy(out, 4)
  out.writeUInt32BE(crc32(body), body.length + 4)
  return out
}

/** A PNG with any header over any pixel data. */
function png(width: number, height: number, pixels: Uint8Array, depth = 8, colourType = 2): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([depth, colourType], 8)
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(pixels)), chunk('IEND', Buffer.alloc(0))])
}

test('path, bytes and data URIs give the same pixels', async () => {
  const bytes = await figure().png().toBuffer()
  const base64 = bytes.toString('base64')
  const percent = [...bytes].map((b) => `%${b.toString(16).padStart(2, '0')}`).join('')
  const ways = [
    await stored('figure.png', bytes),
    bytes,
    new Uint8Array(bytes),
    `data:image/png;base64,${base64}`,
    `DATA:;base64,${base64.replaceAll('=', '%3D')}`,
    `data:image/png;base64,${base64.slice(0, 40)}\n${base64.slice(40)}`,
    `data:image/png,${percent}`,
  ]
  for (const way of ways) {
    const { rgb, width, height } = await decodeImage(way)
    assert.equal([width, height], [30, 20])
    assert.ok(FIGURE.equals(rgb), String(way).slice(0, 60))
  }
})

test('orientation is ignored unless asked for', async () => {
  for (const encoded of [figure().png(), figure().webp({ lossless: true }), figure().jpeg()]) {
    const bytes = await encoded.withMetadata({ orientation: 6 }).toBuffer()
    const plain = await decodeImage(bytes)
    assert.equal([plain.width, plain.height], [30, 20])
    const upright = await decodeImage(bytes, { exifOrientation: 'apply' })
    assert.equal([upright.width, upright.height], [20, 30])
    // Orientation 6: the stored upper left corner belongs to the upper right.
    assert.equal([...upright.rgb.subarray(19 * 3, 20 * 3)], [...plain.rgb.subarray(0, 3)])
  }
})

test('16-bit grey saturates, with and without orientation applied', async () => {
  const bytes = png(3, 1, Uint8Array.of(0, 0, 7, 0, 255, 1, 0), 16, 0)
  for (const exifOrientation of ['ignore', 'apply'] as const) {
    const { rgb } = await decodeImage(bytes, { exifOrientation })
    assert.equal([...rgb], [7, 7, 7, 255, 255, 255, 255, 255, 255])
  }
})

test('a GIF frame smaller than its screen, with a palette of its own, transparent and not', async () => {
  const palette = [1, 2, 3, 40, 50, 60]
  const screen = [...Buffer.from('GIF89a'), 3, 0, 1, 0, 0, 0, 0]
  const frame = [0x2c, 1, 0, 0, 0, 1, 0, 1, 0, 0x80, ...palette]
  const colour0 = [2, 2, 0x44, 0x01, 0] // LZW: clear, colour 0, end
  const gif = (control: number[]) => Uint8Array.from([...screen, ...control, ...frame, ...colour0, 0x3b])
  const left = palette.slice(0, 3)
  const right = palette.slice(3)
  assert.equal([...(await decodeImage(gif([]))).rgb], [...left, ...left, ...left])
  assert.equal([...(await decodeImage(gif([0x21, 0xf9, 4, 1, 0, 0, 1, 0]))).rgb], [...right, ...left, ...right])
  assert.equal([...(await decodeImage(gif([0x21, 0xf9, 4, 1, 0, 0, 0, 0]))).rgb], [...left, ...left, ...left])
})

test('what is no readable file is named', async () => {
  assert.match(await rejection('/no/such/picture.png'), /\/no\/such\/picture\.png: no such file/)
  const directory = join(folder, 'directory')
  await mkdir(directory)
  assert.match(await rejection(directory), /directory: is a folder/)
  assert.match(await rejection('/dev/zero'), /\/dev\/zero: is not a regular file/)
  assert.match(await rejection('a\0b.png'), /cannot be read/)
  assert.match(await rejection('x'.repeat(100_000)), /too long for a path .*data URI/)
  for (const url of ['http://example.org/a.png', 'HTTPS://example.org/a.png', 'file:///a.png', 's3://bucket/a.png']) {
    assert.match(await rejection(url), /URLs are not fetched/)
  }
})

test('a pipe is refused before it is opened, which would wait for a writer', async () => {
  const pipe = join(folder, 'pipe.png')
  execFileSync('mkfifo', [pipe])
  assert.match(await rejection(pipe), /pipe\.png: is not a regular file/)
})

test('a Git LFS pointer is named as one', async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0a'.repeat(32)}\nsize 48213\n`
  assert.match(
    await rejection(await stored('lfs.png', Buffer.from(pointer))),
    /lfs\.png: is a Git LFS pointer: .*48213 bytes.*git lfs pull/,
  )
})

test('a picture in a row is a data URI of the type that its bytes show', async () => {
  const encoded = { png: figure().png(), jpeg: figure().jpeg(), webp: figure().webp(), gif: figure().gif() }
  for (const [type, picture] of Object.entries(encoded)) {
    const bytes = await picture.toBuffer()
    const uri = `data:image/${type};base64,${bytes.toString('base64')}`
    assert.is(storableImage(bytes), uri)
    assert.is(storableImage(uri.replace(`image/${type}`, 'application/octet-stream')), uri)
    assert.is(storableImage(uri.replace(`data:image/${type}`, 'DATA:')), uri)
    assert.is(await hashPixels(storableImage(bytes)), await hashPixels(bytes))
  }
  for (const other of ['figure.png', '/a/b.png', 'data:image/png,%89PNG']) assert.is(storableImage(other), other)
  assert.match(storableImage(Buffer.from('no picture')), /^data:application\/octet-stream;base64,/)
})

test('decoded pictures in flight share a limit, whoever waits may leave, and none is lost', async () => {
  const side = 8000 // 192 MB of pixels
  const row = Buffer.alloc(1 + 3 * side)
  const large = await stored('large.png', png(side, side, Buffer.concat(Array(side).fill(row))))
  let [inFlight, most, done] = [0, 0, 0]
  const use = async ({ width }: { width: number }) => {
    most = Math.max(most, ++inFlight)
    await new Promise((resolve) => setTimeout(resolve, 20))
    inFlight--
    done += width === side ? 1 : 0
  }
  const controller = new AbortController()
  const jobs = Array.from({ length: 3 }, () => withImage(large, {}, use))
  const left = withImage(large, { signal: controller.signal }, use).then(
    () => 'used',
    (error: EngineError) => error.code,
  )
  controller.abort()
  await Promise.all(jobs)
  assert.is(await left, 'ERR_ENGINE_ABORTED')
  assert.ok(most <= 2, `${most} of 192 MB at once`)
  assert.is(done, 3)
})

test('bad data URIs say what is wrong', async () => {
  assert.match(await rejection('data:image/png;base64'), /no comma/)
  assert.match(await rejection('data:image/png;base64,iVBOR!w0KGgo'), /character 5 is no base64/)
  assert.match(await rejection('data:image/png;base64,'), /empty/)
  assert.match(await rejection('data:image/png,%zz'), /hexadecimal/)
  assert.match(await rejection('data:text/plain,hello'), /does not begin like a picture/)
})

test('empty files and foreign formats', async () => {
  assert.match(await rejection(await stored('empty.png', new Uint8Array())), /empty\.png: is empty/)
  assert.match(await rejection(new Uint8Array()), /empty/)
  const text = await stored('text.png', Buffer.from('not a picture'))
  assert.match(await rejection(text), /text\.png.*supported are PNG, JPEG, WebP, GIF/)
  const foreign: [Buffer, RegExp][] = [
    [await figure().tiff().toBuffer(), /TIFF/],
    [await figure().avif().toBuffer(), /AVIF/],
    [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /SVG/],
    [Buffer.from('BM      '), /BMP/],
    [Buffer.from('%PDF-1.7'), /PDF/],
  ]
  for (const [bytes, message] of foreign) assert.match(await rejection(bytes), message)
})

test('pictures without pixels', async () => {
  assert.match(await rejection(await stored('zero.png', png(0, 10, new Uint8Array()))), /zero\.png.*0 x 10/)
  assert.match(await rejection(png(10, 0, new Uint8Array())), /10 x 0/)
  const gif = await figure().gif().toBuffer()
  const frame = gif.indexOf(Buffer.of(0x2c, 0, 0, 0, 0, 30, 0, 20, 0))
  gif.fill(0, 6, 10)
  gif.fill(0, frame + 5, frame + 9)
  assert.match(await rejection(gif), /0 x 0/)
})

test('pictures of too many pixels are refused before they are decoded', async () => {
  const bomb = await stored('bomb.png', png(60_000, 60_000, new Uint8Array(100)))
  assert.match(await rejection(bomb), /bomb\.png: is 60000 x 60000 pixels; at most 100000000/)
  assert.match(await rejection(png(2 ** 31 - 1, 2 ** 31 - 1, new Uint8Array(1))), /2147483647/)
  for (const encoded of [figure().jpeg(), figure().webp(), figure().gif()]) {
    const bytes = await encoded.toBuffer()
    assert.match(await rejection(bytes, { maxPixels: 599 }), /30 x 20 pixels; at most 599/)
    assert.is((await decodeImage(bytes, { maxPixels: 600 })).width, 30)
  }
  const long = await stored('long.png', new Uint8Array(5000))
  assert.match(await rejection(long, { maxPixels: 600 }), /long\.png: has 5000 bytes/)
})

test('truncated and corrupt pictures of every format are refused', async () => {
  const noise = sharp(Buffer.from(Array.from({ length: 90 * 60 * 3 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255)), {
    raw: { width: 90, height: 60, channels: 3 },
  })
  const whole = {
    png: await noise.png().toBuffer(),
    jpeg: await noise.jpeg().toBuffer(),
    progressive: await noise.jpeg({ progressive: true }).toBuffer(),
    webp: await noise.webp().toBuffer(),
    lossless: await noise.webp({ lossless: true }).toBuffer(),
    gif: await noise.gif().toBuffer(),
  }
  for (const [name, bytes] of Object.entries(whole)) {
    assert.is((await decodeImage(bytes)).width, 90, name)
    for (const part of [16, 0.2, 0.5, 0.9]) {
      const length = part < 1 ? Math.floor(bytes.length * part) : part
      const path = await stored(`${name}-${length}`, bytes.subarray(0, length))
      const message = await rejection(path)
      assert.ok(message.includes(path), message)
    }
  }
  const broken = Buffer.from(whole.png)
  broken[broken.length >> 1] = (broken[broken.length >> 1] as number) ^ 0xff
  assert.match(await rejection(await stored('broken.png', broken)), /broken\.png.*corrupt/)
})

test('wrong checksums: of the pixels and behind them no matter, before them the end', async () => {
  const pixels = Buffer.concat(
    Array.from({ length: 20 }, (_, y) => Buffer.concat([Buffer.of(0), FIGURE.subarray(90 * y, 90 * y + 90)])),
  )
  const whole = png(30, 20, pixels)
  const [header, data, end] = [33, whole.length - 12, whole.length] // where IHDR, IDAT and IEND end
  const text = chunk('tEXt', Buffer.from('Comment\0chart'))
  const damaged = (bytes: Buffer, at: number) => {
    const copy = Buffer.from(bytes)
    copy[at] = (copy[at] as number) ^ 0x5a
    return copy
  }
  const before = Buffer.concat([whole.subarray(0, header), text, whole.subarray(header)])
  const behind = Buffer.concat([whole.subarray(0, data), text, whole.subarray(data)])
  const good = { pixels: damaged(whole, data - 1), end: damaged(whole, end - 1), behind: damaged(behind, data + text.length - 1) }
  for (const [name, bytes] of Object.entries(good)) assert.ok(FIGURE.equals((await decodeImage(bytes)).rgb), name)
  const bad = {
    header: damaged(whole, header - 1),
    before: damaged(before, header + text.length - 1),
    data: damaged(whole, data - 20),
  }
  for (const [name, bytes] of Object.entries(bad)) assert.match(await rejection(bytes), /corrupt or truncated/, name)
})

test('bytes behind the picture and before its end marker are harmless', async () => {
  const bytes = await figure().jpeg().toBuffer()
  const { rgb } = await decodeImage(bytes)
  const end = bytes.length - 2
  const padded = Buffer.concat([bytes.subarray(0, end), Buffer.from([1, 2, 3]), bytes.subarray(end), Buffer.from('trailing')])
  assert.equal((await decodeImage(padded)).rgb, rgb)
  const png = await figure().png().toBuffer()
  assert.ok(FIGURE.equals((await decodeImage(Buffer.concat([png, Buffer.from('trailing')]))).rgb))
})

test('random damage gives pixels or a typed error, never a crash', async () => {
  const kinds = await Promise.all([figure().png(), figure().jpeg(), figure().webp(), figure().gif()].map((f) => f.toBuffer()))
  let state = 12345
  const random = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(kinds[round % kinds.length] as Buffer)
    for (let k = random(4); k >= 0; k--) bytes[random(bytes.length)] = random(256)
    const cut = random(3) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
    try {
      const { rgb, width, height } = await decodeImage(cut, { maxPixels: 1_000_000 })
      assert.is(rgb.length, width * height * 3)
    } catch (error) {
      assert.instance(error, EngineError, `round ${round}: ${error}`)
    }
  }
})

test.run()
