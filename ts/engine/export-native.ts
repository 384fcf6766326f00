/**
 * An InternVL checkpoint of its authors' layout (`internvl_chat`) in the layout of transformers' own class. No weight is changed:
 * tensors get other names, and the fused projections of the vision tower are cut into three, which lie one behind the other.
 */

import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError, invalidModel } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'

type Json = Record<string, unknown>

interface Tensor {
  readonly dtype: string
  readonly shape: readonly number[]
  /** Bytes of the file from the first to behind the last. */
  readonly from: number
  readonly to: number
  readonly file: FileHandle
}

/** Copied as they are, where they are there. */
const COPIED = [
  ...['tokenizer.json', 'vocab.json', 'merges.txt', 'added_tokens.json', 'special_tokens_map.json'],
  ...['generation_config.json', 'mm-prm.json'],
]
const PROJECTOR: Readonly<Record<string, string>> = { '0': 'layer_norm', '1': 'linear_1', '3': 'linear_2' }
const LAYER: readonly (readonly [RegExp, string])[] = [
  [/^attn\.proj\./, 'attention.projection_layer.'],
  [/^attn\.(q|k)_norm\./, 'attention.$1_norm.'],
  [/^norm1\./, 'layernorm_before.'],
  [/^norm2\./, 'layernorm_after.'],
  [/^ls([12])$/, 'lambda_$1'],
  [/^(mlp\.fc[12]\.)/, '$1'],
]
const EMBEDDINGS: Readonly<Record<string, string>> = {
  class_embedding: 'cls_token',
  position_embedding: 'position_embeddings',
  'patch_embedding.weight': 'patch_embeddings.projection.weight',
  'patch_embedding.bias': 'patch_embeddings.projection.bias',
}
const TOWER = 'model.vision_tower.'

/** The name of a tensor that stays one; undefined: it has no place there. */
function renamed(name: string): string | undefined {
  const language = /^language_model\.(?:model\.(.+)|(lm_head\..+))$/.exec(name)
  if (language) return language[1] ? `model.language_model.${language[1]}` : language[2]
  const projector = /^mlp1\.(\d)\.(weight|bias)$/.exec(name)
  const part = projector && PROJECTOR[projector[1] as string]
  if (part) return `model.multi_modal_projector.${part}.${projector[2]}`
  const embedding = /^vision_model\.embeddings\.(.+)$/.exec(name)?.[1]
  const known = embedding && EMBEDDINGS[embedding]
  if (known) return `${TOWER}embeddings.${known}`
  const [, layer, rest = ''] = /^vision_model\.encoder\.layers\.(\d+)\.(.+)$/.exec(name) ?? []
  const rule = LAYER.find(([pattern]) => pattern.test(rest))
  return layer === undefined || !rule ? undefined : `${TOWER}encoder.layer.${layer}.${rest.replace(rule[0], rule[1])}`
}

/** A fused projection is three, row after row. */
function parts(name: string, tensor: Tensor): (readonly [string, Tensor])[] {
  const fused = /^vision_model\.encoder\.layers\.(\d+)\.attn\.qkv\.(weight|bias)$/.exec(name)
  if (!fused) {
    const other = renamed(name)
    if (other === undefined) throw invalidModel(`${name}: transformers' InternVL has no place for this tensor`)
    return [[other, tensor]]
  }
  const [rows = 0, ...rest] = tensor.shape
  const bytes = (tensor.to - tensor.from) / 3
  return ['q', 'k', 'v'].map((letter, i) => [
    `${TOWER}encoder.layer.${fused[1]}.attention.${letter}_proj.${fused[2]}`,
    { ...tensor, shape: [rows / 3, ...rest], from: tensor.from + i * bytes, to: tensor.from + (i + 1) * bytes },
  ])
}

