/**
 * Writes a checkpoint with random weights and a small real tokenizer, so that speed can be measured without downloading
 * anything. Speed does not depend on what the weights are.
 *
 *   node --import tsx bench/engine/random-checkpoint.ts --shape NAME --out DIR
 */
import { copyFile, mkdir, open, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

export interface Shape {
  hidden: number
  intermediate: number
  layers: number
  heads: number
  kvHeads: number
  vocab: number
  /** Qwen3: norms of queries and keys, no biases, and a head size of its own. Else Qwen2. */
  qwen3?: { headDim: number }
}

export const SHAPES: Record<string, Shape> = {
  // Qwen2-0.5B
  '0.5b': { hidden: 896, intermediate: 4864, layers: 24, heads: 14, kvHeads: 2, vocab: 151_936 },
  '15m': { hidden: 256, intermediate: 768, layers: 8, heads: 4, kvHeads: 2, vocab: 32_000 },
  // Qwen3-0.6B
  '0.6b-qwen3': {
    ...{ hidden: 1024, intermediate: 3072, layers: 28, heads: 16, kvHeads: 8, vocab: 151_936, qwen3: { headDim: 128 } },
  },
  // the language model of Qwen2.5-VL-3B
  '3b': { hidden: 2048, intermediate: 11_008, layers: 36, heads: 16, kvHeads: 2, vocab: 151_936 },
}
/** Measured unless others are named. */
export const DEFAULT_SHAPES = ['0.5b', '15m']

/** Runs of each kind for one of the largest: what is over in a moment varies more. */
export const REPEATS: Record<string, number> = { '0.5b': 1, '15m': 4 }

const TOKENIZER = join(import.meta.dirname, '../../test/golden/models/internvl2_5-qwen2')
const NOISE_LENGTH = 1 << 22

function tensorShapes(s: Shape): Map<string, number[]> {
  const headDim = s.qwen3?.headDim ?? s.hidden / s.heads
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [s.vocab, s.hidden]]])
  for (let i = 0; i < s.layers; i++) {
    const at = `model.layers.${i}`
    for (const [part, heads] of [
      ['q', s.heads],
      ['k', s.kvHeads],
      ['v', s.kvHeads],
    ] as const) {
      shapes.set(`${at}.self_attn.${part}_proj.weight`, [heads * headDim, s.hidden])
      if (!s.qwen3) shapes.set(`${at}.self_attn.${part}_proj.bias`, [heads * headDim])
      else if (part !== 'v') shapes.set(`${at}.self_attn.${part}_norm.weight`, [headDim])
    }
    shapes.set(`${at}.self_attn.o_proj.weight`, [s.hidden, s.heads * headDim])
    shapes.set(`${at}.mlp.gate_proj.weight`, [s.intermediate, s.hidden])
    shapes.set(`${at}.mlp.up_proj.weight`, [s.intermediate, s.hidden])
    shapes.set(`${at}.mlp.down_proj.weight`, [s.hidden, s.intermediate])
    shapes.set(`${at}.input_layernorm.weight`, [s.hidden])
    shapes.set(`${at}.post_attention_layernorm.weight`, [s.hidden])
  }
  return shapes.set('model.norm.weight', [s.hidden])
}

/** Uniform noise in ±0.035 as bfloat16 (top halves of floats), from a fixed linear congruential sequence. */
function bf16Noise(): Uint16Array {
  const floats = new Float32Array(1)
  const bits = new Uint32Array(floats.buffer)
  const noise = new Uint16Array(NOISE_LENGTH)
  let state = 1
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    floats[0] = (state / 2 ** 32 - 0.5) * 0.07
    noise[i] = (bits[0] as number) >>> 16
  }
  return noise
}

export async function writeRandomCheckpoint(shape: Shape, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await copyTokenizer(TOKENIZER, folder)
  await writeFile(join(folder, 'config.json'), JSON.stringify(configOf(shape), null, 1))
  await writeNoise(tensorShapes(shape), folder)
}

export async function copyTokenizer(from: string, folder: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (/^(tokenizer|vocab|merges|special_tokens|generation_config)/.test(name))
      await copyFile(join(from, name), join(folder, name))
  }
}

/** Tensors of noise in BF16, as model.safetensors. */
export async function writeNoise(shapes: ReadonlyMap<string, readonly number[]>, folder: string): Promise<void> {
  const header: Record<string, unknown> = {}
  let bytes = 0
  for (const [name, dims] of shapes) {
    const size = 2 * dims.reduce((a, b) => a * b)
    header[name] = { dtype: 'BF16', shape: dims, data_offsets: [bytes, bytes + size] }
    bytes += size
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const noise = Buffer.from(bf16Noise().buffer)
  const file = await open(join(folder, 'model.safetensors'), 'w')
  try {
    await file.writev([length, json])
    for (let left = bytes; left > 0; left -= noise.length) await file.write(noise, 0, Math.min(left, noise.length))
  } finally {
    await file.close()
  }
}

function configOf(s: Shape) {
  return {
    architectures: [s.qwen3 ? 'Qwen3ForCausalLM' : 'Qwen2ForCausalLM'],
    model_type: s.qwen3 ? 'qwen3' : 'qwen2',
    ...(s.qwen3 && { head_dim: s.qwen3.headDim, attention_bias: false }),
    hidden_size: s.hidden,
    intermediate_size: s.intermediate,
    num_hidden_layers: s.layers,
    num_attention_heads: s.heads,
    num_key_value_heads: s.kvHeads,
    vocab_size: s.vocab,
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    use_sliding_window: false,
    torch_dtype: 'bfloat16',
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { shape: { type: 'string' }, out: { type: 'string' } } })
  const shape = SHAPES[values.shape ?? '']
  if (!shape || !values.out) throw new Error(`usage: --shape ${Object.keys(SHAPES).join('|')} --out DIR`)
  await writeRandomCheckpoint(shape, values.out)
}
