/** PEFT folders over their base: what their configs mean, what is refused, and the way there from our own trainer. */
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { pickCheckpoint, readSafetensors, writeSafetensors } from '../helpers/checkpoint-files.ts'
import { startCli } from '../helpers/cli.ts'
import { GOLDEN_ROOT, readJson, readTensors, relativeDistance } from '../helpers/golden.ts'
import { asF32, type Tensors, writeAdapter } from '../helpers/peft.ts'
import { failure, PICTURE, prmRows, tinyCheckpoint, train, workFolder, writeRows } from '../helpers/training.ts'

const work = workFolder()
const BASE = join(GOLDEN_ROOT, 'models/llama3')
const GOLDEN = join(GOLDEN_ROOT, 'models/lora-llama3')
const OTHER = pickCheckpoint({ architecture: /Qwen2ForCausalLM/ })
const TOKENS = [1, 5, 9, 200, 31]
const Q0 = 'model.layers.0.self_attn.q_proj'
const F32 = { weights: 'f32', cpu: { threads: 1 } } as const

const shapeOf = (name: string) => readSafetensors(BASE).header[name]?.shape as [number, number]
const wave = (n: number, step: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * step) / 8)

/** An adapter of module → rank, as PEFT names its tensors. */
function pairs(ranks: Record<string, number>): Tensors {
  const tensors: Tensors = {}
  for (const [module, rank] of Object.entries(ranks)) {
    const [rows, cols] = shapeOf(`${module}.weight`)
    tensors[`base_model.model.${module}.lora_A.weight`] = { shape: [rank, cols], values: wave(rank * cols, 0.7) }
    tensors[`base_model.model.${module}.lora_B.weight`] = { shape: [rows, rank], values: wave(rows * rank, 0.3) }
  }
  return tensors
}

let folders = 0
const adapter = (config: object, tensors: Tensors) => writeAdapter(join(work, `adapter-${folders++}`), config, tensors)

/** The base with `scale`·B·A added to some matrices by hand, as a folder of its own. */
function mergedByHand(tensors: Tensors, scales: Record<string, number>): string {
  const folder = join(work, `merged-${folders++}`)
  cpSync(BASE, folder, { recursive: true })
  const { header, data } = readSafetensors(BASE)
  const parts: Buffer[] = []
  let end = 0
  for (const [name, entry] of Object.entries(header).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0])) {
    const bytes = data.subarray(...entry.data_offsets)
    const scale = scales[name.replace(/\.weight$/, '')]
    let kept = bytes
    if (scale !== undefined) {
      const module = `base_model.model.${name.replace(/\.weight$/, '')}`
      const [a, b] = [tensors[`${module}.lora_A.weight`], tensors[`${module}.lora_B.weight`]] as [
        Tensors[string],
        Tensors[string],
      ]
      const values = asF32(bytes, entry.dtype)
      const [rows, cols] = entry.shape as [number, number]
      const rank = a.shape[0] as number
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < cols; c++) {
          let sum = 0
          for (let j = 0; j < rank; j++) sum += (b.values[r * rank + j] as number) * (a.values[j * cols + c] as number)
          ;(values[r * cols + c] as number) += scale * sum
        }
      kept = Buffer.from(values.buffer)
      entry.dtype = 'F32'
    }
    entry.data_offsets = [end, end + kept.length]
    end += kept.length
    parts.push(kept)
  }
  writeSafetensors(folder, header, Buffer.concat(parts))
  return folder
}

async function logits(model: string, adapters: string[], options: object = F32): Promise<Float32Array> {
  await using engine = await Engine.open({ model, adapters, ...options } as never)
  return (await engine.logits({ tokens: TOKENS })).logits
}

