/** Qwen2.5-VL and Qwen3-VL: what is packed, cached or sampled beside others has the bits of what runs alone; bad configs are named. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import {
  copyCheckpoint,
  editJson,
  pickCheckpoint,
  picturesOf,
  readSafetensors,
  writeSafetensors,
} from '../helpers/checkpoint-files.ts'
import { readJson } from '../helpers/golden.ts'

const MODELS = [/Qwen2_5_VL/, /Qwen3VL/].map((architecture) => pickCheckpoint({ vision: true, architecture }))
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-qwen-vl-'))
test.after(() => rmSync(scratch, { recursive: true }))

interface Asked {
  tokens: number[]
  images: string[]
}
/** The golden prompts with pictures, the longest first. */
function promptsOf(model: string): Asked[] {
  // biome-ignore lint/suspicious/noExplicitAny: cases are plain data
  const cases: any[] = readJson(join(model, 'golden.json')).cases
  return cases
    .filter((c) => c.kind === 'chatImage' && c.images.length > 0)
    .map((c) => ({ tokens: c.inputIds, images: c.images.map((name: string) => join(model, name)) }))
    .sort((a, b) => b.tokens.length - a.tokens.length)
}

const GREEDY = { sampling: { temperature: 0 }, stopAtEnd: false, maxTokens: 12, logprobs: true }
const written = async (engine: Engine, asked: Asked, n = 1) =>
  (await engine.generate({ ...asked, ...GREEDY, n })).map(({ tokens, logprobs }) => ({ tokens, logprobs }))

for (const model of MODELS) {
  test(`${model.split('/').pop()}: alone, beside others and out of the cache`, async () => {
    const prompts = promptsOf(model)
    const alone: unknown[] = []
    for (const asked of prompts) {
      await using engine = await Engine.open({ model, weights: 'f32' })
      alone.push((await written(engine, asked))[0])
    }
    await using engine = await Engine.open({ model, weights: 'f32' })
    const together = await Promise.all(prompts.map((asked) => written(engine, asked, 3)))
    const again = await Promise.all(prompts.map((asked) => written(engine, asked)))
    prompts.forEach((_, i) => {
      for (const sample of [...(together[i] ?? []), ...(again[i] ?? [])]) assert.equal(sample, alone[i], `prompt ${i}`)
    })
    assert.ok(engine.stats().reusedTokens > 0, 'the cache was of use')
  })

  test(`${model.split('/').pop()}: what a step sees of a picture is what the whole pass sees`, async () => {
    const [asked] = promptsOf(model)
    if (!asked) throw new Error('no prompt with a picture')
    await using engine = await Engine.open({ model, weights: 'f32' })
    const [sample] = await written(engine, asked)
    const tokens = [...asked.tokens, ...(sample?.tokens ?? []).slice(0, -1)]
    const rows = Array.from({ length: GREEDY.maxTokens }, (_, i) => asked.tokens.length - 1 + i)
    const { logits, width } = await engine.logits({ ...asked, tokens, rows })
    const best = rows.map((_, i) => {
      const row = logits.subarray(i * width, (i + 1) * width)
      return row.indexOf(row.reduce((a, b) => Math.max(a, b)))
    })
    assert.equal(best, sample?.tokens)
  })
}

test('pictures that the prompt has no places for are refused, as are tiles', async () => {
  const [model = ''] = MODELS
  const [picture = ''] = picturesOf(model)
  await using engine = await Engine.open({ model, weights: 'f32' })
  const [asked] = promptsOf(model)
  const message = async (request: object) =>
    ((await engine.generate({ maxTokens: 1, ...request } as never).catch((e: Error) => e)) as Error).message
  assert.match(await message({ ...asked, images: [picture] }), /image tokens, its images have \d+ rows/)
  assert.match(await message({ ...asked, maxTiles: 2 }), /reads whole pictures and no tiles/)
  assert.match(await message({ messages: [{ role: 'user', content: '<image> <image>' }], image: picture }), /2 marks <image>/)
})

test('features reach the language model as the tower gives them, in whatever order the config names their layers', async () => {
  const [, model = ''] = MODELS
  const folder = join(scratch, 'order')
  copyCheckpoint(model, folder)
  editJson(folder, 'config.json', (c) => c.vision_config.deepstack_visual_indexes.reverse())
  const { header, data } = readSafetensors(folder)
  const swapped = Object.entries(header).map(([name, entry]) => [
    name.replace(/(deepstack_merger_list\.)([01])\./, (_, list: string, place: string) => `${list}${1 - Number(place)}.`),
    entry,
  ])
  writeSafetensors(folder, Object.fromEntries(swapped), data)
  const [asked] = promptsOf(model)
  const both = []
  for (const from of [model, folder]) {
    await using engine = await Engine.open({ model: from, weights: 'f32' })
    both.push(await written(engine, asked as Asked))
  }
  assert.equal(both[0], both[1])
})

