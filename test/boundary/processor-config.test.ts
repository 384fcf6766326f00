/** Where a folder keeps the settings of its pictures: transformers 5 writes them into processor_config.json alone. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { copyCheckpoint, pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const FROM = pickCheckpoint({ vision: true, architecture: /ForConditionalGeneration/ })
const [image = ''] = picturesOf(FROM)
const OWN = 'preprocessor_config.json'
const NESTED = 'processor_config.json'
const published = JSON.parse(readFileSync(join(FROM, OWN), 'utf8'))

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-processor-'))
test.after(() => rmSync(scratch, { recursive: true }))

function folderWith(name: string, files: Record<string, unknown>): string {
  const folder = join(scratch, name)
  copyCheckpoint(FROM, folder)
  rmSync(join(folder, OWN))
  for (const [file, json] of Object.entries(files)) writeFileSync(join(folder, file), JSON.stringify(json))
  return folder
}

async function seen(model: string) {
  await using engine = await Engine.open({ model })
  const { numTiles, embeds } = await engine.embedImage({ image })
  const scores = await engine.scoreSteps({ question: 'How many?', image, steps: ['a', 'b'] })
  return { numTiles, embeds, scores }
}

const nested = (settings: unknown) => ({ image_processor: settings, image_seq_length: 4, processor_class: 'InternVLProcessor' })

const SETTINGS: Record<string, object> = {
  'one tile': { max_patches: 1 },
  'many tiles': { min_patches: 4, max_patches: 6 },
  'another norm': { image_mean: [0.5, 0.5, 0.5], image_std: [0.25, 0.5, 0.75] },
  'another size': { size: { height: 28, width: 28 } },
}
for (const [name, change] of Object.entries(SETTINGS)) {
  test(`${name}: the same from either file`, async () => {
    const settings = { ...published, ...change }
    const own = await seen(folderWith(`${name}, own`, { [OWN]: settings }))
    const inside = await seen(folderWith(`${name}, nested`, { [NESTED]: nested(settings) }))
    assert.equal(inside, own)
    // As transformers has it, the nested settings win over a file that an older version left.
    const both = await seen(folderWith(`${name}, both`, { [NESTED]: nested(settings), [OWN]: { ...published, max_patches: 2 } }))
    assert.equal(both, own)
    const other = await seen(folderWith(`${name}, none`, {}))
    assert.not.equal(other, own, 'the settings matter')
  })
}

test('a processor_config.json without picture settings leaves those of the other file', async () => {
  const own = { ...published, max_patches: 1 }
  const expected = await seen(folderWith('own', { [OWN]: own }))
  assert.equal(await seen(folderWith('legacy', { [OWN]: own, [NESTED]: { processor_class: 'InternVLProcessor' } })), expected)
  assert.equal(await seen(folderWith('null', { [OWN]: own, [NESTED]: nested(null) })), expected)
})

const BAD: [string, unknown, RegExp][] = [
  ['a list', [], /processor_config\.json: image_processor: /],
  ['no tiles', { max_patches: 0 }, /processor_config\.json: image_processor\.max_patches: /],
  ['a deviation of nothing', { image_std: [0.2, 0, 0.2] }, /processor_config\.json: image_processor\.image_std/],
]
for (const [name, settings, says] of BAD) {
  test(`nested settings that are ${name} are refused by file and key`, async () => {
    const error = await Engine.open({ model: folderWith(`bad ${name}`, { [NESTED]: nested(settings) }) }).catch((e: Error) => e)
    assert.match((error as Error).message, says)
  })
}

test.run()