const DOWN1 = 'model.layers.1.mlp.down_proj'
const SCALINGS: [name: string, config: object, ranks: Record<string, number>, scales: Record<string, number>][] = [
  ['alpha / r', {}, { [Q0]: 2 }, { [Q0]: 4 }],
  ['PEFT’s default of alpha', { lora_alpha: undefined, r: 4 }, { [Q0]: 4 }, { [Q0]: 2 }],
  ['rsLoRA: alpha / √r', { use_rslora: true, r: 4 }, { [Q0]: 4 }, { [Q0]: 4 }],
  [
    'patterns: by the end of a name, by a regular expression, the first that matches',
    {
      target_modules: '.*layers\\.(?P<n>[01])\\.(self_attn\\.q_proj|mlp\\.down_proj)',
      rank_pattern: { 'layers.0.self_attn.q_proj': 3, '.*q_proj': 7 },
      alpha_pattern: { '\\w+\\.1\\..*': 3 },
    },
    { [Q0]: 3, [DOWN1]: 2 },
    { [Q0]: 8 / 3, [DOWN1]: 3 / 2 },
  ],
  ['rsLoRA with a rank of its own', { use_rslora: true, rank_pattern: { q_proj: 4 } }, { [Q0]: 4 }, { [Q0]: 4 }],
  ['targets of one layer', { layers_to_transform: [0], target_modules: 'all-linear' }, { [Q0]: 2 }, { [Q0]: 4 }],
]
for (const [name, config, ranks, scales] of SCALINGS) {
  test(`what is merged: ${name}`, async () => {
    const tensors = pairs(ranks)
    const folder = adapter(config, tensors)
    const [got, expected] = [await logits(BASE, [folder]), await logits(mergedByHand(tensors, scales), [])]
    assert.ok(relativeDistance(got, expected) < 1e-6)
    assert.ok(relativeDistance(got, await logits(BASE, [])) > 1e-3, 'the adapter does nothing')
  })
}

test('two adapters add up; a replaced tensor counts; names of running models find their file’s', async () => {
  const [one, two] = [pairs({ [Q0]: 2 }), pairs({ [DOWN1]: 2 })]
  const renamed = Object.entries(pairs({ [DOWN1]: 2 })).map(([n, t]) => [
    n.replace('model.layers', 'model.language_model.layers'),
    t,
  ])
  const second = adapter({ target_modules: ['down_proj'] }, Object.fromEntries(renamed))
  const both = await logits(BASE, [adapter({}, one), second])
  assert.ok(relativeDistance(both, await logits(mergedByHand({ ...one, ...two }, { [Q0]: 4, [DOWN1]: 4 }), [])) < 1e-6)
  const golden = readTensors(join(GOLDEN, 'golden.safetensors')).get('0.logits')?.data as Float32Array
  const { inputIds } = readJson(join(GOLDEN, 'golden.json')).cases[0]
  for (const [weights, bound] of [
    ['f32', 1e-4],
    ['bf16', 3e-2],
    ['int8', 5e-2],
  ] as const) {
    await using engine = await Engine.open({ model: BASE, adapters: [GOLDEN], weights })
    const off = relativeDistance((await engine.logits({ tokens: inputIds })).logits, golden)
    assert.ok(off < bound, `${weights}: ${off}`)
    assert.equal(engine.info().adapters, [GOLDEN])
  }
})

test('an identity names the adapters too', async () => {
  const names = new Set<string>()
  for (const adapters of [[], [GOLDEN], [adapter({}, pairs({ [Q0]: 2 }))], [adapter({ lora_alpha: 4 }, pairs({ [Q0]: 2 }))]]) {
    await using engine = await Engine.open({ model: BASE, adapters })
    names.add(engine.identity())
  }
  assert.is(names.size, 4)
})

const half = Object.fromEntries(Object.entries(pairs({ [Q0]: 2 })).slice(0, 1))
const named = (change: (name: string) => string) =>
  Object.fromEntries(Object.entries(pairs({ [Q0]: 2 })).map(([name, tensor]) => [change(name), tensor]))
