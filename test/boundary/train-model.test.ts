/** What training leaves behind: folders that the engine opens, with tokens, template and predictions of the trainer. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { BatchLoss } from '../../ts/contracts/trainer.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { openTokenizer } from '../../ts/engine/tokenizer/index.ts'
import { openTrainable } from '../../ts/engine/trainable.ts'
import { editJson, pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { GOLDEN_ROOT, readJson, readTensors, relativeDistance, type Tensor } from '../helpers/golden.ts'
import {
  failure,
  PICTURE,
  policyRows,
  prmRows,
  QUICK,
  READING,
  SEEING,
  tinyCheckpoint,
  train,
  weightsOf,
  workFolder,
  writeRows,
} from '../helpers/training.ts'

const work = workFolder()
const SAMPLE = prmRows(1)[1] as { question: string; steps: string[]; labels: number[] }
const SCORED = { question: SAMPLE.question, steps: SAMPLE.steps }
const SENTENCEPIECE = pickCheckpoint({ vision: true, file: 'tokenizer.model' })
const OTHER_PICTURE = join(GOLDEN_ROOT, 'images/files/jpeg-q75-420-37x53.jpg')
const HEAD = 'language_model.lm_head.weight'
const EMBEDDING = 'language_model.model.embed_tokens.weight'

const LORA = { rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] }
const OPENED = {
  compute: 'f32',
  threads: 1,
  freeze: ['vision'],
  recompute: false,
  seed: 0,
  lossWeight: 'token',
  saveAs: 'full',
} as const

/** Predictions of the trainer for the sample, in its own fp32. */
async function predictions(
  init: string,
  template: string,
  shown: { question?: string; image?: string; images?: string[] } = {},
): Promise<number[]> {
  await using model = await openTrainable({ ...OPENED, task: 'prm', init, template })
  const row = await model.encode({ id: 'a', group: 'a', ...SAMPLE, ...shown })
  const { predictions } = await model.evaluate([row])
  return [...(predictions[0] as Float32Array)]
}

test('initModel: equal seeds, equal bytes; the engine opens it, writes and scores', async () => {
  const a = await tinyCheckpoint(join(work, 'init-a'), { seed: 7 })
  const b = await tinyCheckpoint(join(work, 'init-b'), { seed: 7 })
  const c = await tinyCheckpoint(join(work, 'init-c'), { seed: 8 })
  assert.ok(weightsOf(a).equals(weightsOf(b)))
  assert.not.ok(weightsOf(a).equals(weightsOf(c)))
  const tensors = readTensors(join(a, 'model.safetensors'))
  const width = readJson(join(a, 'config.json')).vision_config.hidden_size
  assert.equal(tensors.get('vision_model.embeddings.class_embedding')?.shape, [1, 1, width], 'as the hub has it')
  assert.is(tensors.get('vision_model.embeddings.position_embedding')?.shape[0], 1)
  await using engine = await Engine.open({ model: a, weights: 'f32', cpu: { threads: 1 } })
  const scores = await engine.scoreSteps({ question: SAMPLE.question, image: PICTURE, steps: SAMPLE.steps })
  assert.is(scores.length, 2)
  assert.ok(scores.every((p) => p > 0 && p < 1))
  const [completion] = await engine.generate({ question: SAMPLE.question, image: PICTURE, maxTokens: 4, seed: 1 })
  assert.ok((completion?.tokens.length ?? 0) > 0)
})

