/** Ways to spoil a checkpoint folder, and what the error must say. Cases for test/boundary/bad-models.test.ts. */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { editJson, type Header, type HeaderEntry, readSafetensors, WEIGHTS, writeSafetensors } from './checkpoint-files.ts'

export interface BadModel {
  name: string
  /** Which golden checkpoint is spoilt; "text" by default. */
  from?: 'text' | 'vision' | 'sharded'
  spoil: (folder: string) => void
  /** All of them must match; without any the folder must open all the same. */
  says: RegExp[]
  /** INVALID by default. */
  code?: 'UNSUPPORTED'
  /** What only opening reads: the tokenizer and how images are normalised. */
  inspectsWell?: boolean
}

const INDEX = 'model.safetensors.index.json'

const headerText = (text: string) => (folder: string) =>
  writeSafetensors(folder, Buffer.from(text, 'latin1'), readSafetensors(folder).data)
const claimedLength = (length: bigint) => (folder: string) => {
  const { header, data } = readSafetensors(folder)
  writeSafetensors(folder, header, data, length)
}
const header = (edit: (header: Header, data: Buffer) => object | void) => (folder: string) => {
  const file = readSafetensors(folder)
  writeSafetensors(folder, edit(file.header, file.data) ?? file.header, file.data)
}
/** Changes the entry whose bytes come first. */
const firstEntry = (change: (entry: HeaderEntry) => object) =>
  header((h) => {
    const first = Object.values(h).find((entry) => entry.data_offsets[0] === 0) as HeaderEntry
    Object.assign(first, change(first))
  })
const file = (name: string, text: string) => (folder: string) => writeFileSync(join(folder, name), text)
const without = (...names: string[]) => (folder: string) => {
  for (const name of names) rmSync(join(folder, name), { force: true })
}
/** Sets a key of config.json; undefined takes it away. */
const config = (key: string, value: unknown) => (folder: string) =>
  editJson(folder, 'config.json', (json) => {
    json[key] = typeof value === 'function' ? value(json[key]) : value
  })
const inside = (keys: string[], change: object) => (folder: string) =>
  editJson(folder, 'config.json', (json) => void Object.assign(json[keys.find((key) => key in json) as string], change))

const isMatrix = ([, entry]: [string, HeaderEntry]) => entry.shape.length === 2 && entry.shape[0] !== entry.shape[1]
const isNorm = ([name, entry]: [string, HeaderEntry]) => entry.shape.length === 1 && /norm.*\.weight$/.test(name)

function transposeOne(h: Header): void {
  const [, matrix] = Object.entries(h).find(isMatrix) as [string, HeaderEntry]
  matrix.shape.reverse()
}

function renameTwo(h: Header): void {
  for (const [name, entry] of Object.entries(h).filter(isNorm).slice(0, 2)) {
    h[`extra.${name}`] = entry
    delete h[name]
  }
}

function addLeftovers(folder: string): void {
  const { header: h, data } = readSafetensors(folder)
  const names = ['model.layers.0.self_attn.rotary_emb.inv_freq', 'model.rotary_emb.cos_cached', 'vision_model.embeddings.position_ids']
  names.forEach((name, i) => {
    h[name] = { dtype: 'F32', shape: [8], data_offsets: [data.length + 32 * i, data.length + 32 * (i + 1)] }
  })
  writeSafetensors(folder, h, Buffer.concat([data, Buffer.alloc(32 * names.length)]))
}

function shortenData(folder: string): void {
  const { header: h, data } = readSafetensors(folder)
  writeSafetensors(folder, h, data.subarray(0, data.length - 1000))
}

function firstShard(folder: string): string {
  let shards: string[] = []
  editJson(folder, INDEX, (index) => {
    shards = Object.values(index.weight_map)
  })
  return shards.sort()[0] as string
}

const inIndex = (name: string, shard?: string) => (folder: string) => {
  const target = shard ?? firstShard(folder)
  editJson(folder, INDEX, (index) => {
    index.weight_map[name] = target
  })
}