test('without its chat template a model is asked in nobody else’s', async () => {
  const [model = ''] = MODELS
  const folder = join(scratch, 'no-template')
  copyCheckpoint(model, folder)
  rmSync(join(folder, 'chat_template.jinja'))
  await using engine = await Engine.open({ model: folder })
  const images = picturesOf(model).slice(0, 1)
  for (const request of [{ question: 'How many?', images }, { messages: [{ role: 'user', content: 'How many?' }] }]) {
    const error = await engine.generate({ maxTokens: 1, ...request } as never).catch((e: unknown) => e)
    assert.match((error as Error).message, /this model folder has no chat template/)
  }
})

// biome-ignore lint/suspicious/noExplicitAny: configs are plain data
type Edit = (json: any) => void
const BAD: [string, number, string, Edit, RegExp][] = [
  [
    'sections',
    0,
    'config.json',
    (c) => void (c.text_config.rope_parameters.mrope_section = [2, 3, 4]),
    /mrope_section" adds up to 9/,
  ],
  [
    'no sections',
    1,
    'config.json',
    (c) => void delete c.text_config.rope_parameters.mrope_section,
    /mrope_section" must be three/,
  ],
  ['rope', 0, 'config.json', (c) => void (c.text_config.rope_parameters.rope_type = 'spiral'), /rope_type" is "spiral"/],
  [
    'places',
    0,
    'config.json',
    (c) => void (c.image_token_id = 7),
    /"image_token_id" is 7, but in the tokenizer <\|image_pad\|> is \d+/,
  ],
  ['width', 0, 'config.json', (c) => void (c.vision_config.out_hidden_size = 32), /out_hidden_size" is 32, but .* width is 64/],
  ['table', 1, 'config.json', (c) => void (c.vision_config.num_position_embeddings = 35), /35, which is no square/],
  ['features', 1, 'config.json', (c) => void (c.vision_config.deepstack_visual_indexes = [9]), /layers from 0 to 3/],
  ['twice', 1, 'config.json', (c) => void (c.vision_config.deepstack_visual_indexes = [1, 0, 1]), /names layer 1 twice/],
  ['window', 0, 'config.json', (c) => void (c.vision_config.window_size = 8), /window_size" is 8/],
  ['depth', 0, 'config.json', (c) => void (c.vision_config.depth = 5), /missing .*\n.*blocks\.4\./],
  ['budget', 0, 'preprocessor_config.json', (c) => void (c.size = { shortest_edge: 10, longest_edge: 100 }), /allows 100 pixels/],
  [
    'crossed',
    1,
    'preprocessor_config.json',
    (c) => void (c.size = { shortest_edge: 9000, longest_edge: 5000 }),
    /fewer pixels at most/,
  ],
  ['no resizing', 0, 'preprocessor_config.json', (c) => void (c.do_resize = false), /do_resize" is false/],
  ['pixels as they are', 1, 'preprocessor_config.json', (c) => void (c.do_normalize = false), /do_normalize" is false/],
  [
    'another range',
    1,
    'preprocessor_config.json',
    (c) => void (c.rescale_factor = 1 / 127.5),
    /rescale_factor" is not one over 255/,
  ],
  ['another filter', 0, 'preprocessor_config.json', (c) => void (c.resample = 2), /resample" is not 3/],
  ['patch', 1, 'preprocessor_config.json', (c) => void (c.patch_size = 14), /patch_size" is not the 16 of config\.json/],
]
for (const [name, which, file, edit, expected] of BAD) {
  test(`a checkpoint that contradicts itself is named: ${name}`, async () => {
    const folder = join(scratch, name)
    copyCheckpoint(MODELS[which] as string, folder)
    editJson(folder, file, edit)
    const error = await Engine.open({ model: folder }).catch((e: unknown) => e)
    assert.instance(error, EngineError)
    assert.match((error as EngineError).code, /INVALID_MODEL|UNSUPPORTED_MODEL/)
    assert.match((error as EngineError).message, expected)
    assert.match((error as EngineError).message, name === 'depth' ? folder : file)
  })
}

test.run()
