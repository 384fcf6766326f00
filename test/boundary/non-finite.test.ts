/** Weights that are no numbers, as a training leaves them that diverged: an error that names the tensor, never a score or a text. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import {
  copyCheckpoint,
  editTensor,
  type HeaderEntry,
  pickCheckpoint,
  readSafetensors,
  writeSafetensors,
} from '../helpers/checkpoint-files.ts'
import { startCli } from '../helpers/cli.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-nan-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))
const REWARD = pickCheckpoint({ head: 'reward', sharded: false })
const WRITER = pickCheckpoint({ head: 'vocabulary', tied: true, sharded: false })

const BITS = { nan: 0x7fc0, infinity: 0x7f80, '-infinity': 0xff80, largest: 0x7f7f }
let copies = 0

/** A copy with numbers of these bits in all of the tensors, or in the first place of each. */
function spoilt(model: string, tensors: readonly string[], value: keyof typeof BITS, everywhere: boolean): string {
  const folder = join(scratch, String(copies++))
  copyCheckpoint(model, folder)
  const { header, data } = readSafetensors(folder)
  for (const tensor of tensors) {
    const { dtype, data_offsets } = header[tensor] as HeaderEntry
    const [begin, end] = data_offsets
    const size = dtype === 'BF16' ? 2 : 4
    for (let at = begin; at < end; at += everywhere ? size : end) {
      if (size === 2) data.writeUInt16LE(BITS[value], at)
      else data.writeUInt32LE(BITS[value] * 65536, at)
    }
  }
  writeSafetensors(folder, header, data)
  return folder
}

function named(model: string, part: RegExp): string {
  const names = Object.keys(readSafetensors(model).header)
  const name = names.find((n) => part.test(n))
  assert.ok(name, `${part} among ${names}`)
  return name
}

test('a score that is no number is an error that names the first tensor', async () => {
  const solutions = { question: 'How many?', steps: ['one', 'two'] }
  const cases: [RegExp, keyof typeof BITS, boolean][] = [
    [/^score\.2\.bias$/, 'nan', true],
    [/^score\.0\.weight$/, 'infinity', true],
    [/layers\.1\.mlp\.down_proj\.weight$/, 'nan', false],
    [/layers\.0\.input_layernorm\.weight$/, '-infinity', false],
    [/^model\.norm\.weight$/, 'nan', true],
  ]
  for (const [part, value, everywhere] of cases) {
    const tensor = named(REWARD, part)
    const model = spoilt(REWARD, [tensor], value, everywhere)
    for (const weights of ['f32', 'bf16', 'int8', 'int4'] as const) {
      await using engine = await Engine.open({ model, weights, cpu: { threads: 1 } })
      const error = await engine.scoreSteps(solutions).catch((e) => e)
      assert.is(error?.code, 'ERR_ENGINE_INVALID_MODEL', `${tensor} ${value} ${weights}: ${error}`)
      assert.ok(error.message.includes(`tensor "${tensor}" of model.safetensors holds a NaN or an infinity`), error.message)
      assert.match(error.message, /the score of step 1 is not a number/)
    }
  }
})

test('F32 among BF16', async () => {
  const model = join(scratch, String(copies++))
  copyCheckpoint(REWARD, model)
  editTensor(model, /^score\.2\.weight$/, (values, shape) => {
    values[values.length - 1] = Number.NaN
    return { values, shape }
  })
  await using engine = await Engine.open({ model, weights: 'f32', cpu: { threads: 1 } })
  const error = await engine.scoreSteps({ question: 'How many?', steps: ['one'] }).catch((e) => e)
  assert.match(error.message, /tensor "score\.2\.weight" of model\.safetensors/)
})

test('numbers that overflow on the way: told as that', async () => {
  const heads = [/^score\.0\.weight$/, /^score\.2\.weight$/].map((part) => named(REWARD, part))
  const model = spoilt(REWARD, heads, 'largest', true)
  await using engine = await Engine.open({ model, weights: 'f32', cpu: { threads: 1 } })
  const error = await engine.scoreSteps({ question: 'How many?', steps: ['one'] }).catch((e) => e)
  assert.is(error?.code, 'ERR_ENGINE_INVALID_MODEL', String(error))
  assert.match(error.message, /every stored weight is a number/)
})

test('no text is drawn from logits that are no numbers: generated and streamed', async () => {
  for (const [part, value, everywhere] of [
    [/^model\.norm\.weight$/, 'nan', true],
    [/layers\.0\.mlp\.up_proj\.weight$/, 'infinity', false],
    [/^model\.embed_tokens\.weight$/, 'nan', false], // tied: one token's logit alone
  ] as const) {
    const tensor = named(WRITER, part)
    const model = spoilt(WRITER, [tensor], value, everywhere)
    await using engine = await Engine.open({ model, weights: 'f32', cpu: { threads: 1 } })
    for (const temperature of [0, 1]) {
      for (const topK of [0, 5]) {
        const call = { question: 'How many?', template: 'prefill', maxTokens: 4, sampling: { temperature, topK } }
        const generated = await engine.generate(call).catch((e) => e)
        const streamed = await (async () => {
          for await (const _ of engine.stream(call));
        })().catch((e) => e)
        for (const error of [generated, streamed]) {
          assert.is(
            error?.code,
            'ERR_ENGINE_INVALID_MODEL',
            `${tensor}, temperature ${temperature}, top-k ${topK}: ${JSON.stringify(error)}`,
          )
          assert.ok(error.message.includes(`tensor "${tensor}" of model.safetensors`), error.message)
        }
      }
    }
  }
})

test('score: an error in the place of the line, and exit code 3', async () => {
  const model = spoilt(REWARD, [named(REWARD, /^score\.2\.bias$/)], 'nan', true)
  const input = join(scratch, 'in.jsonl')
  writeFileSync(input, '{"id":1,"question":"What is 1+1?","steps":["1+1=2.","So it is 2."]}\n')
  const { code, stdout, stderr } = await startCli(['score', '--model', model, '--input', input, '--threads', '1']).ended
  assert.is(code, 3, stderr)
  const line = JSON.parse(stdout)
  assert.equal([line.id, line.scores, line.error?.code], [1, undefined, 'ERR_ENGINE_INVALID_MODEL'])
  assert.match(line.error.message, /tensor "score\.2\.bias"/)
})

test.run()