async function readHeader(file: FileHandle, path: string): Promise<[string, Tensor][]> {
  const length = Number((await file.read(Buffer.alloc(8), 0, 8, 0)).buffer.readBigUInt64LE(0))
  const { size } = await file.stat()
  if (length > size - 8) throw invalidModel(`${path}: its header is longer than the file`)
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, 8)
  const header = JSON.parse(buffer.toString('utf8')) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, from: 8 + length + from, to: 8 + length + to, file }],
    )
}

const CHUNK = 2 ** 24

async function writeTensors(path: string, tensors: readonly (readonly [string, Tensor])[]): Promise<void> {
  let offset = 0
  const header: Json = { __metadata__: { format: 'pt' } }
  for (const [name, { dtype, shape, from, to }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + to - from] }
    offset += to - from
  }
  const text = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  await using out = await open(path, 'w')
  await out.write(Buffer.concat([length, padded]))
  for (const [, { file, from, to }] of tensors)
    for (let at = from; at < to; at += CHUNK) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(CHUNK, to - at)), 0, Math.min(CHUNK, to - at), at)
      await out.write(buffer, 0, bytesRead)
    }
}

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Json

function imageToken(folder: string): number {
  const { added_tokens = [] } = readJson(join(folder, 'tokenizer.json')) as { added_tokens?: { content: string; id: number }[] }
  const found = added_tokens.find(({ content }) => content === '<IMG_CONTEXT>')
  if (!found) throw invalidModel(`${folder}/tokenizer.json: no token <IMG_CONTEXT>`)
  return found.id
}

function nativeConfig(config: Json, imageTokenId: number): Json {
  const { architectures: _a, ...text } = config['llm_config'] as Json
  const v = config['vision_config'] as Json
  const size = Number(config['force_image_size'] ?? v['image_size'])
  const [patch, ratio] = [Number(v['patch_size']), Number(config['downsample_ratio'])]
  const kept = ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'num_channels', 'norm_type']
  const same = Object.fromEntries([...kept, 'layer_norm_eps', 'hidden_act'].map((name) => [name, v[name]]))
  return {
    ...{ architectures: ['InternVLForConditionalGeneration'], model_type: 'internvl', dtype: config['torch_dtype'] },
    ...{ downsample_ratio: ratio, image_seq_length: Math.round((size / patch) * ratio) ** 2, image_token_id: imageTokenId },
    ...{
      projector_hidden_act: 'gelu',
      vision_feature_layer: config['select_layer'] ?? -1,
      vision_feature_select_strategy: 'default',
    },
    tie_word_embeddings: text['tie_word_embeddings'] ?? false,
    text_config: text,
    vision_config: {
      ...{ model_type: 'internvl_vision', ...same, attention_bias: v['qkv_bias'], use_qk_norm: v['qk_normalization'] },
      ...{ image_size: [size, size], patch_size: [patch, patch], layer_scale_init_value: 0.1 },
      ...{ use_absolute_position_embeddings: true, use_mask_token: false, use_mean_pooling: true },
    },
    ...(config['system_message'] !== undefined && { system_message: config['system_message'] }),
  }
}

function nativePreprocessor(config: Json, old: Json): Json {
  const size = Number(config['force_image_size'] ?? (config['vision_config'] as Json)['image_size'])
  return {
    ...{ image_processor_type: 'GotOcr2ImageProcessorFast', processor_class: 'InternVLProcessor', resample: 3 },
    ...{ image_mean: old['image_mean'] ?? [0.485, 0.456, 0.406], image_std: old['image_std'] ?? [0.229, 0.224, 0.225] },
    ...{ do_convert_rgb: true, do_normalize: true, do_rescale: true, do_resize: true, rescale_factor: 1 / 255 },
    ...{ crop_to_patches: config['dynamic_image_size'] === true, min_patches: config['min_dynamic_patch'] ?? 1 },
    ...{ max_patches: config['max_dynamic_patch'] ?? 12, size: { height: size, width: size } },
  }
}

/** What transformers' processor asks its tokenizer for. */
const NAMED_TOKENS = {
  start_image_token: '<img>',
  end_image_token: '</img>',
  context_image_token: '<IMG_CONTEXT>',
  // WHY not <video>: the vocabulary has no such token, and one more would be beyond the weights. This one no prompt holds.
  video_token: '</img>',
}

