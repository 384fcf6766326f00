/**
 * Trainings of Qwen2.5-VL and Qwen3-VL from beginning to end: what is trained opens again and says what its trainer said;
 * packing, threads and recomputation change nothing; frozen parts stay.
 */
import { basename, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative, type NativeTrainBatch, type NativeTrainer } from '../../ts/engine/native.ts'
import { openTrainable } from '../../ts/engine/trainable.ts'
import { copyCheckpoint, editJson, pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'
import { readJson, readTensors, relativeDistance } from '../helpers/golden.ts'
import { failure, policyRows, prmRows, randomPicture, tinyCheckpoint, train, workFolder, writeRows } from '../helpers/training.ts'

const native = loadNative()
const work = workFolder()
const MODELS = [/Qwen2_5_VL/, /Qwen3VL/].map((architecture) => pickCheckpoint({ vision: true, architecture }))
const [SAMPLE] = prmRows(1) as { question: string; steps: string[]; labels: number[] }[]
const ASKED = 'Is <image> more than <image>, or <image>?'
const TRAINING = {
  compute: 'f32',
  threads: 1,
  freeze: [],
  recompute: false,
  seed: 0,
  lossWeight: 'token',
  saveAs: 'full',
} as const

type Shown = { question?: string; image?: string; images?: string[] }

/** No picture, one, several in front, several in the text. */
function shownOf(model: string): Shown[] {
  const [first = '', second = ''] = picturesOf(model)
  const images = [first, second, first]
  return [{}, { image: first }, { images }, { question: ASKED, images }]
}

async function checkPredictions(model: string, allShown: readonly Shown[]): Promise<void> {
  await using trainer = await openTrainable({ ...TRAINING, task: 'prm', init: model })
  await using engine = await Engine.open({ model, weights: 'f32', cpu: { threads: 1 } })
  for (const shown of allShown) {
    const row = await trainer.encode({ id: 'a', group: 'a', ...(SAMPLE as object), ...shown } as never)
    const { predictions } = await trainer.evaluate([row])
    const scores = await engine.scoreSteps({ question: SAMPLE?.question ?? '', steps: SAMPLE?.steps ?? [], ...shown })
    assert.ok(relativeDistance(scores, predictions[0] as Float32Array) < 1e-5, `${JSON.stringify(shown)}: ${scores}`)
  }
}

function rowsWithPictures(rows: Record<string, unknown>[], model: string): Record<string, unknown>[] {
  const shown = shownOf(model)
  return rows.map((row, i) => ({ ...row, ...shown[i % shown.length] }))
}

const partOf = (name: string) =>
  !/visual\./.test(name) ? 'language' : /visual\.(deepstack_)?merger/.test(name) ? 'projector' : 'vision'

/** Parts of which some tensor is another than before. */
function movedParts(before: string, after: string): string[] {
  const base = readTensors(join(before, 'model.safetensors'))
  const now = readTensors(join(after, 'model.safetensors'))
  assert.equal([...now.keys()].sort(), [...base.keys()].sort())
  const moved = [...now].filter(([name, { data, shape }]) => {
    assert.equal(shape, base.get(name)?.shape, name)
    return relativeDistance(data as Float32Array, base.get(name)?.data as Float32Array) > 0
  })
  return [...new Set(moved.map(([name]) => partOf(name)))].sort()
}

for (const model of MODELS) {
  const name = basename(model)
  const like = model

  test(`${name}: a PRM learns from pictures and text, scores what its trainer predicts, and so do its adapters`, async () => {
    const init = await tinyCheckpoint(join(work, `${name}-prm-init`), { like, withMarker: false })
    const data = writeRows(join(work, `${name}-prm.jsonl`), rowsWithPictures(prmRows(6), model))
    const out = join(work, `${name}-prm`)
    const { loss } = await train({ task: 'prm', init, data, out, freeze: [], epochs: 15 })
    assert.ok(loss < 0.5, `learnt nothing: ${loss}`)
    assert.is(readJson(join(out, 'mm-prm.json')).template, 'prefill-prm')
    const tokens = readJson(join(out, 'tokenizer_config.json'))
    assert.is(tokens.extra_special_tokens.at(-1), '<prm>')
    assert.is(tokens.added_tokens_decoder, undefined, 'transformers would number its tokens first')
    await checkPredictions(out, shownOf(model))

    const lora = { rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] }
    const common = { task: 'prm', init, data, lora, freeze: ['vision', 'projector'] } as const
    const [merged, apart] = [join(work, `${name}-merged`), join(work, `${name}-apart`)]
    await train({ ...common, out: merged })
    await train({ ...common, out: apart, saveLora: 'adapters' })
    const request = { question: ASKED, images: picturesOf(model).slice(0, 3), steps: ['a', 'b'] }
    const scores: number[][] = []
    for (const opened of [{ model: merged }, { model: init, adapters: [apart] }]) {
      await using engine = await Engine.open({ ...opened, weights: 'f32', cpu: { threads: 1 } })
      scores.push([...(await engine.scoreSteps(request))])
    }
    assert.ok(relativeDistance(scores[0] as number[], scores[1] as number[]) < 1e-5, `${scores}`)
  })

  test(`${name}: a policy, with the tower frozen, with all but the tower frozen, and in bf16`, async () => {
    const init = await tinyCheckpoint(join(work, `${name}-policy-init`), { like })
    const data = writeRows(join(work, `${name}-policy.jsonl`), rowsWithPictures(policyRows(8), model))
    const common = { task: 'policy', init, data, schedule: 'constant' } as const
    for (const [freeze, moved] of [
      [['vision'], ['language', 'projector']],
      [['language', 'projector'], ['vision']],
    ] as const) {
      const out = join(work, `${name}-${freeze.join('-')}`)
      await train({ ...common, out, freeze: [...freeze] })
      assert.equal(movedParts(init, out), moved)
    }
    const out = join(work, `${name}-bf16`)
    await train({ ...common, out, freeze: [], compute: 'bf16', dtype: 'bf16', epochs: 2 })
    await using engine = await Engine.open({ model: out, cpu: { threads: 1 } })
    const [image = ''] = picturesOf(model)
    const [completion] = await engine.generate({ question: 'What is 3 plus 4?', image, maxTokens: 8, seed: 1 })
    assert.ok((completion?.tokens.length ?? 0) > 0)
  })

  test(`${name}: packed paths equal separate ones; threads and recomputation change no bit, a frozen tower no gradient`, async () => {
    const run = async (options: object, packed: boolean) => {
      const trainer = await open(model, options)
      const { loss, numRows } = await trainer.accumulate(await paths(model, packed), 1)
      const gradients = new Map<string, Float32Array>()
      for (const tensor of trainer.tensorNames()) gradients.set(tensor, await trainer.tensor(tensor, 'gradient'))
      await trainer.close()
      return { loss, numRows, gradients, all: Float64Array.from([...gradients.values()].flatMap((g) => [...g])) }
    }
    for (const compute of ['f32', 'bf16']) {
      const [kept, again] = [await run({ compute }, true), await run({ compute, recompute: true, threads: 1 }, true)]
      assert.is(kept.loss, again.loss)
      assert.equal(kept.gradients, again.gradients, compute)
    }
    const [tree, apart] = [await run({}, true), await run({}, false)]
    assert.ok(tree.numRows < apart.numRows)
    assert.ok(Math.abs(tree.loss - apart.loss) < 1e-6 * apart.loss)
    assert.ok(relativeDistance(tree.all, apart.all) < 3e-6, `${relativeDistance(tree.all, apart.all)}`)
    const frozen = await run({ trainVision: false }, true)
    for (const [tensor, gradient] of frozen.gradients) {
      assert.equal(gradient, partOf(tensor) === 'vision' ? new Float32Array() : tree.gradients.get(tensor), tensor)
    }
  })

  test(`${name}: pictures and templates that do not fit are refused by name`, async () => {
    const trainer = await open(model, {})
    const data = await paths(model, true)
    const tile = { ...data, images: [await randomPicture(40, 'tile')] }
    await failure(trainer.accumulate(tile, 1), 'INVALID_ARGUMENT', /image 0 has 1 tiles of 40 x 40 pixels.*multiples of \d+/)
    const [sample] = data.samples
    const short = { ...data, samples: [{ ...sample, tokens: sample?.tokens.slice(1) }] } as NativeTrainBatch
    await failure(trainer.accumulate(short, 1), 'INVALID_ARGUMENT', /sample 0 .* has \d+ image tokens, its images have \d+ rows/)
    await trainer.close()
    const init = { ...TRAINING, task: 'prm', init: model } as const
    await failure(
      openTrainable({ ...init, template: 'internvl2_5-prm-train' }),
      'INVALID_ARGUMENT',
      /internvl2_5-prm-train.*prefill-prm/,
    )
    await failure(
      train({
        task: 'prm',
        init: model,
        maxTiles: 2,
        out: join(work, 'x'),
        data: writeRows(join(work, 'x.jsonl'), rowsWithPictures(prmRows(2), model)),
      }),
      'INVALID_ARGUMENT',
      /whole pictures and no tiles/,
    )
  })
}

