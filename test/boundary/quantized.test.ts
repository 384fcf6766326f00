/** Published FP8, GPTQ and AWQ weights: the numbers that the formats' own packages unpack, and what is refused (see quantized/make.py). */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'
import { copyCheckpoint, editJson, type Header, readSafetensors, writeSafetensors } from '../helpers/checkpoint-files.ts'
import { GOLDEN_DEVICE, GOLDEN_ROOT, goldenMachines, readJson, readTensors, relativeDistance } from '../helpers/golden.ts'
import { failure, policyRows, train, workFolder, writeRows } from '../helpers/training.ts'

const work = workFolder()
const BASE = join(GOLDEN_ROOT, 'models/llama3')
const CASES = join(import.meta.dirname, 'quantized')
const NAMES = readdirSync(CASES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

type Stored = Map<string, { dtype: string; shape: number[]; bytes: Buffer }>
// biome-ignore lint/suspicious/noExplicitAny: a config is plain data
type Config = any

function stored(path: string): Stored {
  const bytes = readFileSync(path)
  const end = 8 + Number(bytes.readBigUInt64LE(0))
  const { __metadata__, ...header } = JSON.parse(bytes.toString('utf8', 8, end)) as Header & { __metadata__?: object }
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, bytes: bytes.subarray(end + from, end + to) }],
    ),
  )
}

