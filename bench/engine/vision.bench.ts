/**
 * Vision towers at the sizes of released models, with random weights: tokens (patches) per second, and what their products
 * with weights alone come to as a share of the processor's peak for bf16, measured before and after.
 *
 *   node --import tsx bench/engine/vision.bench.ts [--models DIR] [--rounds N]
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'
import { copyTokenizer, writeNoise } from './random-checkpoint.ts'

const NATIVE_BENCH = join(import.meta.dirname, '../../build/tests/native_bench')
const GOLDEN = join(import.meta.dirname, '../../test/golden/models')
const PEAK = 'gemm bf16 M=512 N=4096 K=4096'

const { values: options } = parseArgs({
  options: { models: { type: 'string', default: join(tmpdir(), 'mm-prm-bench') }, rounds: { type: 'string', default: '5' } },
})

type Shapes = Map<string, number[]>

interface Tower {
  /** The golden model whose tokenizer, config and preprocessor this one's are made from. */
  like: string
  config: (golden: Record<string, object>) => object
  preprocessor: object
  shapes: () => Shapes
  /** Of the picture, in pixels. */
  side: number
  /** Patches, and what stands beside them, that go through the layers. */
  tokens: number
  /** Patches that are merged before the language model. */
  merged: number
}

/** A language model of one small layer, which these measurements never run. */
const TEXT = { hidden_size: 0, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 8, num_key_value_heads: 1 }

function textShapes(prefix: string, C: number, vocab: number): Shapes {
  const [D, layer] = [C / TEXT.num_attention_heads, `${prefix}model.layers.0`]
  const shapes: Shapes = new Map([[`${prefix}model.embed_tokens.weight`, [vocab, C]]])
  for (const [part, width] of Object.entries({ q: C, k: D, v: D })) {
    shapes.set(`${layer}.self_attn.${part}_proj.weight`, [width, C]).set(`${layer}.self_attn.${part}_proj.bias`, [width])
  }
  shapes.set(`${layer}.self_attn.o_proj.weight`, [C, C])
  for (const part of ['gate', 'up']) shapes.set(`${layer}.mlp.${part}_proj.weight`, [TEXT.intermediate_size, C])
  shapes.set(`${layer}.mlp.down_proj.weight`, [C, TEXT.intermediate_size])
  for (const part of ['input', 'post_attention']) shapes.set(`${layer}.${part}_layernorm.weight`, [C])
  return shapes.set(`${prefix}model.norm.weight`, [C]).set(`${prefix}lm_head.weight`, [vocab, C])
}

const linear = (shapes: Shapes, name: string, N: number, K: number) =>
  shapes.set(`${name}.weight`, [N, K]).set(`${name}.bias`, [N])

function internVit300m(): Shapes {
  const [C, F, text] = [1024, 4096, 896]
  const shapes = textShapes('language_model.', text, 654)
  shapes.set('vision_model.embeddings.class_embedding', [1, 1, C]).set('vision_model.embeddings.position_embedding', [1, 1025, C])
  shapes.set('vision_model.embeddings.patch_embedding.weight', [C, 3, 14, 14])
  shapes.set('vision_model.embeddings.patch_embedding.bias', [C])
  for (let i = 0; i < 24; i++) {
    const at = `vision_model.encoder.layers.${i}`
    linear(shapes, `${at}.attn.qkv`, 3 * C, C)
    linear(shapes, `${at}.attn.proj`, C, C)
    linear(shapes, `${at}.mlp.fc1`, F, C)
    linear(shapes, `${at}.mlp.fc2`, C, F)
    for (const name of ['norm1.weight', 'norm1.bias', 'norm2.weight', 'norm2.bias', 'ls1', 'ls2'])
      shapes.set(`${at}.${name}`, [C])
  }
  shapes.set('mlp1.0.weight', [4 * C]).set('mlp1.0.bias', [4 * C])
  linear(shapes, 'mlp1.1', text, 4 * C)
  return linear(shapes, 'mlp1.3', text, text)
}

function qwenVit(): Shapes {
  const [C, F, text] = [1280, 3420, 2048]
  const shapes = textShapes('', text, 663)
  shapes.set('visual.patch_embed.proj.weight', [C, 3, 2, 14, 14])
  for (let i = 0; i < 32; i++) {
    const at = `visual.blocks.${i}`
    linear(shapes, `${at}.attn.qkv`, 3 * C, C)
    linear(shapes, `${at}.attn.proj`, C, C)
    linear(shapes, `${at}.mlp.gate_proj`, F, C)
    linear(shapes, `${at}.mlp.up_proj`, F, C)
    linear(shapes, `${at}.mlp.down_proj`, C, F)
    for (const name of ['norm1', 'norm2']) shapes.set(`${at}.${name}.weight`, [C])
  }
  shapes.set('visual.merger.ln_q.weight', [C])
  linear(shapes, 'visual.merger.mlp.0', 4 * C, 4 * C)
  return linear(shapes, 'visual.merger.mlp.2', text, 4 * C)
}

