/** Every golden sampling case in both orders, the Philox vectors, and draws against their distribution. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { loadNative, type NativeSampling } from '../../ts/engine/native.ts'
import { GOLDEN_ROOT, needAreas, readJson, readTensors } from '../helpers/golden.ts'

await needAreas('sampling')

const PROBABILITY_TOLERANCE = 1e-6
const NUM_DRAWS = 100_000
const MIN_EXPECTED = 20
const SEED = 20260504n
const FOLDER = join(GOLDEN_ROOT, 'sampling')

const test = suite('sampling')
let ran = 0

const tensors = readTensors(join(FOLDER, 'sampling.safetensors'))
const floats = (name: string) => {
  const data = tensors.get(name)?.data
  if (!(data instanceof Float32Array)) throw new Error(`no tensor ${name}`)
  return data
}

/** 0.9999 quantile of chi-square by Wilson and Hilferty. */
function chiSquareLimit(degrees: number): number {
  const v = 2 / (9 * degrees)
  return degrees * (1 - v + 3.719 * Math.sqrt(v)) ** 3
}

/** Cells that expect fewer than MIN_EXPECTED draws are counted together. */
function checkDraws(tokens: Int32Array, probabilities: Float32Array, draws: Int32Array, where: string): void {
  const seen = new Map<number, number>()
  for (const token of draws) seen.set(token, (seen.get(token) ?? 0) + 1)
  const cells: [expected: number, actual: number][] = []
  let rare: [number, number] = [0, 0]
  tokens.forEach((token, i) => {
    const expected = (probabilities[i] as number) * draws.length
    const actual = seen.get(token) ?? 0
    seen.delete(token)
    if (expected >= MIN_EXPECTED) cells.push([expected, actual])
    else rare = [rare[0] + expected, rare[1] + actual]
  })
  assert.is(seen.size, 0, `${where}: a token was drawn that had been filtered out`)
  if (rare[0] >= MIN_EXPECTED) cells.push(rare)
  if (cells.length < 2) return
  const chiSquare = cells.reduce((sum, [expected, actual]) => sum + (actual - expected) ** 2 / expected, 0)
  assert.ok(chiSquare < chiSquareLimit(cells.length - 1), `${where}: chi-square ${chiSquare} with ${cells.length} cells`)
}

for (const c of readJson(join(FOLDER, 'sampling.json')).cases) {
  for (const [order, expected] of Object.entries<{ probs: string; keptSize: number; argmax: number } | null>(c.expected)) {
    if (expected === null) continue
    const where = `${c.name} ${c.set} ${c.kind} ${order}`
    test(where, () => {
      assert.ok(order === 'vllm' || order === 'hf', `unknown order ${order}`)
      const sampling: NativeSampling = { ...c.params, order }
      const { tokens, probabilities, draws } = loadNative().sampleDistribution({
        logits: floats(c.logits),
        promptIds: Int32Array.from(c.promptIds),
        generatedIds: Int32Array.from(c.generatedIds),
        sampling,
        seed: SEED,
        numDraws: NUM_DRAWS,
      })
      assert.is(tokens.length, expected.keptSize, `${where}: kept`)
      const dense = new Float32Array(c.vocab)
      tokens.forEach((token, i) => {
        dense[token] = probabilities[i] as number
      })
      floats(expected.probs).forEach((p, token) => {
        const off = Math.abs((dense[token] as number) - p)
        assert.ok(off <= PROBABILITY_TOLERANCE, `${where}: token ${token}: ${dense[token]} is not ${p}`)
      })
      const argmax = dense.reduce((best, p, token) => (p > (dense[best] as number) ? token : best), 0)
      assert.is(argmax, expected.argmax, `${where}: argmax`)
      checkDraws(tokens, probabilities, draws, where)
      ran++
    })
  }
}

if (existsSync(join(FOLDER, 'philox.json'))) {
  test('philox vectors', () => {
    const words = (list: string[]) => Uint32Array.from(list, (word) => Number.parseInt(word, 16))
    for (const v of readJson(join(FOLDER, 'philox.json')).vectors) {
      assert.equal([...loadNative().philox4x32(words(v.counter), words(v.key))], [...words(v.output)])
      ran++
    }
  })
}

test('some cases ran', () => {
  console.log(`golden/sampling: ${ran} cases ran`)
  assert.ok(ran > 0)
})

test.run()