let folders = 0
/** The base with a case's tensors in the place of its own; `change` does harm. */
function quantized(name: string, change: (tensors: Stored, config: Config) => void = () => {}): string {
  const folder = join(work, `model-${folders++}`)
  copyCheckpoint(BASE, folder)
  const added = stored(join(CASES, name, 'tensors.safetensors'))
  const modules = new Set([...added.keys()].map((key) => key.slice(0, key.lastIndexOf('.'))))
  const { header, data } = readSafetensors(BASE)
  const tensors: Stored = new Map()
  for (const [key, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (!modules.has(key.replace(/\.weight$/, ''))) tensors.set(key, { dtype, shape, bytes: data.subarray(...data_offsets) })
  }
  for (const [key, tensor] of added) tensors.set(key, tensor)
  const { quantization_config: config } = readJson(join(CASES, name, 'case.json'))
  change(tensors, config)
  editJson(folder, 'config.json', (json) => {
    json.quantization_config = config
  })
  let end = 0
  const whole: Header = {}
  for (const [key, { dtype, shape, bytes }] of tensors) {
    whole[key] = { dtype, shape, data_offsets: [end, end + bytes.length] }
    end += bytes.length
  }
  writeSafetensors(folder, whole, Buffer.concat([...tensors.values()].map(({ bytes }) => bytes)))
  return folder
}

/** Where the weights are unpacked to: this processor, or the device that is asked for. */
const MACHINE = GOLDEN_DEVICE === 'cpu' ? { cpu: { threads: 1 } } : goldenMachines()[0]?.options

async function logits(model: string, tokens: number[], weights: string, adapters: string[] = []): Promise<Float32Array> {
  await using engine = await Engine.open({ model, weights, adapters, ...MACHINE } as never)
  return (await engine.logits({ tokens })).logits
}

for (const name of NAMES) {
  test(`${name}: logits of the weights as its own package unpacks them`, async () => {
    const { tokens } = readJson(join(CASES, name, 'case.json'))
    const expected = readTensors(join(CASES, name, 'expected.safetensors')).get('logits')?.data as Float32Array
    const model = quantized(name)
    for (const [weights, bound] of [
      ['f32', 1e-5],
      ['bf16', 2e-2],
      ['int8', 3e-2],
      ['int4', 0.3],
    ] as const) {
      const off = relativeDistance(await logits(model, tokens, weights), expected)
      assert.ok(off < bound, `${weights}: off by ${off}`)
    }
    assert.ok(relativeDistance(await logits(BASE, tokens, 'f32'), expected) > 1e-3, 'the case is not of the base itself')
    const types = loadNative()
      .inspectModel(model)
      .dtypes.map(({ dtype }) => dtype)
    assert.ok(types.includes({ fp: 'F8_E4M3', gp: `GPTQ${name[5]}`, aw: 'AWQ4' }[name.slice(0, 2)] as string), `${types}`)
  })
}

test('the sibling of GPTQ that stores zero points as they are; groups in turn where none are named', async () => {
  const { tokens } = readJson(join(CASES, 'gptq-4/case.json'))
  const second = quantized('gptq-4', (tensors, config) => {
    config.checkpoint_format = 'gptq_v2'
    for (const [key, { bytes }] of tensors) {
      if (key.endsWith('.g_idx')) tensors.delete(key)
      if (!key.endsWith('.qzeros')) continue
      const raised = Buffer.from(bytes)
      for (let i = 0; i < raised.length; i += 4) raised.writeUInt32LE((raised.readUInt32LE(i) + 0x11111111) >>> 0, i)
      ;(tensors.get(key) as { bytes: Buffer }).bytes = raised
    }
  })
  assert.equal(await logits(second, tokens, 'f32'), await logits(quantized('gptq-4'), tokens, 'f32'))
})

test('FP8 with one scale for all, or one for each row; scales of activations are left out', async () => {
  const module = 'model.layers.0.mlp.up_proj'
  const f32 = (values: number[]) => Buffer.from(Float32Array.from(values).buffer)
  const scaled = (name: string, shape: number[], values: number[], byBlock: number) =>
    quantized('fp8-blocks', (tensors) => {
      const blocks = tensors.get(`${module}.weight_scale_inv`) as { bytes: Buffer }
      if (byBlock)
        blocks.bytes = f32(
          Array.from({ length: blocks.bytes.length / 4 }, (_, i) => values[Math.floor(i / 2) * byBlock] as number),
        )
      else tensors.delete(`${module}.weight_scale_inv`)
      if (!byBlock) tensors.set(`${module}.${name}`, { dtype: 'F32', shape, bytes: f32(values) })
      tensors.set(`${module}.input_scale`, { dtype: 'F32', shape: [], bytes: f32([3]) })
    })
  const tokens = [600, 298, 260]
  // 192 rows in blocks of 16: equal scales within a block can be said both ways.
  const rows = Array.from({ length: 192 }, (_, n) => 0.001 * (1 + Math.floor(n / 16)))
  const byRow = await logits(scaled('weight_scale', [192, 1], rows, 0), tokens, 'f32')
  assert.equal(byRow, await logits(scaled('', [], rows, 16), tokens, 'f32'))
  const same = Array.from({ length: 192 }, () => 0.002)
  const whole = await logits(scaled('weight_scale_inv', [], [0.002], 0), tokens, 'f32')
  assert.equal(whole, await logits(scaled('', [], same, 16), tokens, 'f32'))
})

test('biases of zeros, which some tools add, are no fault; an adapter goes over quantised weights', async () => {
  const { tokens } = readJson(join(CASES, 'gptq-4/case.json'))
  const plain = quantized('gptq-4')
  const biased = quantized('gptq-4', (tensors) => {
    for (const key of [...tensors.keys()]) {
      const rows = tensors.get(key)?.shape[1] as number
      if (key.endsWith('.qweight'))
        tensors.set(key.replace('qweight', 'bias'), { dtype: 'F16', shape: [rows], bytes: Buffer.alloc(2 * rows) })
    }
  })
  assert.equal(await logits(biased, tokens, 'f32'), await logits(plain, tokens, 'f32'))
  const adapter = join(GOLDEN_ROOT, 'models/lora-llama3')
  assert.ok(relativeDistance(await logits(plain, tokens, 'f32', [adapter]), await logits(plain, tokens, 'f32')) > 1e-3)
})

test('training starts from quantised weights and leaves plain ones', async () => {
  const { tokens } = readJson(join(CASES, 'awq-4/case.json'))
  const init = quantized('awq-4')
  const out = join(work, 'trained')
  const data = writeRows(join(work, 'rows.jsonl'), policyRows(1))
  await train({ task: 'policy', init, data, out, learningRate: 1e-12, epochs: 1, maxSteps: 1 } as never)
  assert.is(readJson(join(out, 'config.json')).quantization_config, undefined)
  assert.ok(relativeDistance(await logits(out, tokens, 'f32'), await logits(init, tokens, 'f32')) < 1e-2)
})

const Q = 'model.layers.0.self_attn.q_proj'
const set = (key: string, value: unknown) => (_: Stored, config: Config) => { config[key] = value } // biome-ignore format: one line
const without = (part: string) => (tensors: Stored) => { tensors.delete(`${Q}.${part}`) } // biome-ignore format: one line
const shaped = (part: string, shape: number[]) => (tensors: Stored) => {
  const tensor = tensors.get(`${Q}.${part}`) as { shape: number[]; bytes: Buffer; dtype: string }
  const size = { I32: 4, F32: 4, F16: 2 }[tensor.dtype] as number
  tensor.shape = shape
  tensor.bytes = Buffer.alloc(size * shape.reduce((n, m) => n * m, 1))
}
const REFUSED: [name: string, of: string, change: (tensors: Stored, config: Config) => void, says: RegExp, code?: string][] = [
  ['another method', 'gptq-4', set('quant_method', 'bitsandbytes'), /config\.json: "quantization_config\.quant_method" is "bitsandbytes"; fp8, gptq, awq and compressed-tensors/, 'UNSUPPORTED_MODEL'],
  ['integers of compressed-tensors', 'gptq-4', (_, c) => { c.quant_method = 'compressed-tensors'; c.format = 'pack-quantized' }, /format" is "pack-quantized"; float-quantized can/, 'UNSUPPORTED_MODEL'],
  ['no method', 'gptq-4', set('quant_method', null), /quant_method" is ""/, 'UNSUPPORTED_MODEL'],
  ['a method that is no text', 'gptq-4', set('quant_method', 3), /quant_method" must be a string/],
  ['three bits', 'gptq-4', set('bits', 3), /"quantization_config\.bits" is 3; GPTQ of 4 or 8/, 'UNSUPPORTED_MODEL'],
  ['AWQ of 8 bits', 'awq-4', set('bits', 8), /"quantization_config\.bits" is 8; AWQ of 4/, 'UNSUPPORTED_MODEL'],
  ['another packing of GPTQ', 'gptq-4', set('checkpoint_format', 'marlin'), /checkpoint_format" is "marlin"; gptq and gptq_v2/, 'UNSUPPORTED_MODEL'],
  ['another packing of AWQ', 'awq-4', set('version', 'gemv'), /version" is "gemv"; gemm/, 'UNSUPPORTED_MODEL'],
  ['groups of none', 'gptq-4', set('group_size', 0), /group_size" must be -1 or from 1 up/],
  ['groups that the scales deny', 'gptq-4', set('group_size', 16), /down_proj\.qzeros" is \[6, 8\], but \[12, 8\] fits/],
  ['no zero points', 'gptq-4', without('qzeros'), /q_proj\.qweight" has no .*qzeros/],
  ['no scales', 'awq-4', without('scales'), /q_proj\.qweight" has no .*scales/],
  ['no weights', 'gptq-4', without('qweight'), /missing.*q_proj\.weight/s],
  ['scales of another shape', 'gptq-4', shaped('scales', [2, 32]), /q_proj\.scales" is \[2, 32\], but \[2, 64\] fits/],
  ['a group that is none', 'gptq-4-order', (t) => t.get(`${Q}.g_idx`)?.bytes.writeInt32LE(-7, 8), /q_proj\.g_idx" names group -7 of 2/],
  ['groups for fewer inputs', 'gptq-4-order', shaped('g_idx', [32]), /q_proj\.g_idx" is \[32\], but \[64\] fits/],
  ['weights for fewer inputs', 'gptq-8-whole', (t) => { shaped('qweight', [8, 64])(t); shaped('g_idx', [32])(t) }, /q_proj\.weight is \[64, 32\], the config asks for \[64, 64\]/],
  ['FP8 without scales', 'fp8-blocks', without('weight_scale_inv'), /q_proj\.weight" is stored as F8_E4M3 without its .*weight_scale_inv/],
  ['FP8 of other blocks', 'fp8-blocks', set('weight_block_size', [32, 32]), /weight_scale_inv" is \[4, 6\], but \[2, 6\] fits .* blocks of 32 by 32/],
  ['blocks of no size', 'fp8-blocks', set('weight_block_size', [0, 32]), /weight_block_size" must be two whole numbers/],
  ['FP8 that no config speaks of', 'fp8-blocks', set('quant_method', 'gptq'), /q_proj\.weight is stored as F8_E4M3/],
] // biome-ignore format: one case per line
for (const [name, of, change, says, code = 'INVALID_MODEL'] of REFUSED) {
  test(`refused by name: ${name}`, async () => {
    await failure(Engine.open({ model: quantized(of, change), cpu: { threads: 1 } }), code, says)
  })
}

test.run()
