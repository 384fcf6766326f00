/** A vocabulary as large as published ones, which the golden tokenizers are not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openTokenizer } from '../../../ts/engine/tokenizer/index.ts'

const NUM_PIECES = 260_000

test('a tokenizer of 260,000 pieces opens', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-tokenizer-'))
  try {
    const pieces = ['<unk>', ...'abcdefghij', ...Array.from({ length: NUM_PIECES - 11 }, (_, i) => `piece${i}`)]
    const model = {
      type: 'BPE',
      unk_token: '<unk>',
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: [],
    }
    const added = [{ id: NUM_PIECES, content: '<prm>', special: true }]
    const file = {
      version: '1.0',
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      model,
    }
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(file))
    const tokenizer = await openTokenizer(folder)
    assert.is(tokenizer.vocabSize, NUM_PIECES + 1)
    assert.is(tokenizer.pieceId('<prm>'), NUM_PIECES)
    assert.equal(tokenizer.encode('cab'), [3, 1, 2])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