test('the published, flat config: a run on text alone, and one on pictures, open again', async () => {
  const [model = ''] = MODELS
  const init = join(work, 'flat')
  copyCheckpoint(model, init)
  editJson(init, 'config.json', (json) => {
    const { text_config, vision_config } = json
    const { rope_parameters: rope, model_type, dtype, ...text } = text_config
    delete json.text_config
    Object.assign(json, { ...text, ...json, rope_theta: rope.rope_theta })
    json.rope_scaling = { type: 'mrope', mrope_section: rope.mrope_section }
    json.vision_config = { ...vision_config, model_type: 'qwen2_5_vl' }
    delete json.vision_config.rope_parameters
  })
  const common = { task: 'prm', freeze: ['vision'] } as const
  const [text, seeing] = [join(work, 'flat-text'), join(work, 'flat-seeing')]
  await train({ ...common, init, data: writeRows(join(work, 'text.jsonl'), prmRows(4)), out: text })
  const data = writeRows(join(work, 'seeing.jsonl'), rowsWithPictures(prmRows(4), model))
  await train({ ...common, init: text, data, out: seeing })
  assert.equal(movedParts(text, seeing), ['language', 'projector'])
  await checkPredictions(seeing, shownOf(model))

  const apart = join(work, 'flat-adapters')
  const lora = { rank: 2, alpha: 4, targets: ['o_proj'] }
  await train({ ...common, init, data, out: apart, lora, freeze: ['vision', 'projector'], saveLora: 'adapters' })
  // The file says model.layers, a running model model.language_model.layers, which PEFT looks for without a word.
  const expected = /^base_model\.model\.model\.language_model\.layers\.\d+\.self_attn\.o_proj\.lora_[AB]\.weight$/
  const names = [...readTensors(join(apart, 'adapter_model.safetensors')).keys()]
  assert.ok(names.length > 0 && names.every((name) => expected.test(name)), names.join(' '))
  await using engine = await Engine.open({ model: init, adapters: [apart], cpu: { threads: 1 } })
  assert.is((await engine.scoreSteps({ question: 'q', steps: ['a', 'b'] })).length, 2)
})