for (const [name, like, tables] of [
  ['apart', SEEING, [EMBEDDING, HEAD]],
  ['tied', READING, ['model.embed_tokens.weight']],
] as const) {
  test(`<prm> joins the tokenizer and the config; its row is the mean of all others (head ${name})`, async () => {
    const init = await tinyCheckpoint(join(work, `no-marker-${name}`), { like, withMarker: false })
    const before = await openTokenizer(init)
    assert.is(before.pieceId('<prm>'), undefined)
    const id = before.vocabSize
    const out = join(work, `marker-${name}`)
    await using model = await openTrainable({ ...OPENED, task: 'prm', init })
    await model.saveModel(out, { dtype: 'f32', record: {} })

    const tokenizer = await openTokenizer(out)
    assert.is(tokenizer.pieceId('<prm>'), id)
    assert.equal(tokenizer.encodePlain('<prm>').includes(id), false, 'plain text is never a marker')
    const added = readJson(join(out, 'tokenizer.json')).added_tokens.at(-1)
    assert.equal([added.id, added.content, added.special], [id, '<prm>', true])
    assert.is(readJson(join(out, 'tokenizer_config.json')).added_tokens_decoder[id].content, '<prm>')
    const config = readJson(join(out, 'config.json'))
    const { vocab_size } = config.llm_config ?? config
    assert.is(vocab_size, id + 1)

    const [old, now] = [readTensors(join(init, 'model.safetensors')), readTensors(join(out, 'model.safetensors'))]
    assert.equal([...now.keys()].sort(), [...old.keys()].sort())
    for (const [tensor, { data, shape }] of now) {
      const from = old.get(tensor)?.data as Float32Array
      if (!(tables as readonly string[]).includes(tensor)) {
        assert.equal(data, from, tensor)
        continue
      }
      const width = shape[1] as number
      assert.equal(shape, [id + 1, width], tensor)
      assert.equal(data.slice(0, id * width), from, `${tensor}: rows that were there stay`)
      const mean = Array.from({ length: width }, (_, c) => {
        let sum = 0
        for (let r = 0; r < id; r++) sum += from[r * width + c] as number
        return Math.fround(sum / id)
      })
      assert.equal([...(data.slice(id * width) as Float32Array)], mean, `${tensor}: the new row`)
    }
  })
}

test('a vocabulary without Yes and No gets them too, and learns to tell them apart', async () => {
  const init = await tinyCheckpoint(join(work, 'no-reward'), { withMarker: false, withReward: false })
  const before = await openTokenizer(init)
  assert.equal(
    ['<prm>', 'Yes', 'No'].map((piece) => before.pieceId(piece)),
    [undefined, undefined, undefined],
  )
  const data = writeRows(join(work, 'no-reward.jsonl'), prmRows(6))
  const out = join(work, 'no-reward-out')
  const common = { task: 'prm', init, data } as const
  const { loss } = await train({ ...common, out, epochs: 20 })
  assert.ok(loss < 0.45, `learnt nothing: ${loss}`)
  const tokenizer = await openTokenizer(out)
  const first = before.vocabSize
  assert.equal(
    ['<prm>', 'Yes', 'No'].map((piece) => tokenizer.pieceId(piece)),
    [first, first + 1, first + 2],
  )
  const text = 'Yes or No'
  assert.equal(tokenizer.encodePlain(text), before.encodePlain(text), 'texts of users are tokenised as before')
  await using engine = await Engine.open({ model: out, weights: 'f32', cpu: { threads: 1 } })
  const expected = await predictions(out, 'internvl2_5-prm-train')
  assert.ok(relativeDistance(await engine.scoreSteps(SCORED), expected) < 1e-5)

  await failure(
    train({ ...common, out: join(work, 'x'), freeze: ['vision', 'language'] }),
    'INVALID_ARGUMENT',
    /lacks the pieces Yes and No/,
  )
  await failure(train({ ...common, out: join(work, 'x'), lora: LORA }), 'INVALID_ARGUMENT', /lacks the pieces Yes and No/)
})

test('a tokenizer of SentencePiece gets the marker too', async () => {
  const init = await tinyCheckpoint(join(work, 'sentencepiece'), { like: SENTENCEPIECE })
  editJson(init, 'added_tokens.json', (json) => delete json['<prm>'])
  editJson(init, 'tokenizer_config.json', (json) => {
    for (const [id, token] of Object.entries<{ content: string }>(json.added_tokens_decoder)) {
      if (token.content === '<prm>') delete json.added_tokens_decoder[id]
    }
  })
  assert.is((await openTokenizer(init)).pieceId('<prm>'), undefined)
  const out = join(work, 'sentencepiece-out')
  await using model = await openTrainable({ ...OPENED, task: 'prm', init })
  await model.saveModel(out, { dtype: 'f32', record: {} })
  const id = (await openTokenizer(init)).vocabSize
  assert.is((await openTokenizer(out)).pieceId('<prm>'), id)
  assert.is(readJson(join(out, 'added_tokens.json'))['<prm>'], id)
  await using engine = await Engine.open({ model: out, cpu: { threads: 1 } })
  assert.is((await engine.scoreSteps({ question: 'q', steps: ['a', 'b'] })).length, 2)
})

