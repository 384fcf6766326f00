/**
 * Every golden checkpoint through the whole engine, on every instruction set or on the device that is asked for, in fp32 against
 * the trusted implementation and in bf16 against our own fp32 (tolerances: test/golden/README.md).
 */
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'
import { scoringOptions } from '../helpers/checkpoint-files.ts'
import {
  goldenFolders,
  goldenMachines,
  needAreas,
  readJson,
  readTensors,
  relativeDistance,
  type Tensor,
} from '../helpers/golden.ts'

await needAreas('models')

const FP32_RELATIVE = 1e-4
const FP32_SCORE = 1e-5
const BF16_RELATIVE = 3e-2
const BF16_SCORE = 4e-2

// biome-ignore lint/suspicious/noExplicitAny: cases are plain data, see test/golden/README.md
type Case = any
interface Context {
  engine: Engine
  folder: string
  tensors: Map<string, Tensor>
}
/** What a case yields: named tensors and scores, compared with the golden ones or between precisions. */
interface Outcome {
  tensors: Record<string, Float32Array>
  scores: Record<string, number[]>
}

const pictures = (c: Context, golden: Case): object => ({
  ...(golden.image && { image: join(c.folder, golden.image) }),
  ...(golden.images && { images: golden.images.map((name: string) => join(c.folder, name)) }),
  ...(golden.maxTiles && { maxTiles: golden.maxTiles }),
})

async function runLogits(c: Context, golden: Case): Promise<Outcome> {
  const { logits, hidden } = await c.engine.logits({
    tokens: golden.inputIds,
    ...(golden.rows && { rows: golden.rows }),
    ...pictures(c, golden),
    returnHidden: true,
  })
  return { tensors: { logits, hidden: hidden as Float32Array }, scores: {} }
}

async function runVision(c: Context, golden: Case): Promise<Outcome> {
  const maxTiles = golden.grid ? {} : { maxTiles: golden.maxTiles }
  const seen = await c.engine.embedImage({ image: join(c.folder, golden.image), ...maxTiles, returnHidden: true })
  if (golden.grid) {
    const { patchSize = 0 } = c.engine.info().vision ?? {}
    assert.equal([1, seen.height / patchSize, seen.width / patchSize], golden.grid)
    assert.is(seen.embeds.length, golden.numTokens * c.engine.info().decoder.hidden)
    const { pixels, hidden: vitHidden, embeds, deepstack } = seen
    return { tensors: { pixels, vitHidden, embeds, ...(golden.tensors.deepstack && { deepstack }) }, scores: {} }
  }
  assert.is(seen.numTiles, golden.numTiles)
  assert.is(c.engine.info().vision?.tokensPerTile, golden.tokensPerTile)
  const stateSize = seen.hidden.length / seen.numStates
  const last = seen.hidden.subarray(seen.hidden.length - stateSize)
  return { tensors: { pixels: seen.pixels, vitHidden: seen.hidden, vitLast: last, embeds: seen.embeds }, scores: {} }
}

async function runScore(c: Context, golden: Case): Promise<Outcome> {
  const one = golden.kind === 'score'
  const solutions: string[][] = one ? [golden.steps] : golden.solutions
  const scored = await c.engine.scoreSteps({ question: golden.question, ...pictures(c, golden), solutions, returnLogits: true })
  const outcome: Outcome = { tensors: {}, scores: {} }
  scored.forEach((s, i) => {
    outcome.tensors[one ? 'markerLogits' : `markerLogits${i}`] = Float32Array.from(s.logits.flat())
    outcome.scores[`${i}`] = s.scores
    if (golden.scoring === 'implicit') readImplicit(outcome.scores, i, s)
  })
  if (golden.tensors.logRatios) outcome.tensors['logRatios'] = await logRatios(c, golden)
  return outcome
}

/** What is trusted of implicit scores is the sum; the score is its sigmoid. */
function readImplicit(scores: Outcome['scores'], index: number, scored: { scores: number[]; logits: number[][] }): void {
  scores[`${index}`] = scored.logits.map(([value = Number.NaN]) => value)
  scored.logits.forEach(([value = Number.NaN], i) => {
    assert.ok(Math.abs((scored.scores[i] as number) - 1 / (1 + Math.exp(-value))) < 1e-12)
  })
}

/** log p(token j + 1) of the checkpoint less that of its reference. */
async function logRatios(c: Context, golden: Case): Promise<Float32Array> {
  const own = await c.engine.tokenLogprobs({ tokens: golden.inputIds })
  const { weights, device } = c.engine.info()
  const options = { model: join(c.folder, '..', golden.referenceModel), weights, device: device.kind }
  await using reference = await Engine.open(options as never)
  const theirs = await reference.tokenLogprobs({ tokens: golden.inputIds })
  return Float32Array.from(own, (value, i) => value - (theirs[i] as number))
}

/** Sizes of pictures after resizing, and pictures that are refused. */
async function runSmartResize(_: Context, golden: Case): Promise<Outcome> {
  const { smartResize } = loadNative()
  const options = (minPixels: number, maxPixels: number) => {
    return { factor: golden.factor, minPixels, maxPixels, mean: [0, 0, 0], std: [1, 1, 1] }
  }
  for (const [width, height, least, most, ...expected] of golden.sizes)
    assert.equal(smartResize(width, height, options(least, most)), expected, `${width} x ${height}`)
  for (const [width, height] of golden.refused) assert.throws(() => smartResize(width, height, options(1, 2 ** 30)), /200 times/)
  return { tensors: {}, scores: {} }
}