const PAIR = pairs({ [Q0]: 2 })
const BAD: [name: string, config: object, tensors: Tensors, says: RegExp, code?: string][] = [
  ['rank that the config does not say', { r: 3 }, PAIR, /lora_A\.weight" is \[2, \d+\], but \[3, \d+\] fits model\.layers\.0/],
  ['a half', {}, half, /lora_A\.weight" has no lora_B beside it/],
  ['a module that is not targeted', { target_modules: ['v_proj'] }, PAIR, /q_proj, which "target_modules": \["v_proj"\]/],
  ['a regex that leaves it out', { target_modules: 'q_proj' }, PAIR, /which "target_modules": "q_proj"/],
  ['a layer that is left out', { layers_to_transform: [1] }, PAIR, /which "layers_to_transform": \[1\]/],
  ['a module that the base lacks', { target_modules: ['wqkv'] }, named((n) => n.replace('q_proj', 'wqkv')), /adapter of another base/],
  ['names of another tool', {}, named((n) => n.replace('base_model.model.', '')), /does not begin with "base_model\.model\."/],
  ['nothing', {}, {}, /holds no tensor/],
  ['DoRA', { use_dora: true }, PAIR, /"use_dora" is true/, 'UNSUPPORTED_MODEL'],
  ['weights the other way round', { fan_in_fan_out: true }, PAIR, /"fan_in_fan_out" is true/, 'UNSUPPORTED_MODEL'],
  ['another kind', { peft_type: 'IA3' }, PAIR, /"peft_type" is "IA3"; LORA/, 'UNSUPPORTED_MODEL'],
  ['a start that changes the base', { init_lora_weights: 'pissa' }, PAIR, /"init_lora_weights" is "pissa"/, 'UNSUPPORTED_MODEL'],
  ['what a later PEFT may bring', { use_newest_thing: 3 }, PAIR, /"use_newest_thing" is 3/, 'UNSUPPORTED_MODEL'],
  ['an expression of Python alone', { target_modules: '(?i).*q_proj' }, PAIR, /"target_modules".*not understood/, 'UNSUPPORTED_MODEL'],
  ['an embedding’s adapter', {}, named((n) => n.replace('lora_A', 'lora_embedding_A')), /lora_embedding_A/, 'UNSUPPORTED_MODEL'],
  ['a rank of no sense', { r: 0 }, PAIR, /adapter_config\.json.*\br\b/],
] // biome-ignore format: one case per line
for (const [name, config, tensors, says, code = 'INVALID_MODEL'] of BAD) {
  test(`refused by name: ${name}`, async () => {
    await failure(Engine.open({ model: BASE, adapters: [adapter(config, tensors)], ...F32 }), code, says)
  })
}

test('an adapter of another base, a folder that is none, a cut file: typed errors', async () => {
  await failure(Engine.open({ model: OTHER, adapters: [GOLDEN], ...F32 }), 'INVALID_MODEL', /adapter of another base/)
  await failure(Engine.open({ model: BASE, adapters: [BASE], ...F32 }), 'INVALID_MODEL', /holds no adapter_config\.json/)
  const cut = adapter({}, pairs({ [Q0]: 2 }))
  writeFileSync(join(cut, 'adapter_model.safetensors'), Buffer.from([200, 0, 0, 0, 0, 0, 0, 0, 123]))
  await failure(Engine.open({ model: BASE, adapters: [cut], ...F32 }), 'INVALID_MODEL', /truncated download/)
  rmSync(join(cut, 'adapter_model.safetensors'))
  await failure(Engine.open({ model: BASE, adapters: [cut], ...F32 }), 'INVALID_MODEL', /holds no adapter_model\.safetensors/)
})

test('what the trainer saves as adapters opens over its base, with its tokens, to the bits of the merged model', async () => {
  const init = await tinyCheckpoint(join(work, 'init'), { withMarker: false })
  const data = writeRows(join(work, 'rows.jsonl'), prmRows(4, { image: PICTURE }))
  const lora = { rank: 4, alpha: 8, targets: ['q_proj', 'down_proj'] }
  const common = { task: 'prm', init, data, lora, freeze: ['vision', 'projector'], epochs: 2 } as const
  const [merged, apart] = [join(work, 'merged'), join(work, 'apart')]
  await train({ ...common, out: merged })
  await train({ ...common, out: apart, saveLora: 'adapters' })
  const request = { question: 'How many?', image: PICTURE, steps: ['One and two.', 'Three'], returnLogits: true as const }
  await using whole = await Engine.open({ model: merged, ...F32 })
  await using over = await Engine.open({ model: init, adapters: [apart], ...F32 })
  assert.is(over.info().scoring, 'mm-prm')
  assert.equal(await over.scoreSteps(request), await whole.scoreSteps(request))
})

test('--adapter: score and generate open it, and name what does not fit', async () => {
  const input = join(work, 'in.jsonl')
  writeFileSync(input, '{"id":1,"question":"What is 2 + 3?"}\n')
  const common = ['generate', '--input', input, '--max-tokens', '4', '--top-k', '1']
  const run = (...args: string[]) => startCli([...common, ...args]).ended
  const [bare, adapted, other] = await Promise.all([
    run('--model', BASE),
    run('--model', BASE, '--adapter', GOLDEN),
    run('--model', OTHER, '--adapter', GOLDEN),
  ])
  assert.equal([bare.code, adapted.code, other.code], [0, 0, 1], `${bare.stderr}${adapted.stderr}`)
  assert.is.not(adapted.stdout, bare.stdout)
  assert.match(other.stderr, /adapter of another base/)
})

test.run()
