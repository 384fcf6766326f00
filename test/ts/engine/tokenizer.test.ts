/** Tokenizers of whole folders: speed, streams, broken files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { seededRandom } from '../../../ts/contracts/random.ts'
import { openTokenizer, TokenDecoder } from '../../../ts/engine/tokenizer/index.ts'
import { goldenFolders, pickTokenizer } from '../../helpers/golden.ts'

const folders = goldenFolders('tokenizers')

test('long texts are encoded in near linear time', async () => {
  for (const { name, path } of folders) {
    const t = await openTokenizer(path)
    const start = performance.now()
    for (const unit of ['a', '面积是多少', 'The area is 12. '])
      assert.ok(t.encodePlain(unit.repeat(100_000 / unit.length)).length > 0)
    for (const unit of [' ', '\n', '<', '🙂', '<prm>', ' 1']) assert.ok(t.encodePlain(unit.repeat(20_000)).length > 0)
    assert.ok(performance.now() - start < 60_000, `${name}: ${performance.now() - start} ms`)
  }
})

test('streamed text is never cut inside a character', async () => {
  for (const { path } of folders) {
    const t = await openTokenizer(path)
    const stream = new TokenDecoder(t)
    const text = '\ufeffπ ≈ 3.14 🙂 \ufeff面积'
    const parts = t.encodePlain(text).map((id) => stream.push(id))
    assert.not.ok(parts.some((p) => p.includes('\ufffd')))
    assert.is((parts.join('') + stream.finish()).replace(/^ /, ''), text)
  }
})

test('absent and broken tokenizer files are named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-tokenizer-'))
  const message = async () => {
    const error = await openTokenizer(folder).catch((e: unknown) => e)
    assert.is((error as EngineError).code, 'ERR_ENGINE_INVALID_MODEL')
    return (error as Error).message
  }
  assert.match(await message(), /neither tokenizer\.json nor tokenizer\.model/)
  writeFileSync(join(folder, 'tokenizer.model'), 'nonsense')
  assert.match(await message(), /tokenizer\.model: not a SentencePiece model/)
  writeFileSync(join(folder, 'tokenizer.json'), '{')
  assert.match(await message(), /tokenizer\.json/)
  writeFileSync(join(folder, 'tokenizer.json'), '{"model":{"type":"Nope"}}')
  assert.match(await message(), /tokenizer\.json/)
  writeFileSync(join(folder, 'tokenizer_config.json'), '{"bos_token":3}')
  assert.match(await message(), /tokenizer_config\.json: bos_token/)
})

/** Every place in `value` that holds something, vocabulary and merges aside. */
function places(value: unknown): [holder: Record<string, unknown>, key: string][] {
  if (typeof value !== 'object' || value === null) return []
  const holder = value as Record<string, unknown>
  const keys = Object.keys(holder).filter((key) => key !== 'vocab' && key !== 'merges')
  return keys.flatMap((key) => [[holder, key] as [Record<string, unknown>, string], ...places(holder[key])])
}

test('damaged tokenizer.json files end in a typed error or in a tokenizer', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-tokenizer-'))
  const random = seededRandom('fuzz')
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
  const texts = ['Qwen2', 'Llama'].map(pickTokenizer).map((path) => readFileSync(join(path, 'tokenizer.json'), 'utf8'))
  const counts = { opened: 0, refused: 0 }
  try {
    for (let round = 0; round < 150; round++) {
      const json = JSON.parse(pick(texts))
      const [holder, key] = pick(places(json))
      holder[key] = pick([null, 0, -1, 1e9, '', 'x', '(', true, {}, [], [[]], { type: 'Nope' }])
      writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json))
      try {
        const t = await openTokenizer(folder)
        t.decode([...t.encode('Step 1: <prm> 是'), ...t.encodePlain('</s> x')])
        counts.opened++
      } catch (error) {
        assert.instance(error, EngineError, `${key} = ${JSON.stringify(holder[key])}: ${(error as Error).stack}`)
        assert.match((error as Error).message, /tokenizer\.json/)
        counts.refused++
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  console.log(`tokenizer.json: ${counts.opened} damaged files read, ${counts.refused} refused`)
  assert.ok(counts.opened > 20 && counts.refused > 20)
})

test.run()