test('a step without a label is predicted, but counts neither for the loss nor for the accuracy', async () => {
  const init = await tinyCheckpoint(join(work, 'null-init'))
  await using model = await openTrainable({ ...OPENED, task: 'prm', init })
  const results = []
  for (const labels of [
    [0.75, null],
    [0.75, 1],
  ]) {
    results.push(await model.evaluate([await model.encode({ id: 'a', group: 'a', ...SAMPLE, labels })]))
  }
  const [half, whole] = results as [BatchLoss, BatchLoss]
  assert.equal([half.numTerms, half.weight, whole.numTerms, whole.weight], [1, 1, 2, 2])
  assert.equal(half.predictions, whole.predictions)
  const [first, second] = whole.predictions[0] as Float32Array as unknown as [number, number]
  const loss = -0.75 * Math.log(first) - 0.25 * Math.log(1 - first)
  assert.ok(Math.abs(half.loss - loss) < 1e-6)
  assert.ok(Math.abs(whole.loss - loss + Math.log(second)) < 1e-6)
})

test('a policy learns the solution and the end of its turn, not the prompt; samples weigh by tokens, alike, or between', async () => {
  const init = await tinyCheckpoint(join(work, 'rows-init'))
  const tokenizer = await openTokenizer(init)
  const sample = { id: 'a', group: 'a', question: 'What is 1 + 1?', image: PICTURE, steps: ['It is 2.', 'Sure.'], answer: '2' }
  for (const [lossWeight, total] of [
    ['token', (n: number) => n],
    ['sample', () => 1],
    ['square', Math.sqrt],
  ] as const) {
    await using model = await openTrainable({ ...OPENED, task: 'policy', init, lossWeight })
    const { tokens, tokenWeights, weight } = await model.encode(sample)
    const first = tokenWeights.findIndex((w) => w > 0)
    assert.ok(
      tokenWeights.slice(first).every((w) => w === tokenWeights[first]),
      'all that is learnt weighs alike',
    )
    const [prompt, learnt] = [tokens.slice(0, first), tokens.slice(first)]
    assert.is(tokenizer.decode([...learnt]), '<step>It is 2.</step><step>Sure.</step><answer>2</answer><|im_end|>')
    assert.match(tokenizer.decode([...prompt]), /<IMG_CONTEXT>.*What is 1 \+ 1\?<\|im_end\|>\n<\|im_start\|>assistant\n$/s)
    assert.ok(Math.abs(weight - total(learnt.length)) < 1e-5)
  }
})

test('a trained policy writes; its record says how it was trained', async () => {
  const init = await tinyCheckpoint(join(work, 'policy-init'))
  const data = writeRows(join(work, 'policy.jsonl'), policyRows(8, { image: PICTURE }))
  const out = join(work, 'policy')
  const result = await train({ task: 'policy', init, data, out, dtype: 'bf16', epochs: 2 })
  assert.is(result.steps, 4)
  assert.is(result.numSkipped, 0)
  const record = readJson(join(out, 'mm-prm.json'))
  assert.equal([record.task, record.template, record.training.learningRate], ['policy', 'prefill', QUICK.learningRate])
  assert.is(readJson(join(out, 'config.json')).torch_dtype, 'bfloat16')
  assert.ok(weightsOf(out).length < 0.6 * weightsOf(init).length)
  await using engine = await Engine.open({ model: out, cpu: { threads: 1 } })
  const [completion] = await engine.generate({ question: 'What is 3 plus 4?', image: PICTURE, maxTokens: 8, seed: 1 })
  assert.ok((completion?.tokens.length ?? 0) > 0)
})

