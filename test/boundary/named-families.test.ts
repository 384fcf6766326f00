/** Families that nothing in a folder tells: the text they read, worked out here, on the model's own logits. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { copyCheckpoint, editJson, pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-families-'))
test.after(() => rmSync(work, { recursive: true, force: true }))

const refusal = async (promise: Promise<unknown>) => ((await promise.catch((e) => e)) as EngineError).message
const close = (actual: readonly number[], expected: readonly number[]) => {
  assert.is(actual.length, expected.length)
  actual.forEach((score, i) => assert.ok(Math.abs(score - (expected[i] as number)) < 1e-6, `${actual} are not ${expected}`))
}

/** softmax of two ids at each row. */
async function shares(engine: Engine, request: { tokens: number[]; rows: number[]; images?: string[] }, yes: number, no: number) {
  const { logits, width } = await engine.logits(request)
  return request.rows.map((_, i) => {
    const at = (id: number) => logits[i * width + id] as number
    return 1 / (1 + Math.exp(at(no) - at(yes)))
  })
}

test('reward-sql: queries squeezed and glued, read at the marker, the letter elsewhere is text', async () => {
  const model = pickCheckpoint({ architecture: /^Qwen2ForCausalLM$/ })
  await using engine = await Engine.open({ model, scoring: 'reward-sql', weights: 'f32' })
  const { tokenizer } = engine
  const question = 'How many и are there?\n'
  const steps = ['WITH a AS (\n  SELECT 1),', 'b  AS (SELECT 2 -- Ии)', 'SELECT * FROM a;']
  const text = `${question}WITH a AS ( SELECT 1), и b AS (SELECT 2 -- Ии) и SELECT * FROM a; и `
  const tokens = [...tokenizer.prefixIds, ...tokenizer.encodePlain(text)]
  const ends = ['1), и', 'Ии) и', 'a; и'].map((end) => {
    const upTo = text.slice(0, text.indexOf(end) + end.length)
    return tokenizer.prefixIds.length + tokenizer.encodePlain(upTo).length - 1
  })
  const [[yes = -1], [no = -1]] = [tokenizer.encodePlain(' +'), tokenizer.encodePlain(' -')]
  const expected = await shares(engine, { tokens, rows: ends }, yes, no)
  const scores = await engine.scoreSteps({ question, steps })
  close(scores, expected)
  assert.is(new Set(scores).size, 3)
  assert.equal((await engine.scoreSteps({ question, solutions: [['SELECT 1'], steps] }))[1], scores, 'beside others: bit for bit')
  assert.match(await refusal(engine.scoreSteps({ question, steps: ['SELECT 1 и 2'] })), /step 1: holds the marker " и" itself/)
  const other = pickCheckpoint({ architecture: /^InternLM2ForCausalLM$/ })
  await using wordy = await Engine.open({ model: other, scoring: 'reward-sql' })
  assert.match(await refusal(wordy.scoreSteps({ question, steps })), /reward-sql scoring needs a token " \+" in the tokenizer/)
})

test('vl-prm: the folder’s own chat and the system message that it records', async () => {
  const golden = pickCheckpoint({ vision: true, architecture: /Qwen2_5_VL/ })
  const model = join(work, 'vl-prm')
  copyCheckpoint(golden, model)
  assert.match(await refusal(Engine.open({ model, scoring: 'vl-prm' })), /mm-prm\.json \{"scoring": "vl-prm", "systemMessage"/)
  writeFileSync(join(model, 'mm-prm.json'), JSON.stringify({ scoring: 'vl-prm', systemMessage: 'Check every step.' }))
  await using engine = await Engine.open({ model, weights: 'f32' })
  assert.equal([engine.info().scoring, engine.info().scoringReason], ['vl-prm', 'mm-prm.json says so'])
  const { tokenizer } = engine
  const [picture = ''] = picturesOf(golden)
  const question = 'What is it?'
  const steps = ['A clock.', 'It shows three.']
  const { embeds } = await engine.embedImage({ image: picture })
  const pads = '<|image_pad|>'.repeat(embeds.length / engine.info().decoder.hidden)
  const turn = (role: string, text: string) => `<|im_start|>${role}\n${text}<|im_end|>\n`
  const first = `<|vision_start|>${pads}<|vision_end|>### Question:\n${question}\n\n### Solution Process:\n${steps[0]}`
  const asked = [
    turn('system', 'Check every step.'),
    turn('user', first),
    turn('assistant', '+'),
    turn('user', steps[1] as string),
  ]
  const upTo = (n: number) => tokenizer.encode(`${asked.slice(0, n).join('')}<|im_start|>assistant\n`).length - 1
  const tokens = tokenizer.encode(asked.join('') + turn('assistant', '+'))
  const [yes, no] = ['+', '-'].map((piece) => tokenizer.pieceId(piece) as number)
  const expected = await shares(engine, { tokens, rows: [upTo(2), upTo(4)], images: [picture] }, yes as number, no as number)
  const scores = await engine.scoreSteps({ question, image: picture, steps })
  close(scores, expected)
  const marked = await engine.scoreSteps({ question: 'What is <image> here?', image: picture, steps: ['A clock <|im_end|>.'] })
  assert.is(marked.length, 1, 'a picture at its mark; names of special tokens are text')
})

test('what is out of scope is refused by name', async () => {
  const model = pickCheckpoint({ architecture: /^Qwen2ForCausalLM$/ })
  assert.match(await refusal(Engine.open({ model, scoring: 'ursa' })), /scoring: "ursa" is not supported: its two vision towers/)
  const ursa = join(work, 'ursa')
  copyCheckpoint(model, ursa)
  editJson(ursa, 'config.json', (config) => {
    config.architectures = ['UrsaForTokenClassification']
  })
  assert.match(await refusal(Engine.open({ model: ursa })), /"UrsaForTokenClassification"; supported: .*InternVLChatModel/)
})

test.run()
