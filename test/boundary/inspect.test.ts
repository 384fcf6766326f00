/** What inspecting says about every golden checkpoint, against headers and configs read here independently. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadNative } from '../../ts/engine/native.ts'
import type { HeaderEntry } from '../helpers/checkpoint-files.ts'
import { goldenModels, readJson } from '../helpers/golden.ts'

const SAVED_BUFFERS = /rotary_emb\.(inv_freq|cos_cached|sin_cached)$|embeddings\.(position_ids|mask_token)$/

function storedEntries(path: string): HeaderEntry[] {
  const bytes = readFileSync(path)
  const { __metadata__, ...header } = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0))))
  const kept = Object.entries<HeaderEntry>(header).filter(([name]) => !SAVED_BUFFERS.test(name))
  return kept.map(([, entry]) => entry)
}

const count = (entries: HeaderEntry[]) => entries.reduce((sum, e) => sum + e.shape.reduce((product, n) => product * n, 1), 0)

let ran = 0
for (const { name, path } of goldenModels()) {
  test(`inspect: ${name}`, () => {
    const summary = loadNative().inspectModel(path)
    const files = readdirSync(path).filter((file) => file.endsWith('.safetensors') && file !== 'golden.safetensors')
    const entries = files.flatMap((file) => storedEntries(join(path, file)))
    const config = readJson(join(path, 'config.json'))
    const decoder = config.llm_config ?? config.text_config ?? config
    assert.is(summary.architecture, config.architectures[0])
    assert.is(summary.tensors, entries.length)
    assert.is(summary.parameters, count(entries))
    assert.equal(
      summary.files,
      files.sort().map((file) => ({ name: file, bytes: statSync(join(path, file)).size })),
    )
    assert.is(
      summary.bytes,
      summary.files.reduce((sum, file) => sum + file.bytes, 0),
    )
    for (const { dtype, tensors, parameters } of summary.dtypes) {
      const same = entries.filter((e) => e.dtype === dtype)
      assert.equal([tensors, parameters], [same.length, count(same)], dtype)
    }
    assert.is(
      summary.dtypes.reduce((sum, d) => sum + d.tensors, 0),
      entries.length,
    )
    const { hidden, layers, heads } = summary.decoder
    // Nested configs of transformers leave out what their class says already.
    assert.is(hidden, decoder.hidden_size ?? hidden)
    assert.is(layers, decoder.num_hidden_layers ?? layers)
    assert.is(heads, decoder.num_attention_heads ?? heads)
    assert.is(summary.vision !== null, 'vision_config' in config)
    ran++
  })
}

test('inspect: every checkpoint was seen', () => {
  console.log(`inspect: ${ran} checkpoints`)
  assert.is(ran, goldenModels().length)
  assert.ok(ran > 0)
})

test.run()