for (const template of ['internvl2_5-prm-train', 'internvl2_5-prm-score']) {
  test(`scoreSteps of a trained PRM is what its trainer predicts (${template})`, async () => {
    const init = await tinyCheckpoint(join(work, `prm-init-${template}`), { withMarker: false })
    const data = writeRows(join(work, 'prm.jsonl'), prmRows(6, { image: PICTURE }))
    const out = join(work, template)
    const { loss } = await train({ task: 'prm', init, data, out, template, epochs: 20 })
    assert.ok(loss < 0.45, `learnt nothing: ${loss}`)
    assert.is(readJson(join(out, 'mm-prm.json')).template, template)
    await using engine = await Engine.open({ model: out, weights: 'f32', cpu: { threads: 1 } })
    const images = [PICTURE, OTHER_PICTURE, PICTURE]
    const placed = { question: 'Is <image> more than <image>, or <image>?', images }
    for (const shown of [{ image: PICTURE }, {}, { images }, placed]) {
      const expected = await predictions(out, template, shown)
      const scores = await engine.scoreSteps({ ...SCORED, ...shown })
      scores.forEach((p, i) => {
        assert.ok(Math.abs(p - (expected[i] as number)) < 1e-5, `step ${i}: ${p}, the trainer says ${expected[i]}`)
      })
    }
  })
}

test('LoRA: adapters saved apart, added to the base, are the merged weights', async () => {
  const init = await tinyCheckpoint(join(work, 'lora-init'), { withMarker: false })
  const data = writeRows(join(work, 'lora.jsonl'), prmRows(6, { image: PICTURE }))
  const common = { task: 'prm', init, data, lora: LORA, freeze: ['vision', 'projector'], epochs: 4 } as const
  const [merged, apart] = [join(work, 'lora-merged'), join(work, 'lora-apart')]
  await train({ ...common, out: merged })
  await train({ ...common, out: apart, saveLora: 'adapters' })

  assert.not.ok(existsSync(join(apart, 'model.safetensors')))
  const config = readJson(join(apart, 'adapter_config.json'))
  assert.equal([config.peft_type, config.r, config.lora_alpha, config.target_modules], ['LORA', 4, 8, LORA.targets])
  const excluded = new RegExp(`^(?:${config.exclude_modules})$`)
  assert.equal(
    ['model.vision_tower.encoder.layer.0.attention.q_proj', 'model.language_model.layers.0.self_attn.q_proj'].map((n) =>
      excluded.test(n),
    ),
    [true, false],
  )
  const adapters = readTensors(join(apart, 'adapter_model.safetensors'))
  const [base, full] = [readTensors(join(init, 'model.safetensors')), readTensors(join(merged, 'model.safetensors'))]
  let adapted = 0
  for (const [name, { data: now, shape }] of full) {
    const module = `base_model.model.${name.replace(/\.weight$/, '')}`
    const [a, b] = [adapters.get(`${module}.lora_A.weight`), adapters.get(`${module}.lora_B.weight`)]
    if (name === EMBEDDING || name === HEAD) {
      assert.equal(adapters.get(`base_model.model.${name}`)?.data, now, `${name} goes with the adapters: it has a new row`)
    } else if (a && b) {
      adapted++
      assert.ok(relativeDistance(now as Float32Array, addProduct(base.get(name)?.data as Float32Array, a, b, shape)) < 1e-7, name)
      assert.ok(relativeDistance(now as Float32Array, base.get(name)?.data as Float32Array) > 1e-4, `${name} did not move`)
    } else {
      assert.equal(now, base.get(name)?.data, `${name} was not to be trained`)
    }
  }
  assert.is(adapted, 2 * LORA.targets.length)
  assert.is(adapters.size, 2 * adapted + 2)
  await using engine = await Engine.open({ model: merged, weights: 'f32', cpu: { threads: 1 } })
  const expected = await predictions(merged, 'internvl2_5-prm-train', { image: PICTURE })
  const scores = await engine.scoreSteps({ ...SCORED, image: PICTURE })
  assert.ok(relativeDistance(scores, expected) < 1e-5)
})

