/** The reader of JSON lines: what cannot be read is reported in its place, and nothing of it is kept in memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readJsonLines } from '../../../ts/contracts/json-lines.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-jsonl-'))
test.after(() => rmSync(folder, { recursive: true }))

const MAX_BYTES = 100_000
/** Read from a file in pieces of 64 KiB. */
const CHUNK = 2 ** 16

async function read(text: string | Buffer) {
  const path = join(folder, 'input.jsonl')
  writeFileSync(path, text)
  const rows = []
  for await (const { line, value, problem } of readJsonLines(path, MAX_BYTES)) rows.push([line, value?.['id'] ?? problem])
  return rows
}

/** A line of exactly so many bytes. */
const ofLength = (id: number, length: number) => `{"id":${id},"text":"`.padEnd(length - 2, 'x').concat('"}')

test('a line that is too long is a bad line, the others go on', async () => {
  const tooLong = [1, /^longer than 0\.09\d* MiB$/]
  const inputs: [string, unknown[]][] = [
    [`${ofLength(1, MAX_BYTES)}\n{"id":2}`, [1, 2]],
    [`${ofLength(1, MAX_BYTES + 1)}\n{"id":2}\n`, [tooLong, 2]],
    [`${ofLength(1, 5 * CHUNK)}\n{"id":2}\n`, [tooLong, 2]],
    [`{"id":1}\n${ofLength(2, 5 * CHUNK)}`, [1, tooLong]],
    [`${ofLength(1, MAX_BYTES + 1)}\n${ofLength(2, MAX_BYTES)}\n\n${ofLength(4, 9 * CHUNK)}\n{"id":5}`, [tooLong, 2, tooLong, 5]],
  ]
  for (const [text, expected] of inputs) {
    const rows = await read(text)
    assert.is(rows.length, expected.length)
    rows.forEach(([, got], i) => {
      const want = expected[i]
      if (Array.isArray(want)) assert.match(String(got), want[1] as RegExp)
      else assert.is(got, want)
    })
  }
})

test('lines keep their numbers: empty ones count and are left out', async () => {
  const rows = await read(
    Buffer.concat([Buffer.from('\n{"id":2}\r\n  \n[4]\n'), Buffer.from([0xff, 10]), Buffer.from('{"id":6}')]),
  )
  assert.equal(
    rows.map(([line]) => line),
    [2, 4, 5, 6],
  )
  assert.match(String(rows[1]?.[1]), /object/)
  assert.match(String(rows[2]?.[1]), /UTF-8/)
})

test.run()