function open(model: string, options: object): Promise<NativeTrainer> {
  const all = { trainVision: true, trainProjector: true, trainLanguage: true, recompute: false, newTokens: new Int32Array() }
  const lora = { loraRank: 0, loraAlpha: 0, loraTargets: [], seed: 3n }
  return native.openTrainer({ model, compute: 'f32', isa: '', threads: 2, ...all, ...lora, ...options })
}

/** Three paths of one question with a picture of 3 by 2 merge blocks; `packed`: as one tree. */
async function paths(model: string, packed: boolean): Promise<NativeTrainBatch> {
  const { image_mean: mean, image_std: std, patch_size } = readJson(join(model, 'preprocessor_config.json'))
  const [width, height] = [6 * patch_size, 4 * patch_size]
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * i * 31 + i * 7) % 256)
  const whole = { factor: 2 * patch_size, minPixels: 1, maxPixels: 10 * width * height, mean, std }
  const { image_token_id: imageToken } = readJson(join(model, 'config.json'))
  const shared = [...Array(6).fill(imageToken), 20, 30, 40, 50]
  const samples = [[60, 70, 80], [60, 70, 90, 100], [110]].map((tail, i) => {
    const tokens = Int32Array.from([...shared, ...tail])
    return {
      tokens,
      images: Int32Array.of(0),
      group: packed ? 0 : i,
      tokenWeights: Float32Array.from(tokens, (_, t) => (t < shared.length - 2 ? 0 : 1)),
      markers: new Int32Array(),
      labels: new Float32Array(),
      markerWeights: new Float32Array(),
    }
  })
  return { task: 'tokens', samples, images: [await native.cutPicture(rgb, width, height, whole)], imageToken }
}
test.run()
