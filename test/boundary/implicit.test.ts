/** Implicit PRMs: two models, one with an adapter, and the formula worked out on the logits of both. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { openScorer } from '../../ts/kit/index.ts'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { GOLDEN_ROOT, readJson } from '../helpers/golden.ts'

const ADAPTER = join(GOLDEN_ROOT, 'models/lora-llama3')
const BASE = join(ADAPTER, '..', readJson(join(ADAPTER, 'golden.json')).base)
const PAIR = { model: BASE, adapters: [ADAPTER], reference: BASE, scoring: 'implicit', weights: 'f32' as const }
const question = 'What is 3 + 4?'
const steps = ['Three and four are added.', 'That is 7.', 'The answer is 7']

async function refusal(promise: Promise<unknown>): Promise<EngineError> {
  const error = await promise.catch((e: unknown) => e)
  assert.instance(error, EngineError)
  return error as EngineError
}

/** log p(token j + 1) of each token, from all logits of a model. */
async function logprobs(engine: Engine, tokens: number[]): Promise<number[]> {
  const { logits, width } = await engine.logits({ tokens })
  return tokens.slice(1).map((id, row) => {
    const all = [...logits.subarray(row * width, (row + 1) * width)]
    return (all[id] as number) - Math.log(all.reduce((sum, l) => sum + Math.exp(l), 0))
  })
}

test('a step is worth what the model makes likelier than its reference, from the answer to the step’s end', async () => {
  await using scorer = await openScorer(PAIR)
  await using tuned = await Engine.open({ model: BASE, adapters: [ADAPTER], weights: 'f32' })
  await using base = await Engine.open({ model: BASE, weights: 'f32' })
  const turn = (role: string, text: string) => `<|start_header_id|>${role}<|end_header_id|>\n\n${text}`
  const asked = `<|begin_of_text|>${turn('user', question)}<|eot_id|>${turn('assistant', '')}`
  const tokens = tuned.tokenizer.encode(`${asked}${steps.join('\n\n')}<|eot_id|>`)
  const [own, theirs] = [await logprobs(tuned, tokens), await logprobs(base, tokens)]
  assert.equal(
    (await tuned.tokenLogprobs({ tokens, first: 5 })).map((p) => p.toFixed(5)),
    own.slice(5).map((p) => p.toFixed(5)),
  )
  // As the published code measures: the text so far with its turn closed, two line breaks where steps follow, two tokens back.
  const first = tuned.tokenizer.encode(asked).length - 2
  const ends = steps.map((_, i) => {
    const soFar = `${asked}${steps.slice(0, i + 1).join('\n\n')}<|eot_id|>`
    return tuned.tokenizer.encode(i < steps.length - 1 ? `${soFar}\n\n` : soFar).length - 2
  })
  const values = ends.map((end) => {
    const ratios = own.map((p, j) => (j >= first && j <= end ? p - (theirs[j] as number) : 0))
    return 0.001 * ratios.reduce((sum, r) => sum + r, 0)
  })
  const problem = { id: 'p', question, answer: '7' }
  const [scored] = await scorer.score({ problem, solutions: [steps] })
  scored?.logits?.forEach(([value = Number.NaN], i) => {
    assert.ok(Math.abs(value - (values[i] as number)) < 1e-7, `step ${i}: ${value} is not ${values[i]}`)
  })
  assert.is(new Set(values).size, 3, 'the adapter changes every step')
  assert.equal(
    scored?.scores.map((s) => s.toFixed(9)),
    values.map((v) => (1 / (1 + Math.exp(-v))).toFixed(9)),
  )
  const many = await scorer.score({ problem, solutions: [['No.'], steps, ['Nor this.', '8']] })
  assert.equal(many[1], scored, 'beside others: bit for bit')
  assert.match(scorer.name, /^implicit@[0-9a-f]{16}\+[0-9a-f]{16}\+f32\+reference=[0-9a-f]{16}\+f32$/)
})

test('what does not go together is refused with what would', async () => {
  const { reference, ...alone } = PAIR
  const { scoring, ...unnamed } = PAIR
  const messages = [
    [refusal(openScorer(alone)), /scoring "implicit" compares with the model it was trained from: "reference" names its folder/],
    [refusal(openScorer({ ...unnamed, scoring: 'rlhflow', reference })), /takes no reference|needs the pieces/],
    [refusal(openScorer(unnamed)), /name the scoring family: .*implicit/],
    [refusal(openScorer({ ...PAIR, reference: '/nowhere' })), /nowhere/],
  ] as const
  for (const [error, expected] of messages) assert.match((await error).message, expected)
  assert.is(scoring, 'implicit')
  const other = pickCheckpoint({ architecture: /^Qwen2ForCausalLM$/, scoring: 'recognised' })
  const mixed = await openScorer({ ...PAIR, reference: other })
  const error = await refusal(mixed.score({ problem: { id: 'p', question, answer: '7' }, solutions: [steps] }))
  await mixed.close()
  assert.match(error.message, /the reference model has other tokens: \d+ is ".*" there and ".*" here/)
})

test('a reward head gives tokens no probabilities', async () => {
  await using engine = await Engine.open({ model: pickCheckpoint({ head: 'reward' }) })
  assert.match((await refusal(engine.tokenLogprobs({ tokens: [1, 2] }))).message, /reward head: it gives tokens no probabilities/)
})

test.run()
