/**
 * Golden checkpoints under another config or with another head, against transformers (variants/make.py): rope scaling by
 * YaRN, sliding windows, classifiers of tokens and sequences. And what is refused beside them.
 */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { goldenMachines, relativeDistance } from '../helpers/golden.ts'
import { floatsOf, VARIANTS, type Variant, variantFolder, variantOf } from '../helpers/variants.ts'

const FP32_RELATIVE = 1e-4
const FP32_SCORE = 1e-5
const FP32_IMPLICIT = 1e-6
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
  const model = variantFolder(c)
  const images = (c.images ?? []).map((name: string) => join(model, name))
  await using engine = await Engine.open({ model, ...options })
  return (await engine.logits({ tokens: c.inputIds, rows: c.rows, images })).logits
}

async function scoresOf(c: Variant, options: object) {
  const scoring = c.kind === 'classes' ? 'trl' : 'auto'
  await using engine = await Engine.open({ model: variantFolder(c), scoring, ...options })
  return await engine.scoreSteps({ question: c.question, steps: c.steps, returnLogits: true })
}

for (const c of VARIANTS.filter(({ kind }) => kind === 'implicit')) {
  for (const machine of goldenMachines()) {
    test(`${c.name} on ${machine.name}`, async () => {
      const reference = variantFolder(c, c.reference)
      const options = { scoring: 'implicit', reference, weights: 'f32' as const, ...machine.options }
      await using engine = await Engine.open({ model: variantFolder(c), ...options })
      const { logits } = await engine.scoreSteps({ question: c.question, steps: c.steps, returnLogits: true })
      assert.is(logits.length, c.values.length)
      for (const [i, [value = Number.NaN]] of logits.entries())
        assert.ok(Math.abs(value - c.values[i]) <= FP32_IMPLICIT, `step ${i}: ${value}, not ${c.values[i]}`)
    })
  }
}

for (const c of VARIANTS.filter(({ kind }) => !['generated', 'implicit'].includes(kind))) {
  for (const machine of goldenMachines()) {
    test(`${c.name} on ${machine.name}`, async () => {
      const run = async (weights: string): Promise<{ values: Float32Array; scores: number[]; std?: number[] }> => {
        const options = { weights, ...machine.options }
        if (c.kind === 'logits') return { values: await logitsOf(c, options), scores: [] }
        const { logits, ...scored } = await scoresOf(c, options)
        return { values: Float32Array.from(logits.flat()), ...scored }
      }
      const f32 = await run('f32')
      const off = relativeDistance(f32.values, floatsOf(c.name))
      assert.ok(off <= FP32_RELATIVE, `fp32 is off by ${off}`)
      for (const [i, score] of f32.scores.entries())
        assert.ok(Math.abs(score - c.scores[i]) <= FP32_SCORE, `score ${i}: ${score}`)
      assert.is(f32.std?.length, c.std?.length)
      for (const [i, std] of (f32.std ?? []).entries())
        assert.ok(Math.abs(std - c.std[i]) <= FP32_SCORE, `deviation ${i}: ${std}`)
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

const DEFAULT = { rope_type: 'default', rope_theta: 1e6 }
const yarn = (more: object) => ({ rope_scaling: { ...variantOf('yarn-qwen2').config.rope_scaling, ...more } })
for (const [what, config, says] of [
  ['a factor below one', yarn({ factor: 0.5 }), /"rope_scaling\.factor" is 0\.5/],
  ['betas that cross', yarn({ beta_fast: 1, beta_slow: 8 }), /"rope_scaling\.beta_fast" must not be smaller than beta_slow/],
  ['an attention factor of nothing', yarn({ attention_factor: 0 }), /"rope_scaling\.attention_factor" is 0/],
  [
    'a scaling that stands where it is not read',
    { ...yarn({}), rope_parameters: DEFAULT },
    /"rope_scaling" is of type "yarn", but "rope_parameters" is "default"/,
  ],
  [
    'two scalings',
    { ...yarn({}), rope_parameters: { ...DEFAULT, rope_type: 'yarn', factor: 2 } },
    /"rope_scaling\.factor" is not what "rope_parameters" says/,
  ],
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

test('an ensemble says what it is, and how far its heads disagree', async () => {
  const c = variantOf('ensemble-qwen2')
  await using engine = await Engine.open({ model: variantFolder(c) })
  assert.equal(engine.info().head, { kind: 'ensemble', outputs: 3 })
  assert.is(engine.info().scoring, 'act-prm')
  const solutions = [c.steps, ['No.']]
  const { scores, std, errors } = await engine.scoreCandidates({ question: c.question, solutions: [...solutions, [' ']] })
  assert.is(errors.length, 1)
  for (const [i, steps] of solutions.entries()) {
    const alone = await engine.scoreSteps({ question: c.question, steps, returnLogits: true })
    assert.equal([scores[i], std?.[i]], [alone.scores, alone.std], 'beside others: bit for bit')
  }
  assert.is(std?.[2], null)
  assert.match((await refusal(() => engine.generate({ tokens: [1] }))).message, /reward head .* writes nothing/)
  const trl = await refusal(() => Engine.open({ model: variantFolder(c), scoring: 'trl' }))
  assert.match(trl.message, /trl scoring needs a head of classes, this one is an ensemble/)
  const other = await refusal(() => Engine.open({ model: variantFolder(variantOf('token-qwen2')), scoring: 'act-prm' }))
  assert.match(other.message, /act-prm scoring needs an ensemble of heads, this one is of kind classes/)
})

test('heads of other kinds say what they are', async () => {
  for (const [name, head] of [
    ['token-qwen2', { kind: 'classes', outputs: 2 }],
    ['token-mistral', { kind: 'value', outputs: 1 }],
    ['yarn-qwen2', { kind: 'vocabulary', outputs: 657 }],
  ] as const) {
    await using engine = await Engine.open({ model: variantFolder(variantOf(name)) })
    assert.equal(engine.info().head, head, name)
  }
})

test('an ensemble whose tensors do not fit its config is refused with their names', async () => {
  const c = variantOf('ensemble-qwen2')
  const more = await refusal(() => Engine.open({ model: variantFolder(c, { num_ensemble: 8 }) }))
  assert.is(more.code, 'ERR_ENGINE_INVALID_MODEL')
  assert.match(more.message, /score\.model\.nn1\.weight is \[3, 64, 16\], the config asks for \[8, 64, 16\]/)
  const fewer = { ...c, tensors: c.tensors.filter((name: string) => name !== 'score.model.nn2.bias') }
  const missing = await refusal(() => Engine.open({ model: variantFolder(fewer) }))
  assert.match(missing.message, /missing \(1\):\n {2}score\.model\.nn2\.bias \[3, 16\]/)
})

test.run()