const RUNNERS: Record<string, ((c: Context, golden: Case) => Promise<Outcome>) | null> = {
  logits: runLogits,
  logitsRows: runLogits,
  chatImage: runLogits,
  vision: runVision,
  smartResize: runSmartResize,
  score: runScore,
  scoreSolutions: runScore,
  greedy: null, // below
  chat: null, // ids only: tokenizer tests
  trainIds: null,
}

function expectedScores(golden: Case): Record<string, number[]> {
  if (golden.scores === undefined) return {}
  const lists: number[][] = golden.kind === 'score' ? [golden.scores] : golden.scores
  return Object.fromEntries(lists.map((list, i) => [`${i}`, list]))
}

function compareScores(actual: Outcome['scores'], expected: Outcome['scores'], tolerance: number, where: string): void {
  for (const [key, list] of Object.entries(expected)) {
    const got = actual[key] ?? []
    assert.is(got.length, list.length, `${where}: number of scores of solution ${key}`)
    list.forEach((score, i) => {
      const off = Math.abs((got[i] as number) - score)
      assert.ok(off <= tolerance, `${where}: score ${key}/${i}: ${got[i]} is not ${score}`)
    })
  }
}

/** Greedy continuations as the engine generates them: three siblings, which must agree. */
async function greedy(engine: Engine, ids: number[], golden: Case, extra: object): Promise<number[]> {
  const completions = await engine.generate({
    tokens: ids,
    ...extra,
    n: 3,
    maxTokens: golden.maxTokens ?? golden.greedy.length,
    sampling: { temperature: 0 },
    stopAtEnd: false,
    stop: golden.stopIds ?? [],
  })
  const [first, ...siblings] = completions.map((c) => c.tokens)
  for (const sibling of siblings) assert.equal(sibling, first)
  return first as number[]
}

let ran = 0
let deviceName = ''
/** MM_PRM_PART=0/2: every second folder from the first. */
const [part = 0, parts = 1] = process.env['MM_PRM_PART']?.split('/').map(Number) ?? []
for (const { name, path } of goldenFolders('models').filter((_, i) => i % parts === part)) {
  const golden = readJson(join(path, 'golden.json'))
  const tensors = readTensors(join(path, 'golden.safetensors'))
  // An adapter has no weights of its own: `base` names the folder beside it.
  const folders = golden.base ? { model: join(path, '..', golden.base), adapters: [path] } : { model: path }
  const options = { ...folders, ...scoringOptions(path) }
  for (const machine of goldenMachines()) {
    const test = suite(`models/${name} ${machine.name}`)
    const engines: { f32?: Engine; bf16?: Engine } = {}
    test.before(async () => {
      engines.f32 = await Engine.open({ ...options, weights: 'f32', ...machine.options } as never)
      deviceName = engines.f32.info().device.name
      engines.bf16 = await Engine.open({ ...options, weights: 'bf16', ...machine.options } as never)
    })
    test.after(async () => {
      await engines.f32?.close()
      await engines.bf16?.close()
    })
    golden.cases.forEach((c: Case, index: number) => {
      const where = `case ${index} ${c.kind}`
      test(where, async () => {
        const runner = RUNNERS[c.kind]
        assert.ok(runner !== undefined, `unknown kind ${c.kind}`)
        if (!runner) return
        const f32 = await runner({ engine: engines.f32 as Engine, folder: path, tensors }, c)
        for (const [key, tensorName] of Object.entries<string>(c.tensors ?? {})) {
          const expected = tensors.get(tensorName)?.data as Float32Array
          const actual = f32.tensors[key]
          assert.ok(actual, `${where}: the test does not know tensor "${key}"`)
          const off = relativeDistance(actual, expected)
          assert.ok(off <= FP32_RELATIVE, `${where}: ${key} is off by ${off}`)
        }
        compareScores(f32.scores, expectedScores(c), FP32_SCORE, where)
        const bf16 = await runner({ engine: engines.bf16 as Engine, folder: path, tensors }, c)
        for (const [key, expected] of Object.entries(f32.tensors)) {
          if (/markerLogits|logRatios/.test(key)) continue // two numbers: held by the scores
          const off = relativeDistance(bf16.tensors[key] as Float32Array, expected)
          assert.ok(off <= BF16_RELATIVE, `${where}: bf16 ${key} is off by ${off}`)
        }
        compareScores(bf16.scores, f32.scores, BF16_SCORE, `${where} bf16`)
        ran++
      })
      const expected = c.kind === 'greedy' ? c.expected : c.greedy
      if (expected) {
        test(`${where}: greedy`, async () => {
          const extra = pictures({ engine: engines.f32 as Engine, folder: path, tensors }, c)
          assert.equal(await greedy(engines.f32 as Engine, c.inputIds, c, extra), expected)
          ran++
        })
      }
    })
    test.run()
  }
}

const counted = suite('models: count')
counted('some cases ran', () => {
  console.log(`golden/models: ${ran} cases ran on ${deviceName}`)
  assert.ok(ran > 0)
})
counted.run()
