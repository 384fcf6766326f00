/**
 * Golden checkpoints under another config or with another head, against transformers (variants/make.py): rope scaling by
 * YaRN, sliding windows, classifiers of tokens and sequences. And what is refused beside them.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { goldenMachines, relativeDistance } from '../helpers/golden.ts'
import { floatsOf, VARIANTS, type Variant, variantFolder, variantOf } from '../helpers/variants.ts'

const FP32_RELATIVE = 1e-4
const FP32_SCORE = 1e-5
const BF16_RELATIVE = 3e-2

async function refusal(run: () => Promise<unknown>): Promise<EngineError> {
  const error = await run().then(
    () => assert.unreachable('should have been refused'),
    (e: unknown) => e,
  )
  assert.instance(error, EngineError)
  return error as EngineError
}

async function logitsOf(c: Variant, options: object): Promise<Float32Array> {
  await using engine = await Engine.open({ model: variantFolder(c), ...options })
  return (await engine.logits({ tokens: c.inputIds, rows: c.rows })).logits
}

async function scoresOf(c: Variant, options: object) {
  await using engine = await Engine.open({ model: variantFolder(c), scoring: 'trl', ...options })
  return await engine.scoreSteps({ question: c.question, steps: c.steps, returnLogits: true })
}

for (const c of VARIANTS.filter(({ kind }) => kind !== 'generated')) {
  for (const machine of goldenMachines()) {
    test(`${c.name} on ${machine.name}`, async () => {
      const run = async (weights: string): Promise<{ values: Float32Array; scores: number[] }> => {
        const options = { weights, ...machine.options }
        if (c.kind === 'logits') return { values: await logitsOf(c, options), scores: [] }
        const { logits, scores } = await scoresOf(c, options)
        return { values: Float32Array.from(logits.flat()), scores }
      }
      const f32 = await run('f32')
      const off = relativeDistance(f32.values, floatsOf(c.name))
      assert.ok(off <= FP32_RELATIVE, `fp32 is off by ${off}`)
      for (const [i, score] of f32.scores.entries())
        assert.ok(Math.abs(score - c.scores[i]) <= FP32_SCORE, `score ${i}: ${score}`)
      const bf16 = relativeDistance((await run('bf16')).values, f32.values)
      assert.ok(bf16 <= BF16_RELATIVE, `bf16 is off by ${bf16}`)
    })
  }
}

test('YaRN stretches the positions, whichever of both lengths the config names', async () => {
  for (const [name, positions] of [
    ['yarn-qwen2', 4 * 64],
    ['yarn-qwen3', 256],
  ] as const) {
    await using engine = await Engine.open({ model: variantFolder(variantOf(name)) })
    assert.is(engine.info().decoder.maxPositions, positions, name)
  }
})

const yarn = (more: object) => ({ rope_scaling: { ...variantOf('yarn-qwen2').config.rope_scaling, ...more } })
for (const [what, config, says] of [
  ['a factor below one', yarn({ factor: 0.5 }), /"rope_scaling\.factor" is 0\.5/],
  ['betas that cross', yarn({ beta_fast: 1, beta_slow: 8 }), /"rope_scaling\.beta_fast" must not be smaller than beta_slow/],
  ['an attention factor of nothing', yarn({ attention_factor: 0 }), /"rope_scaling\.attention_factor" is 0/],
  ['a base of one', { ...yarn({}), rope_theta: 1 }, /rope_theta" must be larger than 1 where rope_type is yarn/],
  ['no positions to begin with', yarn({ original_max_position_embeddings: 0 }), /original_max_position_embeddings" is 0/],
] as const) {
  test(`YaRN: ${what} is refused`, async () => {
    const error = await refusal(() => Engine.open({ model: variantFolder(variantOf('yarn-qwen2'), config) }))
    assert.is(error.code, 'ERR_ENGINE_INVALID_MODEL')
    assert.match(error.message, says)
    assert.match(error.message, /config\.json/)
  })
}

test('a classifier writes nothing and scores when its family is named', async () => {
  for (const name of ['token-qwen2', 'sequence-qwen2']) {
    await using engine = await Engine.open({ model: variantFolder(variantOf(name)) })
    assert.is(engine.info().scoring, null)
    assert.match((await refusal(() => engine.generate({ tokens: [1, 2] }))).message, /reward head .* writes nothing/)
    const unnamed = await refusal(() => engine.scoreSteps({ question: 'q', steps: ['a'] }))
    assert.match(unnamed.message, /name the scoring family: .*trl/)
  }
})

test('the heads of an ensemble are refused by their architecture', async () => {
  const c = { base: 'qwen2-tied', config: { architectures: ['Qwen2ForEnsemblePRM'] } }
  const error = await refusal(() => Engine.open({ model: variantFolder(c) }))
  assert.is(error.code, 'ERR_ENGINE_UNSUPPORTED_MODEL')
  assert.match(error.message, /"Qwen2ForEnsemblePRM"; supported: .*Qwen2ForTokenClassification/)
})

test.run()