/** base + (alpha / rank)·B·A. */
function addProduct(base: Float32Array, a: Tensor, b: Tensor, shape: number[]): number[] {
  const [rows, cols] = shape as [number, number]
  const out = [...base]
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < LORA.rank; j++) {
      const scale = (LORA.alpha / LORA.rank) * (b.data[r * LORA.rank + j] as number)
      for (let c = 0; c < cols; c++) (out[r * cols + c] as number) += scale * (a.data[j * cols + c] as number)
    }
  }
  return out
}

test('LoRA beside a trained projector: merged yes, apart no, and that is said before anything is trained', async () => {
  const init = await tinyCheckpoint(join(work, 'lora-projector'))
  const data = writeRows(join(work, 'lora-projector.jsonl'), prmRows(4, { image: PICTURE }))
  const common = { task: 'prm', init, data, lora: LORA } as const
  const out = join(work, 'lora-projector-out')
  await failure(train({ ...common, out, saveLora: 'adapters' }), 'INVALID_ARGUMENT', /projector.*freeze/)
  assert.not.ok(existsSync(join(out, 'metrics.jsonl')))
  await train({ ...common, out })
  const [base, now] = [readTensors(join(init, 'model.safetensors')), readTensors(join(out, 'model.safetensors'))]
  const moved = [...now].filter(([name, t]) => relativeDistance(t.data as Float32Array, base.get(name)?.data as Float32Array) > 0)
  const parts = new Set(moved.map(([name]) => (name.startsWith('mlp1') ? 'projector' : name.split('.').at(-2))))
  assert.equal([...parts].sort(), ['down_proj', 'projector', 'q_proj', 'v_proj'])
  await failure(
    train({ ...common, lora: { ...LORA, targets: ['q_proj', 'wqkv'] }, out: join(work, 'x') }),
    'INVALID_ARGUMENT',
    /does not have: wqkv; it has.*k_proj/,
  )
})

for (const freeze of [['vision'], ['vision', 'projector'], ['language'], ['language', 'projector']] as const) {
  test(`freeze: ${freeze.join(' and ')} stay as they are, the rest moves`, async () => {
    const init = join(work, 'policy-init')
    const data = writeRows(join(work, 'freeze.jsonl'), policyRows(4, { image: PICTURE }))
    const out = join(work, `freeze-${freeze.join('-')}`)
    await train({ task: 'policy', init, data, out, freeze: [...freeze], schedule: 'constant' })
    const base = readTensors(join(init, 'model.safetensors'))
    const moved = new Set<string>()
    for (const [name, { data: now }] of readTensors(join(out, 'model.safetensors'))) {
      const part = name.startsWith('mlp1') ? 'projector' : name.startsWith('vision') ? 'vision' : 'language'
      const distance = relativeDistance(now as Float32Array, base.get(name)?.data as Float32Array)
      if (distance > 0) moved.add(part)
      else assert.ok((freeze as readonly string[]).includes(part) || isUnused(name), `${name} did not move`)
    }
    const expected = ['vision', 'projector', 'language'].filter((part) => !(freeze as readonly string[]).includes(part))
    assert.equal([...moved].sort(), expected.sort())
  })
}

/** Biases that begin at 0 and cancel in the softmax have a gradient of 0 but for rounding. */
const isUnused = (name: string) => name.endsWith('k_proj.bias')

test('recomputed activations: the same bits', async () => {
  const init = join(work, 'policy-init')
  const data = writeRows(join(work, 'recompute.jsonl'), policyRows(8, { image: PICTURE }))
  const common = { task: 'policy', init, data, freeze: [], compute: 'bf16' } as const
  await train({ ...common, out: join(work, 'kept'), threads: 1 })
  await train({ ...common, out: join(work, 'recomputed'), threads: 2, recompute: true })
  assert.ok(weightsOf(join(work, 'kept')).equals(weightsOf(join(work, 'recomputed'))))
})

test('parts that leave nothing to train are refused', async () => {
  const data = writeRows(join(work, 'head.jsonl'), prmRows(2))
  const refused = { task: 'prm', data, out: join(work, 'refused') } as const
  await failure(
    train({ ...refused, init: SEEING, freeze: ['vision', 'projector', 'language'] }),
    'INVALID_ARGUMENT',
    /all is frozen/,
  )
})
test.run()
