/**
 * Layers that see a window of keys: texts that transformers writes, the same bits whatever stands beside a sequence, and
 * configs that contradict themselves. Logits are compared in variants.test.ts.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'
import { goldenMachines } from '../helpers/golden.ts'
import { VARIANTS, variantFolder, variantOf } from '../helpers/variants.ts'

const SAMPLING = { temperature: 1, topP: 0.95 }
const WINDOW = { use_sliding_window: true, sliding_window: 20 }
const types = (...slides: boolean[]) => slides.map((s) => (s ? 'sliding_attention' : 'full_attention'))

const UNMARKED = {
  images: new Int32Array(),
  markers: new Int32Array(),
  labels: new Float32Array(),
  markerWeights: new Float32Array(),
  group: 0,
}
const openTrainer = (model: string) =>
  loadNative().openTrainer({
    model,
    compute: 'f32',
    isa: 'reference',
    threads: 2,
    trainVision: false,
    trainProjector: false,
    trainLanguage: true,
    recompute: false,
    newTokens: new Int32Array(),
    loraRank: 0,
    loraAlpha: 0,
    loraTargets: [],
    seed: 3n,
  })

for (const c of VARIANTS.filter(({ kind }) => kind === 'generated')) {
  for (const machine of goldenMachines()) {
    test(`${c.name} on ${machine.name}`, async () => {
      await using engine = await Engine.open({ model: variantFolder(c), weights: 'f32', ...machine.options })
      const request = { maxTokens: c.tokens.length, sampling: { temperature: 0 }, stopAtEnd: false }
      const [completion] = await engine.generate({ tokens: c.inputIds, ...request })
      assert.equal([...(completion?.tokens ?? [])], c.tokens)
    })
  }
}

for (const machine of goldenMachines()) {
  test(`the same bits alone, among others, behind a kept prefix and in few pages on ${machine.name}`, async () => {
    const model = variantFolder(variantOf('slide-qwen2-some'), { sliding_window: 37 })
    const ids: number[] = variantOf('slide-qwen2-some').inputIds
    const prompts = [ids.slice(0, 300), ids.slice(0, 170), [...ids.slice(0, 200), ...ids.slice(7, 40)], ids.slice(3, 90)]
    const write = async (engine: Engine, tokens: number[], samples: number) =>
      (
        await engine.generate({
          tokens,
          n: samples,
          maxTokens: 45,
          sampling: SAMPLING,
          seed: 3,
          logprobs: true,
          stopAtEnd: false,
        })
      ).map((done) => [...done.tokens, ...(done.logprobs ?? [])])
    const alone: number[][][] = []
    for (const prompt of prompts) {
      await using engine = await Engine.open({ model, ...machine.options })
      alone.push(await write(engine, prompt, 2))
    }
    await using probe = await Engine.open({ model, ...machine.options })
    const few = 70 * probe.stats().bytesPerPage
    await using engine = await Engine.open({ model, ...machine.options, kvCacheBytes: few })
    for (let round = 0; round < 2; round++) {
      const together = await Promise.all(prompts.map((prompt) => write(engine, prompt, 2)))
      for (const [i, written] of together.entries()) assert.equal(written, alone[i], `prompt ${i}, round ${round}`)
    }
    assert.ok(engine.stats().reusedTokens > 0)
  })

  test(`solutions scored together have the bits of each alone on ${machine.name}`, async () => {
    const c = variantOf('token-qwen3')
    const model = variantFolder(c, { ...WINDOW, layer_types: types(true, false, true) })
    const steps: string[] = [...c.steps, 'Check it again: 30 + 12 = 42.', 'So the sum is right.']
    const solutions = [steps, steps.slice(0, 3), [...steps.slice(0, 2), 'Answer: 41'], [...steps.slice(0, 4), 'Wrong.']]
    const score = async (chosen: string[][]) => {
      await using engine = await Engine.open({ model, scoring: 'trl', ...machine.options })
      return await engine.scoreSteps({ question: c.question, solutions: chosen, returnLogits: true })
    }
    const together = await score(solutions)
    for (const [i, solution] of solutions.entries()) {
      const [alone] = await score([solution])
      assert.equal(together[i], alone, `solution ${i}`)
    }
    await using full = await Engine.open({ model: variantFolder(c), scoring: 'trl', ...machine.options })
    const [wide] = await full.scoreSteps({ question: c.question, solutions: [steps], returnLogits: true })
    assert.is.not(together[0]?.scores[4], wide?.scores[4], 'the window changes something')
  })
}

test('training sees what inference sees', async () => {
  const c = variantOf('slide-qwen2-some')
  const model = variantFolder(c)
  await using engine = await Engine.open({ model, weights: 'f32', cpu: { isa: 'reference' } })
  const { logits } = await engine.logits({ tokens: c.inputIds })
  const vocab = engine.info().decoder.vocab
  let sum = 0
  for (let t = 1; t < c.inputIds.length; t++) {
    const row = logits.subarray((t - 1) * vocab, t * vocab)
    const most = Math.max(...row)
    sum += most + Math.log(row.reduce((total, x) => total + Math.exp(x - most), 0)) - (row[c.inputIds[t]] as number)
  }
  const trainer = await openTrainer(model)
  const sample = {
    ...UNMARKED,
    tokens: Int32Array.from(c.inputIds),
    tokenWeights: new Float32Array(c.inputIds.length).fill(1, 1),
  }
  const batch = { task: 'tokens' as const, samples: [sample], images: [], imageToken: -1, pair: Int32Array.of(1, 2) }
  const { loss, weight } = await trainer.evaluate(batch)
  await trainer.close()
  const [actual, expected] = [loss, sum]
  assert.ok(Math.abs(actual - expected) < 1e-5 * expected, `${actual} of ${weight}, expected ${expected}`)
})

test('what an engine says of its window, and what does not slide', async () => {
  for (const [name, config, window, layers] of [
    ['slide-mistral', {}, 40, 3],
    ['slide-qwen2-some', {}, 70, 2],
    ['slide-qwen3-types', {}, 300, 2],
    ['slide-qwen2-some', { max_window_layers: 99 }, 0, 0],
    ['slide-qwen2-some', { max_window_layers: null }, 0, 0], // 28 in transformers
    ['slide-qwen2-some', { use_sliding_window: false }, 0, 0],
    ['slide-qwen3-types', { layer_types: types(false, false, false) }, 0, 0],
    ['slide-mistral', { sliding_window: 4096 }, 0, 0], // all positions fit in
  ] as const) {
    await using engine = await Engine.open({ model: variantFolder(variantOf(name), config) })
    const { slidingWindow, slidingLayers, maxPositions } = engine.info().decoder
    assert.equal([slidingWindow, slidingLayers, maxPositions], [window, layers, 4096], `${name} ${JSON.stringify(config)}`)
  }
})

for (const [what, config, code, says] of [
  [
    'sliding layers without a window',
    { use_sliding_window: false },
    'MODEL',
    /"layer_types" names sliding layers, but use_sliding_window/,
  ],
  ['too few layer types', { layer_types: types(true) }, 'MODEL', /"layer_types" names 1 layers; there are 3/],
  ['types that are no list', { layer_types: 'sliding_attention' }, 'MODEL', /"layer_types" must be an array, not a string/],
  ['a window of nothing', { sliding_window: 0 }, 'MODEL', /"sliding_window" is 0/],
  [
    'layers of another kind',
    { layer_types: ['full_attention', 'chunked_attention', 'full_attention'] },
    'UNSUPPORTED',
    /"chunked_attention"; full_attention and sliding_attention are supported/,
  ],
] as const) {
  test(`${what} are refused`, async () => {
    const error = await Engine.open({ model: variantFolder(variantOf('slide-qwen3-types'), config) }).then(
      () => assert.unreachable('should have been refused'),
      (e: unknown) => e,
    )
    assert.instance(error, EngineError)
    assert.is((error as EngineError).code, code === 'MODEL' ? 'ERR_ENGINE_INVALID_MODEL' : 'ERR_ENGINE_UNSUPPORTED_MODEL')
    assert.match((error as EngineError).message, says)
    assert.match((error as EngineError).message, /config\.json/)
  })
}

test.run()
