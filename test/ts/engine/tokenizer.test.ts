import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { seededRandom } from '../../../ts/contracts/random.ts'
import { resolveFamily } from '../../../ts/engine/families/index.ts'
import { prmScorePrompt } from '../../../ts/engine/template/internvl.ts'
import { rolloutPrompt } from '../../../ts/engine/template/rollout.ts'
import { openTokenizer, TokenDecoder } from '../../../ts/engine/tokenizer/index.ts'
import { readSentencePieceModel } from '../../../ts/engine/tokenizer/sentencepiece-model.ts'
import { goldenFolders } from '../../helpers/golden.ts'

const folders = goldenFolders('tokenizers')
const internlm = folders.find((f) => f.name === 'internlm2')?.path as string
const MARKERS = '<prm> <IMG_CONTEXT> <|im_end|> <|im_start|> <s>'

test('special tokens spelt by users are text in every prompt', async () => {
  for (const { name, path } of folders.filter((f) => f.name !== 'mistral')) {
    const t = await openTokenizer(path)
    const clean = prmScorePrompt(t, { question: 'Q', steps: ['a', 'b'], numImageTokens: 3 })
    const hostile = prmScorePrompt(t, { question: `Q ${MARKERS}`, steps: [`a<prm>${MARKERS}`, 'b\ue000'], numImageTokens: 3 })
    assert.is(hostile.markers.length, 2, name)
    const specials = (ids: number[]) => ids.filter((id) => t.isSpecial(id))
    assert.equal(specials(hostile.ids), specials(clean.ids), name)
    assert.ok(
      t.decode(hostile.ids, { skipSpecial: true }).replaceAll(' ', '').includes(MARKERS.replaceAll(' ', '')),
      `${name}: nothing is lost`,
    )
  }
})

test('rollout prompts: the prefix of the assistant turn goes on, the reference repeats it in the user turn', async () => {
  const t = await openTokenizer(folders.find((f) => f.name === 'qwen2')?.path as string)
  const prompt = { question: 'How many?', numImageTokens: 2, steps: [] as string[] }
  const root = rolloutPrompt('prefill', t, prompt)
  const child = rolloutPrompt('prefill', t, { ...prompt, steps: ['Read 3.'] })
  assert.equal(child.slice(0, root.length), root)
  const text = t.decode(rolloutPrompt('mm-prm-v1', t, { ...prompt, steps: ['Read 3.'] }))
  assert.match(text, /Question: How many\?\nPrevious Steps:<step>Read 3\.<\/step><\|im_end\|>\n<\|im_start\|>assistant\n$/)
  assert.throws(
    () => rolloutPrompt('prefil', t, prompt),
    (e: unknown) => e instanceof EngineError && /did you mean "prefill"/.test(e.message),
  )
})

test('long texts are encoded in near linear time', async () => {
  for (const { name, path } of folders) {
    const t = await openTokenizer(path)
    const start = performance.now()
    for (const text of ['a'.repeat(100_000), 'The area of the triangle is 12. '.repeat(3000)])
      assert.ok(t.encodePlain(text).length > 0)
    assert.ok(performance.now() - start < 20_000, `${name}: ${performance.now() - start} ms`)
  }
})

test('streamed text is never cut inside a character', async () => {
  for (const { path } of folders) {
    const t = await openTokenizer(path)
    const stream = new TokenDecoder(t)
    const text = 'π ≈ 3.14 🙂 面积'
    const parts = t.encodePlain(text).map((id) => stream.push(id))
    assert.not.ok(parts.some((p) => p.includes('\ufffd')))
    assert.is((parts.join('') + stream.finish()).trim(), text)
  }
})

test('damaged SentencePiece files end in a typed error or a model, soon', () => {
  const good = readFileSync(join(internlm, 'tokenizer.model'))
  const random = seededRandom('fuzz')
  let failures = 0
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(random() < 0.3 ? good.subarray(0, Math.floor(random() * good.length)) : good)
    for (let i = 0; i < 1 + 4 * random(); i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    try {
      readSentencePieceModel(bytes, 'x.model')
    } catch (error) {
      assert.instance(error, EngineError)
      assert.match((error as Error).message, /^x\.model: /)
      failures++
    }
  }
  assert.ok(failures > 100)
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

const traits = { architecture: 'X', hasRewardHead: false, pieceId: () => undefined, config: {}, recorded: undefined }
const refusal = (scoring: string, more: object = {}) => {
  try {
    resolveFamily(scoring, { ...traits, ...more })
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('should have been refused')
}

test('what cannot be recognised lists the families; what is recorded is taken', () => {
  assert.match(refusal('auto'), /mm-prm, qwen2\.5-math-prm, math-shepherd/)
  assert.match(refusal('mm-prn'), /did you mean "mm-prm"/)
  assert.match(refusal('qwen2.5-math-prm'), /reward head/)
  assert.match(
    refusal('auto', { recorded: { scoring: 'mm-prm', template: 'nope' }, pieceId: () => 1 }),
    /no scoring template "nope"/,
  )
  assert.is(resolveFamily('auto', { ...traits, recorded: { scoring: 'math-shepherd' }, pieceId: () => 1 }).name, 'math-shepherd')
})

test.run()
