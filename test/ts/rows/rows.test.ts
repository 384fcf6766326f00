/** Data files as the world writes them: numbers, encodings, codecs, and what one bad row does to the others. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { MAX_DEPTH, parseJson } from '../../../ts/contracts/json.ts'
import { type Row, readRows } from '../../../ts/rows/index.ts'
import { startCli } from '../../helpers/cli.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-rows-'))
test.after(() => rmSync(folder, { recursive: true }))

function write(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
async function rows(name: string, content: string | Buffer): Promise<Row[]> {
  const all: Row[] = []
  for await (const row of readRows(write(name, content))) all.push(row)
  return all
}
const values = async (name: string, content: string | Buffer) => (await rows(name, content)).map((r) => r.fields ?? r.error)
async function refusal(name: string, content: string | Buffer): Promise<string> {
  const error = await rows(name, content).catch((e: unknown) => e)
  assert.instance(error, EngineError)
  assert.is((error as EngineError).code, 'ERR_ENGINE_INVALID_ARGUMENT')
  return (error as EngineError).message
}

test('numbers are kept as they are written', () => {
  const kept: [string, unknown][] = [
    ['18446744073709551617', '18446744073709551617'],
    ['-12345678901234567890', '-12345678901234567890'],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', '9007199254740993'],
    ['3.14159265358979323846', '3.14159265358979323846'],
    ['0.30000000000000004', 0.30000000000000004],
    ['1.2345678901234566e-07', 1.2345678901234566e-7],
    ['2.50', 2.5],
    ['1e400', '1e400'],
    ['NaN', Number.NaN],
    ['-Infinity', Number.NEGATIVE_INFINITY],
  ]
  for (const [written, value] of kept) {
    assert.equal(parseJson(` { "a" : [ ${written} ] } `).value, { a: [value] }, written)
  }
})

test('the parser of unusual JSON reads what JSON.parse reads, and refuses what it refuses', () => {
  const odd = ',"odd":NaN}' // which JSON.parse does not read
  for (const body of [
    '"a\\"\\\\"',
    '"\\\\"',
    '"é\\u00e9\\/\\n"',
    '[]',
    '{}',
    '[[1,-0.5e-3],{"k":null}]',
    'true',
    '"NaN"',
    '"x\\ud83d\\ude00"',
  ]) {
    const { value } = parseJson(`{"v":${body}${odd}`) as { value: { v: unknown } }
    assert.equal(value.v, JSON.parse(body), body)
  }
  for (const body of [
    '[1,]',
    '[,1]',
    '{"a"}',
    '{a:1}',
    '01',
    '+1',
    '.5',
    '1.',
    "'a'",
    '"a',
    '"a\nb"',
    '"\\x"',
    'nan',
    'tru',
    '',
    '1 2',
    '[1}',
  ]) {
    assert.throws(
      () => parseJson(`{"v":${body}${odd}`),
      (e: unknown) => e instanceof SyntaxError,
      body,
    )
  }
  const { value } = parseJson('{"__proto__":{"polluted":1},"n":NaN}') as { value: object }
  assert.is(({} as { polluted?: number }).polluted, undefined)
  assert.equal(Object.keys(value), ['__proto__', 'n'])
  const nested = (depth: number) => `{"a":1,"m":${'[{"k]":'.repeat(depth / 2)}"]"${'}]'.repeat(depth / 2)},"b":2}`
  const { value: deep, note } = parseJson(nested(200_000)) as { value: Record<string, unknown>; note?: string }
  assert.equal([deep['a'], deep['b']], [1, 2])
  assert.match(note as string, /nested more than 500 deep became null/)
  assert.ok(JSON.stringify(deep).endsWith('"b":2}'))
  assert.is(parseJson(nested(MAX_DEPTH - 2)).note, undefined)
  for (const cut of ['['.repeat(1000), `${'['.repeat(1000)}"`, `${'[{'.repeat(1000)}]`])
    assert.throws(() => parseJson(cut), SyntaxError)
})

test('halves of surrogate pairs are set right and told', async () => {
  const [first, second] = await rows('s.jsonl', '{"q":"cut \\ud83d","m":{"\\udc00":1}}\n{"q":"whole \\ud83d\\ude00"}')
  assert.equal(first?.fields, { q: 'cut \ufffd', m: { '\ufffd': 1 } })
  assert.match(first?.note as string, /surrogate pairs.*U\+FFFD/)
  assert.equal(second, { row: 2, fields: { q: 'whole 😀' } })
  assert.match((await rows('s.json', '[{"q":"cut \\ud83d"}]'))[0]?.note as string, /surrogate/)
})

test('byte order marks and encodings', async () => {
  const row = { id: '1', q: 'é' }
  for (const [name, text] of [
    ['b.json', JSON.stringify([row])],
    ['b.jsonl', JSON.stringify(row)],
    ['b.csv', '"id",q\n1,é\n'],
  ] as const) {
    assert.equal(await values(name, text), [row], name)
    assert.equal(await values(name, `\ufeff${text}`), [row], name)
    const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le')
    assert.match(await refusal(name, utf16), /is UTF-16 text; save it as UTF-8/)
    assert.match(await refusal(name, utf16.swap16()), /is UTF-16/)
  }
  assert.match(await refusal('l.json', Buffer.from('[{"q":"é"}]', 'latin1')), /l\.json: not valid UTF-8/)
  assert.equal(await values('l.jsonl', Buffer.from('{"q":"é"}\n{"q":"e"}', 'latin1')), ['not valid UTF-8', { q: 'e' }])
  assert.equal(await values('l.csv', Buffer.from('id,q\n1,é\n2,e\n', 'latin1')), [
    'not valid UTF-8; save the file as UTF-8',
    { id: '2', q: 'e' },
  ])
  assert.match(await refusal('h.csv', Buffer.from('id,é\n1,2\n', 'latin1')), /the header is not valid UTF-8/)
})

test('one row of CSV that is too short or too long is one bad row', async () => {
  const all = await rows('r.csv', 'id,q,a\n1,"two\nlines",x\n2,short\n3,q,a,more\n\n4,"a ""b"", c",e\n')
  assert.equal(
    all.map((r) => r.fields?.['q'] ?? r.error),
    ['two\nlines', '2 fields; the header has 3', '4 fields; the header has 3', 'a "b", c'],
  )
  assert.equal(
    all.map((r) => r.row),
    [3, 4, 5, 7],
  )
})

test('parquet in every codec says the same; whole numbers beyond 2^53 are texts, others numbers', async () => {
  for (const codec of ['none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4']) {
    const all: Row[] = []
    for await (const row of readRows(join(import.meta.dirname, `files/${codec}.parquet`))) all.push(row)
    const [first, second] = all.map((r) => r.fields)
    const { image, ...rest } = first ?? {}
    assert.equal(rest, { id: '9007199254740993', question: 'What is 2+3?', answer: 5, level: 3, tags: ['a', 'b'] }, codec)
    assert.equal((image as { bytes: Uint8Array }).bytes, new Uint8Array(Buffer.from('\x89PNG\r\n\x1a\nx', 'latin1')), codec)
    assert.is(second?.['id'], 2)
  }
})

test("parquet's decimals and unsigned numbers keep their digits", async () => {
  const all: Row[] = []
  for await (const row of readRows(join(import.meta.dirname, 'files/decimals.parquet'))) all.push(row)
  const column = (name: string) => all.map((r) => r.fields?.[name])
  assert.equal(column('id'), ['9223372036854775809', 2, 3])
  assert.equal(column('answer'), ['18446744073709551617', -5, null])
  assert.equal(column('price'), [1.5, -0.05, '123456789012345678.01'])
  assert.equal(column('small'), [1.5, -2.5, null])
})

test('damaged parquet files give rows or a typed error', async () => {
  const whole = readFileSync(join(import.meta.dirname, 'files/zstd.parquet'))
  for (let at = 0; at < whole.length; at += 23) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] as number) ^ 0xff
    const result = await rows('damaged.parquet', bytes).catch((e: unknown) => e)
    assert.ok(Array.isArray(result) || result instanceof EngineError, `byte ${at}: ${result}`)
  }
})

test('a file that Git LFS did not fetch is named as such, whatever its format', async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0a'.repeat(32)}\nsize 123456\n`
  for (const name of ['p.json', 'p.jsonl', 'p.csv', 'p.parquet']) {
    assert.match(await refusal(name, pointer), /p\.\w+: is a Git LFS pointer: .*123456 bytes.*git lfs pull/)
  }
})

test('mm-prm curate keeps what can be read, numbers as written, and ends with 3 where a row could not', async () => {
  const curate = async (name: string, content: string | Buffer) => {
    const output = join(folder, 'kept.jsonl')
    const { code, stderr } = await startCli(['curate', '--input', write(name, content), '--output', output]).ended
    const kept: Row['fields'][] = []
    for await (const { fields } of readRows(output)) kept.push(fields)
    return { code, stderr, kept }
  }
  const json =
    '{"id":12345678901234567890,"question":"2^64+1 is","correct_answer":18446744073709551617,"score":NaN}\n{"id":"b","question":"cut \\ud83d is","answer":3}\n{"id":"c","question":"Is \\ud83d it?","answer":3}'
  const big = await curate('c.jsonl', json)
  assert.is(big.code, 0, big.stderr)
  assert.equal(big.kept, [
    { score: null, id: '12345678901234567890', question: '2^64+1 is', answer: '18446744073709551617' },
    { id: 'b', question: 'cut \ufffd is', answer: '3' },
    { id: 'c', question: 'Is \ufffd it?', answer: '3' },
  ])
  assert.is(big.stderr.match(/U\+FFFD/g)?.length, 1)
  assert.match(big.stderr, /c\.jsonl: row 2: .*told once/)

  const ragged = await curate('c.csv', 'id,question,answer\n1,What is 2+3?\n2,What is 7+1?,8\n')
  assert.is(ragged.code, 3, ragged.stderr)
  assert.match(ragged.stderr, /c\.csv: row 2: 2 fields; the header has 3/)
  assert.equal(
    ragged.kept.map((r) => r?.['id']),
    ['2'],
  )

  const deep = `{"id":"a","question":"q","answer":"1","m":${'['.repeat(200_000)}${']'.repeat(200_000)}}\n{"id":"b","question":"1+1?","answer":"2"}`
  const nested = await curate('d.jsonl', deep)
  assert.is(nested.code, 0, nested.stderr)
  assert.match(nested.stderr, /d\.jsonl: row 1: what is nested more than 500 deep became null \(told once/)
  assert.equal(
    nested.kept.map((r) => r?.['id']),
    ['a', 'b'],
  )
  assert.match((await curate('n.jsonl', '{"id":"a","question":"q","answer":NaN}')).stderr, /row 1 \(id a\): "answer"/)
})

test.run()
