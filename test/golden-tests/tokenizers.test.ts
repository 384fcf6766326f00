/** Ids of every golden text, as the trusted tokenizers give them. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openTokenizer, TokenDecoder } from '../../ts/engine/tokenizer/index.ts'
import { goldenFolders, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('tokenizers')

const KNOWN = {
  'cases.json': ['tokenizer', 'reference', 'vocabSize', 'bosId', 'eosId', 'padId', 'pieces', 'vocab', 'cases'],
  case: ['text', 'ids', 'idsWithSpecial', 'plainIds', 'decoded', 'decodedSkipSpecial'],
}

function checkKeys(kind: keyof typeof KNOWN, value: object): void {
  const unknown = Object.keys(value).filter((key) => !KNOWN[kind].includes(key))
  assert.equal(unknown, [], `${kind}: the test does not know these keys`)
}

for (const { name, path } of goldenFolders('tokenizers')) {
  test(`tokenizers/${name}`, async () => {
    const golden = readJson(join(path, 'cases.json'))
    checkKeys('cases.json', golden)
    const t = await openTokenizer(path)
    for (const [piece, id] of Object.entries(golden.pieces)) assert.is(t.pieceId(piece), id ?? undefined, `piece ${piece}`)
    for (const [id, piece] of golden.vocab) assert.is(t.pieceId(piece), id, `vocab ${id}`)
    assert.is(t.vocabSize, golden.vocabSize)
    for (const [i, c] of golden.cases.entries()) {
      const where = `case ${i} ${JSON.stringify(c.text.slice(0, 40))}`
      checkKeys('case', c)
      const ids = t.encode(c.text)
      assert.equal(ids, c.ids, `${where}: ids`)
      assert.equal([...t.prefixIds, ...ids], c.idsWithSpecial, `${where}: idsWithSpecial`)
      assert.equal(t.encodePlain(c.text), c.plainIds, `${where}: plainIds`)
      if (!c.ids.some((id: number) => t.isSpecial(id))) {
        assert.is(t.decode(c.ids), c.decoded, `${where}: decoded`)
        assert.is(t.decode(c.ids, { skipSpecial: true }), c.decodedSkipSpecial, `${where}: decodedSkipSpecial`)
      }
      const stream = new TokenDecoder(t)
      const streamed = c.plainIds.map((id: number) => stream.push(id)).join('') + stream.finish()
      // A stream cannot tell that it is the whole text: it keeps the space of the dummy prefix and cleans nothing up.
      assert.is(streamed.replaceAll(' ', ''), t.decode(c.plainIds).replaceAll(' ', ''), `${where}: streamed`)
    }
    console.log(`golden/tokenizers/${name}: ${golden.cases.length} cases ran`)
    assert.ok(golden.cases.length > 0)
  })
}

test.run()