function nativeTokenizer(old: Json): Json {
  const extra = old['extra_special_tokens']
  const named = typeof extra === 'object' && !Array.isArray(extra) ? extra : {}
  const { extra_special_tokens: _, ...rest } = old
  const additional = Array.isArray(extra) && !('additional_special_tokens' in old) && { additional_special_tokens: extra }
  const tokens = { ...NAMED_TOKENS, extra_special_tokens: { ...named, ...NAMED_TOKENS } }
  return { ...rest, ...additional, ...tokens, processor_class: 'InternVLProcessor' }
}

/** The conversation of the authors' code; it begins with the system message that their config holds. */
function chatTemplate(system: unknown): string {
  const first = typeof system === 'string' && system !== '' ? system : undefined
  const opening =
    first === undefined
      ? ''
      : `{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n' + ${JSON.stringify(first)} + '<|im_end|>\\n' }}{% endif %}`
  const parts = `{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}`
  const content = `{% if message['content'] is string %}{{ message['content'] }}{% else %}${parts}{% endif %}`
  const turns = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}${content}{{ '<|im_end|>\\n' }}{% endfor %}`
  return `${opening}${turns}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`
}

/**
 * Writes `model` as a folder that `AutoModelForImageTextToText` and `AutoProcessor` open, and this package too.
 * @param out made; must hold no checkpoint
 * @throws EngineError INVALID_MODEL: a tensor without a place; UNSUPPORTED_MODEL: no InternVL of its authors' layout; INVALID_ARGUMENT
 */
export async function exportTransformersNative({ model, out }: { model: string; out: string }): Promise<void> {
  const config = readJson(join(model, 'config.json'))
  if (config['model_type'] !== 'internvl_chat')
    throw new EngineError(
      'ERR_ENGINE_UNSUPPORTED_MODEL',
      `${model}: its model_type is ${JSON.stringify(config['model_type'])}; exported are checkpoints of "internvl_chat", the others are native already`,
    )
  if (existsSync(join(out, 'config.json')))
    throw new EngineError('ERR_ENGINE_INVALID_ARGUMENT', `${out}: there is a checkpoint already; name another folder`)
  const names = (await readdir(model)).filter((name) => name.endsWith('.safetensors')).sort()
  if (names.length === 0) throw invalidModel(`${model}: no .safetensors in it`)
  const files = await Promise.all(names.map((name) => open(join(model, name))))
  try {
    const read = await Promise.all(files.map((file, i) => readHeader(file, join(model, names[i] as string))))
    const tensors = read.flat().flatMap(([name, tensor]) => parts(name, tensor))
    makeFolder(out)
    await writeTensors(join(out, 'model.safetensors'), tensors)
  } catch (error) {
    rmSync(join(out, 'model.safetensors'), { force: true })
    throw error
  } finally {
    for (const file of files) await file.close()
  }
  for (const name of COPIED) if (existsSync(join(model, name))) copyFileSync(join(model, name), join(out, name))
  const preprocessor = join(model, 'preprocessor_config.json')
  const write = (name: string, value: Json) => writeFileSync(join(out, name), `${JSON.stringify(value, null, 2)}\n`)
  write('preprocessor_config.json', nativePreprocessor(config, existsSync(preprocessor) ? readJson(preprocessor) : {}))
  const tokenizer = join(model, 'tokenizer_config.json')
  write('tokenizer_config.json', nativeTokenizer(existsSync(tokenizer) ? readJson(tokenizer) : {}))
  writeFileSync(join(out, 'chat_template.jinja'), chatTemplate(config['system_message']))
  const native = nativeConfig(config, imageToken(model))
  write('processor_config.json', { processor_class: 'InternVLProcessor', image_seq_length: native['image_seq_length'] })
  write('config.json', native) // last: without it the folder is no checkpoint
}