const HEADERS: BadModel[] = [
  { name: 'an empty file', spoil: (f) => truncateSync(join(f, WEIGHTS), 0), says: [/model\.safetensors: has 0 bytes/] },
  { name: 'a file shorter than its length field', spoil: (f) => truncateSync(join(f, WEIGHTS), 5), says: [/has 5 bytes/] },
  { name: 'an end inside the header', spoil: (f) => truncateSync(join(f, WEIGHTS), 100), says: [/claims a header of \d+ bytes, but only 92/] },
  { name: 'an end inside the data', spoil: shortenData, says: [/model\.safetensors: tensor "/, /truncated/] },
  { name: 'an oversized header', spoil: claimedLength(2n ** 40n), says: [/claims a header of 1099511627776 bytes; at most/] },
  { name: 'an absurd header length', spoil: claimedLength(2n ** 64n - 1n), says: [/claims a header of 18446744073709551615/] },
  { name: 'a header that is not UTF-8', spoil: headerText('{"a\xff":{}}'), says: [/header.*line 1, column 4: not valid UTF-8/] },
  { name: 'a header of overlong UTF-8', spoil: headerText('{"\xc0\x80":{}}'), says: [/not valid UTF-8/] },
  { name: 'a header that is not JSON', spoil: headerText('hello'), says: [/model\.safetensors.*not valid JSON/] },
  { name: 'a header that is an array', spoil: headerText('[]'), says: [/must be an object, not an array/] },
  { name: 'a header nested a million deep', spoil: headerText('['.repeat(1_000_000)), says: [/nested deeper/] },
  { name: 'a header of nothing', spoil: headerText('{}'), says: [/belong to no tensor/] },
  { name: 'a name twice', spoil: headerText('{"a":1,"a":2}'), says: [/"a" stands here a second time/] },
  { name: 'text behind the header', spoil: headerText('{}x'), says: [/after the end/] },
  { name: 'metadata that are no strings', spoil: header((h) => ({ __metadata__: { format: 1 }, ...h })), says: [/"__metadata__".*"format"/] },
  { name: 'a tensor that is a number', spoil: header((h) => ({ ghost: 7, ...h })), says: [/tensor "ghost": must be an object/] },
  { name: 'tensors that overlap', spoil: firstEntry((e) => ({ data_offsets: [0, e.data_offsets[1] + 2], dtype: 'X' })), says: [/its data overlap/] },
  { name: 'a hole between tensors', spoil: firstEntry((e) => ({ data_offsets: [2, e.data_offsets[1]], dtype: 'X' })), says: [/2 bytes before its data/] },
  { name: 'offsets past the end', spoil: firstEntry(() => ({ data_offsets: [0, 1e12] })), says: [/tensor ".*end at byte 1000000000000, but the file/] },
  { name: 'offsets that fall', spoil: firstEntry(() => ({ data_offsets: [8, 4] })), says: [/must rise from 0/] },
  { name: 'negative offsets', spoil: firstEntry(() => ({ data_offsets: [-4, 4] })), says: [/must rise from 0/] },
  { name: 'broken offsets', spoil: firstEntry(() => ({ data_offsets: [0.5, 1e300] })), says: [/two integers/] },
  { name: 'one offset', spoil: firstEntry(() => ({ data_offsets: [0] })), says: [/two integers/] },
  { name: 'a shape too large to count', spoil: firstEntry(() => ({ shape: [2 ** 40, 2 ** 40] })), says: [/more elements/] },
  { name: 'a negative shape', spoil: firstEntry(() => ({ shape: [-1, 2] })), says: [/"shape" must hold integers/] },
  { name: 'a shape of text', spoil: firstEntry(() => ({ shape: 'wide' })), says: [/"shape" must be an array/] },
  { name: 'a shape against the bytes', spoil: firstEntry((e) => ({ shape: [...e.shape, 2] })), says: [/need \d+ bytes, its data_offsets span/] },
  { name: 'a dtype against the bytes', spoil: firstEntry(() => ({ dtype: 'F64' })), says: [/need \d+ bytes/] },
  { name: 'no dtype', spoil: firstEntry(() => ({ dtype: undefined })), says: [/"dtype" must be a string/] },
  { name: 'an unknown field', spoil: firstEntry(() => ({ stride: 1 })), says: [/unknown field "stride"/] },
]

const TENSORS: BadModel[] = [
  { name: 'integers', spoil: firstEntry((e) => ({ dtype: e.dtype === 'F32' ? 'I32' : 'I16' })), says: [/is stored as I\d+; BF16, F16 and F32/] },
  { name: 'an unknown dtype', spoil: firstEntry(() => ({ dtype: 'Q4_K' })), says: [/is stored as Q4_K; BF16, F16 and F32 can be read/] },
  { name: 'a transposed matrix', spoil: header(transposeOne), says: [/wrong \(1\):\n.* is \[\d+, \d+\], the config asks for \[\d+, \d+\]/] },
  {
    name: 'missing, wrong and unexpected tensors at once',
    spoil: header((h) => {
      transposeOne(h)
      renameTwo(h)
    }),
    says: [/missing \(2\):\n/, /wrong \(1\):\n/, /unexpected \(2\):\n {2}extra\..*\n {2}extra\./],
  },
  { name: 'rotary tables and position ids of old versions', spoil: addLeftovers, says: [] },
]

const more = (by: number) => (value: number) => value + by

const CONFIGS: BadModel[] = [
  { name: 'no config', spoil: without('config.json'), says: [/config\.json/] },
  { name: 'an empty config', spoil: file('config.json', ''), says: [/config\.json/] },
  { name: 'a config that is not JSON', spoil: file('config.json', '{"hidden_size": }'), says: [/config\.json/] },
  { name: 'a config that is an array', spoil: file('config.json', '[1]'), says: [/config\.json/] },
  { name: 'another width', spoil: config('hidden_size', more(64)), says: [/do not fit config\.json/, /wrong \(/] },
  { name: 'fewer layers', spoil: config('num_hidden_layers', more(-1)), says: [/do not fit config\.json/, /unexpected \(/] },
  { name: 'more layers', spoil: config('num_hidden_layers', more(1)), says: [/do not fit config\.json/, /missing \(/] },
  { name: 'another vocabulary', spoil: config('vocab_size', more(1)), says: [/"vocab_size" is \d+/] },
  { name: 'a million layers', spoil: config('num_hidden_layers', 1e6), says: [/config\.json: "num_hidden_layers" is .*; it must lie between/] },
  { name: 'no layer', spoil: config('num_hidden_layers', 0), says: [/config\.json: "num_hidden_layers" is 0/] },
  { name: 'a negative width', spoil: config('hidden_size', -64), says: [/config\.json: "hidden_size" is -64/] },
  { name: 'half a head', spoil: config('num_attention_heads', 2.5), says: [/"num_attention_heads" must be a whole number/] },
  { name: 'a width of text', spoil: config('hidden_size', '64'), says: [/"hidden_size" must be a number, not a string/] },
  { name: 'heads that do not divide', spoil: config('num_key_value_heads', 3), says: [/"num_key_value_heads" must divide/] },
  { name: 'no width', spoil: config('hidden_size', undefined), says: [/"hidden_size" is missing/] },
  { name: 'no positions', spoil: config('max_position_embeddings', undefined), says: [/"max_position_embeddings" is missing/] },
  { name: 'an unknown architecture', spoil: config('architectures', ['GPT5']), code: 'UNSUPPORTED', says: [/"GPT5"; supported: .*InternVLChatModel.*LlamaForCausalLM/] },
  { name: 'architectures of numbers', spoil: config('architectures', [7]), says: [/"architectures" must hold strings/] },
  { name: 'another activation', spoil: config('hidden_act', 'relu'), code: 'UNSUPPORTED', says: [/"hidden_act" is "relu"; silu/] },
  { name: 'quantised weights', spoil: config('quantization_config', { bits: 4 }), code: 'UNSUPPORTED', says: [/"quantization_config" is set/] },
  { name: 'unknown rope scaling', spoil: config('rope_scaling', { type: 'yarn', factor: 4 }), code: 'UNSUPPORTED', says: [/"rope_scaling\.type" is "yarn"/] },
  {
    name: 'an unknown decoder',
    from: 'vision',
    spoil: inside(['llm_config', 'text_config'], { architectures: ['Phi'] }),
    code: 'UNSUPPORTED',
    says: [/_config\.architectures" is "Phi"; supported: .*Qwen2ForCausalLM/],
  },
  { name: 'another vision width', from: 'vision', spoil: inside(['vision_config'], { intermediate_size: 7 }), says: [/do not fit config\.json/, /vision/] },
  { name: 'patches that do not shuffle', from: 'vision', spoil: config('downsample_ratio', 0.3), code: 'UNSUPPORTED', says: [/"downsample_ratio"/] },
]

const FOLDERS: BadModel[] = [
  { name: 'no weights', spoil: without(WEIGHTS), says: [/neither model\.safetensors nor/] },
  {
    name: 'pickled weights',
    spoil: (f) => {
      rmSync(join(f, WEIGHTS))
      writeFileSync(join(f, 'pytorch_model.bin'), 'x')
    },
    says: [/pytorch_model\.bin is not read/],
  },
  {
    name: 'a folder in place of weights',
    spoil: (f) => {
      rmSync(join(f, WEIGHTS))
      mkdirSync(join(f, WEIGHTS))
    },
    says: [/model\.safetensors: is not a regular file/],
  },
  { name: 'an absent shard', from: 'sharded', spoil: (f) => rmSync(join(f, firstShard(f))), says: [/index\.json: these files are named but absent:\n {2}model-0/] },
  { name: 'a truncated shard', from: 'sharded', spoil: (f) => truncateSync(join(f, firstShard(f)), 50), says: [/model-0.*truncated/] },
  { name: 'an index of a ghost', from: 'sharded', spoil: inIndex('ghost'), says: [/index\.json: these tensors are named but absent:\n {2}"ghost" in model-0/] },
  { name: 'an index that leaves the folder', from: 'sharded', spoil: inIndex('ghost', '../x.safetensors'), says: [/"ghost" must be a plain file name/] },
  { name: 'an index without a map', from: 'sharded', spoil: file(INDEX, '{}'), says: [/index\.json: "weight_map" must be an object/] },
  { name: 'an index of numbers', from: 'sharded', spoil: file(INDEX, '{"weight_map": {"a": 1}}'), says: [/"weight_map" entry "a" must be a file name/] },
]

const TOKENIZER = ['tokenizer.json', 'tokenizer.model', 'vocab.json', 'merges.txt']

const SETTINGS: BadModel[] = [
  { name: 'no tokenizer', spoil: without(...TOKENIZER), says: [/tokenizer\.json/, /tokenizer\.model/], inspectsWell: true },
  { name: 'a tokenizer that is not JSON', from: 'vision', spoil: file('tokenizer.json', '{'), says: [/tokenizer\.json/], inspectsWell: true },
  { name: 'an empty tokenizer', from: 'vision', spoil: file('tokenizer.json', '{}'), says: [/tokenizer\.json/], inspectsWell: true },
  { name: 'image settings that are not JSON', from: 'vision', spoil: file('preprocessor_config.json', '{'), says: [/preprocessor_config\.json/] },
  {
    name: 'a spread of zero',
    from: 'vision',
    spoil: (f) => editJson(f, 'preprocessor_config.json', (p) => void (p.image_std = [0.2, 0, 0.2])),
    says: [/preprocessor_config\.json.*image_std/],
    inspectsWell: true,
  },
]

/** One child process opens all the folders of a group. */
export const GROUPS: Record<string, BadModel[]> = { HEADERS, TENSORS, CONFIGS, FOLDERS, SETTINGS }
