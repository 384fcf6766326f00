/**
 * Tokenizers whose tokens stand in other files than tokenizer.json, as transformers reads them: the same ids as from the
 * whole folder.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../../ts/engine/engine.ts'
import { openTokenizer, type Tokenizer } from '../../../ts/engine/tokenizer/index.ts'
import { editJson, pickCheckpoint, picturesOf } from '../../helpers/checkpoint-files.ts'
import { pickTokenizer, readJson } from '../../helpers/golden.ts'

const WHOLE = pickTokenizer('Qwen2')
const { added_tokens: ADDED } = readJson(join(WHOLE, 'tokenizer.json')) as { added_tokens: { id: number; content: string }[] }
const TEXTS: string[] = readJson(join(WHOLE, 'cases.json')).cases.map((c: { text: string }) => c.text)
const LAST = ADDED.at(-1) as { id: number; content: string }

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-tokenizer-files-'))
test.after(() => rmSync(scratch, { recursive: true }))

type Edit = (folder: string) => void
const without =
  (...names: string[]): Edit =>
  (folder) => {
    for (const name of names) rmSync(join(folder, name))
  }
const config =
  // biome-ignore lint/suspicious/noExplicitAny: configs are plain data
    (edit: (json: any) => void): Edit =>
    (folder) =>
      editJson(folder, 'tokenizer_config.json', edit)

function folderOf(...edits: Edit[]): string {
  const folder = mkdtempSync(join(scratch, 'f-'))
  cpSync(WHOLE, folder, { recursive: true })
  for (const edit of edits) edit(folder)
  return folder
}

function check(actual: Tokenizer, expected: Tokenizer, texts: readonly string[]): void {
  assert.is(actual.vocabSize, expected.vocabSize)
  assert.is(actual.eosId, expected.eosId)
  assert.equal(actual.prefixIds, expected.prefixIds)
  for (const text of [...texts, ...ADDED.map(({ content }) => `a ${content}\n${content}b`)]) {
    const ids = expected.encode(text)
    assert.equal(actual.encode(text), ids, JSON.stringify(text))
    assert.is(actual.decode(ids), expected.decode(ids))
    assert.equal(actual.encodePlain(text, true), expected.encodePlain(text, true))
  }
}

const addedTokensFile: Edit = (folder) =>
  writeFileSync(join(folder, 'added_tokens.json'), JSON.stringify(Object.fromEntries(ADDED.map((t) => [t.content, t.id]))))
const noDecoder = config((json) => void delete json.added_tokens_decoder)
const addedOnly =
  (keep: (content: string) => boolean): Edit =>
  (folder) =>
    editJson(folder, 'tokenizer.json', (json) => {
      json.added_tokens = json.added_tokens.filter((t: { content: string }) => keep(t.content))
    })

const SAME: Record<string, Edit[]> = {
  'vocab.json and merges.txt': [without('tokenizer.json')],
  'the same without special_tokens_map.json': [without('tokenizer.json', 'special_tokens_map.json')],
  'the same without a class': [without('tokenizer.json'), config((json) => void delete json.tokenizer_class)],
  'vocab.json, merges.txt and added_tokens.json': [without('tokenizer.json'), noDecoder, addedTokensFile],
  'a token in added_tokens_decoder alone': [addedOnly((content) => content !== LAST.content)],
  'every token in added_tokens_decoder alone': [addedOnly(() => false)],
}
for (const [name, edits] of Object.entries(SAME)) {
  test(`${name}: the ids of the whole folder`, async () => {
    check(await openTokenizer(folderOf(...edits)), await openTokenizer(WHOLE), TEXTS)
  })
}

test('a token that is named special, and nowhere else, gets the id that follows', async () => {
  const whole = await openTokenizer(WHOLE)
  const named = await openTokenizer(
    folderOf(config((json) => void (json.additional_special_tokens = [...(json.additional_special_tokens ?? []), '<NEW>']))),
  )
  assert.equal(named.encode('a<NEW>'), [...whole.encode('a'), whole.vocabSize])
  assert.ok(named.isSpecial(whole.vocabSize))
  const mapped = folderOf(
    config((json) => void delete json.additional_special_tokens),
    (folder) => editJson(folder, 'special_tokens_map.json', (json) => void (json.additional_special_tokens = ['<NEW>'])),
  )
  assert.equal((await openTokenizer(mapped)).encode('a<NEW>'), [...whole.encode('a'), whole.vocabSize])
})

test('what added_tokens_decoder says of a token counts', async () => {
  const strips = config((json) => {
    json.additional_special_tokens = []
    Object.assign(json.added_tokens_decoder[LAST.id], { lstrip: true, special: false })
  })
  const t = await openTokenizer(folderOf(strips))
  assert.equal(t.encode(`a  ${LAST.content}`), [...t.encode('a'), LAST.id])
  assert.is(t.decode([LAST.id], { skipSpecial: true }), LAST.content)
})

const merges =
  (text: string | Buffer): Edit =>
  (folder) =>
    writeFileSync(join(folder, 'merges.txt'), text)
const BAD: [string, Edit[], RegExp, string?][] = [
  ['no merges', [without('merges.txt')], /no tokenizer: merges\.txt is missing/],
  ['no vocabulary', [without('vocab.json')], /no tokenizer: vocab\.json is missing/],
  ['a merge of one', [merges('#version: 0.2\n\nab\n')], /merges\.txt: line 3: "ab" is not two pieces/],
  ['a merge of three', [merges('a b c\n')], /merges\.txt: line 1: "a b c" is not two pieces/],
  ['a merge of strangers', [merges('#version: 0.2\nqqq zzz\n')], /merges\.txt: line 2: "qqq" is not in vocab\.json/],
  ['merges that are not UTF-8', [merges(Buffer.from([0x61, 0x20, 0xff]))], /merges\.txt: .*not valid/],
  ['a vocabulary of names', [(f) => writeFileSync(join(f, 'vocab.json'), '{"a":"b"}')], /vocab\.json: a: b is no token id/],
  [
    'another class',
    [config((json) => void (json.tokenizer_class = 'CLIPTokenizer'))],
    /CLIPTokenizer.*Qwen2Tokenizer/,
    'UNSUPPORTED',
  ],
]
for (const [name, edits, says, code = 'INVALID'] of BAD) {
  test(`${name}: refused by name`, async () => {
    const error = await openTokenizer(folderOf(without('tokenizer.json'), ...edits)).catch((e) => e)
    assert.match(error.message, says)
    assert.is(error.code, `ERR_ENGINE_${code}_MODEL`)
  })
}

test('a checkpoint of a slow tokenizer scores as the whole one', async () => {
  const from = pickCheckpoint({ sharded: false, vision: true, kind: 'trainIds', file: 'merges.txt' })
  const slow = join(scratch, 'slow')
  cpSync(from, slow, { recursive: true })
  rmSync(join(slow, 'tokenizer.json'))
  const [image = ''] = picturesOf(from)
  const scored = async (model: string) => {
    await using engine = await Engine.open({ model })
    return await engine.scoreSteps({ question: 'How many?', image, steps: ['a', 'b'] })
  }
  assert.equal(await scored(slow), await scored(from))
})

test.run()