const TOWERS: Record<string, Tower> = {
  'InternViT-300M, one tile of 448 × 448': {
    like: 'internvl2_5-qwen2',
    config: ({ vision_config, llm_config, ...rest }) => ({
      ...{ ...rest, force_image_size: 448, hidden_size: 896, max_dynamic_patch: 1, tie_word_embeddings: false },
      vision_config: {
        ...{ ...vision_config, hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24, num_attention_heads: 16 },
        image_size: 448,
      },
      llm_config: { ...llm_config, ...TEXT, hidden_size: 896 },
    }),
    preprocessor: { crop_size: 448, size: 448 },
    shapes: internVit300m,
    side: 448,
    tokens: 1025,
    merged: 256,
  },
  'Qwen2.5-VL-3B, a picture of 448 × 448': {
    like: 'qwen2_5_vl',
    config: ({ vision_config, text_config, ...rest }) => ({
      ...rest,
      vision_config: {
        ...{ ...vision_config, hidden_size: 1280, intermediate_size: 3420, depth: 32, num_heads: 16, out_hidden_size: 2048 },
        ...{ window_size: 112, fullatt_block_indexes: [7, 15, 23, 31] },
      },
      text_config: {
        ...{ ...text_config, ...TEXT, hidden_size: 2048, layer_types: ['full_attention'] },
        rope_parameters: { mrope_section: [32, 48, 48], rope_theta: 1e6, rope_type: 'default' },
      },
    }),
    preprocessor: { size: { shortest_edge: 3136, longest_edge: 12_845_056 } },
    shapes: qwenVit,
    side: 448,
    tokens: 1024,
    merged: 256,
  },
}

async function write(tower: Tower, folder: string): Promise<void> {
  const read = (name: string) => JSON.parse(readFileSync(join(GOLDEN, tower.like, name), 'utf8'))
  mkdirSync(folder, { recursive: true })
  await copyTokenizer(join(GOLDEN, tower.like), folder)
  writeFileSync(join(folder, 'config.json'), JSON.stringify(tower.config(read('config.json'))))
  const preprocessor = { ...read('preprocessor_config.json'), ...tower.preprocessor }
  writeFileSync(join(folder, 'preprocessor_config.json'), JSON.stringify(preprocessor))
  await writeNoise(tower.shapes(), folder)
}

/** Of the tower's products with weights; attention itself is left out. */
function flopsOf({ shapes, tokens, merged }: Tower): number {
  let flops = 0
  for (const [name, shape] of shapes()) {
    if (!/^(?:visual|vision_model|mlp1)\b/.test(name) || shape.length < 2 || name.includes('_embedding')) continue
    flops += 2 * (/merger|mlp1/.test(name) ? merged : tokens) * shape.reduce((a, b) => a * b)
  }
  return flops
}

/** Flops per second of bf16 products whose operands stay in cache, as the kernels' benchmark measures them. */
function measurePeak(): number {
  const file = join(options.models, 'peak.json')
  execFileSync(NATIVE_BENCH, ['--json', file, PEAK], { stdio: 'ignore' })
  const { isa } = loadNative().probe()
  const { results } = JSON.parse(readFileSync(file, 'utf8')) as { results: { isa: string; roof_per_s: number }[] }
  const found = results.find((result) => result.isa === isa)
  if (!found) throw new Error(`native_bench measures no "${PEAK}" of ${isa}`)
  return found.roof_per_s
}

async function measure(name: string, tower: Tower): Promise<Measurement> {
  const model = join(options.models, name.replace(/[^\w.-]+/g, '-'))
  if (!existsSync(join(model, 'model.safetensors'))) await write(tower, model)
  await using engine = await Engine.open({ model })
  const times: number[] = []
  const peaks = [measurePeak()]
  for (let round = 0; round <= Number(options.rounds); round++) {
    // WHY another picture each time: what the tower made of one is kept.
    const background = { r: round, g: 2 * round, b: 200 }
    const blank = sharp({ create: { width: tower.side, height: tower.side, channels: 3, background } })
    const image = await blank.png().toBuffer()
    const began = performance.now()
    const { embeds } = await engine.embedImage({ image })
    if (round > 0) times.push((performance.now() - began) / 1000)
    const rows = embeds.length / engine.info().decoder.hidden
    if (rows !== tower.merged) throw new Error(`${name}: ${rows} rows instead of ${tower.merged}`)
  }
  peaks.push(measurePeak())
  const median = quantile(times, 0.5)
  const ofRoof = flopsOf(tower) / median / Math.max(...peaks)
  console.log(`${name}: ${(tower.tokens / median).toFixed(0)} tokens/s, ${(100 * ofRoof).toFixed(0)} % of the peak`)
  return {
    ...{ name: `vision ${name}`, unit: 'tokens/s', median: tower.tokens / median, p95: tower.tokens / quantile(times, 0.95) },
    ...{ samples: times.length, ofRoof, headline: true, details: { tokens: tower.tokens, teraflops: flopsOf(tower) / 1e12 } },
  }
}

mkdirSync(options.models, { recursive: true })
const measurements: Measurement[] = []
for (const [name, tower] of Object.entries(TOWERS)) measurements.push(await measure(name, tower))
writeResults('vision', { ROUNDS: options.rounds }, measurements)
