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
const header = (edit: (header: Header) => void) => (folder: string) => {
  const file = readSafetensors(folder)
  edit(file.header)
  writeSafetensors(folder, file.header, file.data)
}
/** Changes the entry whose bytes come first. */
const firstEntry = (change: (entry: HeaderEntry) => object) =>
  header((h) => {
    const first = Object.values(h).find((entry) => entry.data_offsets[0] === 0) as HeaderEntry
    Object.assign(first, change(first))
  })
const file = (name: string, text: string) => (folder: string) => writeFileSync(join(folder, name), text)
const without =
  (...names: string[]) =>
  (folder: string) => {
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
  const names = [
    'model.layers.0.self_attn.rotary_emb.inv_freq',
    'model.rotary_emb.cos_cached',
    'vision_model.embeddings.position_ids',
  ]
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

const bad = (name: string, spoil: BadModel['spoil'], says: RegExp[], more: Partial<BadModel> = {}): BadModel => ({
  name,
  spoil,
  says,
  ...more,
})

const HEADERS: BadModel[] = [
  bad('an empty file', (f) => truncateSync(join(f, WEIGHTS), 0), [/model\.safetensors: has 0 bytes/]),
  bad('a file shorter than its length field', (f) => truncateSync(join(f, WEIGHTS), 5), [/has 5 bytes/]),
  bad('an end inside the header', (f) => truncateSync(join(f, WEIGHTS), 100), [/claims a header of \d+ bytes, but only 92/]),
  bad('an end inside the data', shortenData, [/model\.safetensors: tensor "/, /truncated/]),
  bad('an oversized header', claimedLength(2n ** 40n), [/claims a header of 1099511627776 bytes; at most/]),
  bad('an absurd header length', claimedLength(2n ** 64n - 1n), [/claims a header of 18446744073709551615/]),
  bad('a header that is not UTF-8', headerText('{"a\xff":{}}'), [/header.*line 1, column 4: not valid UTF-8/]),
  bad('a header of overlong UTF-8', headerText('{"\xc0\x80":{}}'), [/not valid UTF-8/]),
  bad('a header that is not JSON', headerText('hello'), [/model\.safetensors.*not valid JSON/]),
  bad('a header that is an array', headerText('[]'), [/must be an object, not an array/]),
  bad('a header nested a million deep', headerText('['.repeat(1_000_000)), [/nested deeper/]),
  bad('a header of nothing', headerText('{}'), [/belong to no tensor/]),
  bad('a name twice', headerText('{"a":1,"a":2}'), [/"a" stands here a second time/]),
  bad('text behind the header', headerText('{}x'), [/after the end/]),
  bad(
    'metadata that are no strings',
    header((h) => void Object.assign(h, { __metadata__: { format: 1 } })),
    [/"__metadata__".*"format"/],
  ),
  bad(
    'a tensor that is a number',
    header((h) => void Object.assign(h, { ghost: 7 })),
    [/tensor "ghost": must be an object/],
  ),
  bad(
    'tensors that overlap',
    firstEntry((e) => ({ data_offsets: [0, e.data_offsets[1] + 2], dtype: 'X' })),
    [/its data overlap/],
  ),
  bad(
    'a hole between tensors',
    firstEntry((e) => ({ data_offsets: [2, e.data_offsets[1]], dtype: 'X' })),
    [/2 bytes before its data/],
  ),
  bad(
    'offsets past the end',
    firstEntry(() => ({ data_offsets: [0, 1e12] })),
    [/tensor ".*end at byte 1000000000000, but the file/],
  ),
  bad(
    'offsets that fall',
    firstEntry(() => ({ data_offsets: [8, 4] })),
    [/must rise from 0/],
  ),
  bad(
    'negative offsets',
    firstEntry(() => ({ data_offsets: [-4, 4] })),
    [/must rise from 0/],
  ),
  bad(
    'broken offsets',
    firstEntry(() => ({ data_offsets: [0.5, 1e300] })),
    [/two integers/],
  ),
  bad(
    'one offset',
    firstEntry(() => ({ data_offsets: [0] })),
    [/two integers/],
  ),
  bad(
    'a shape too large to count',
    firstEntry(() => ({ shape: [2 ** 40, 2 ** 40] })),
    [/more elements/],
  ),
  bad(
    'a negative shape',
    firstEntry(() => ({ shape: [-1, 2] })),
    [/"shape" must hold integers/],
  ),
  bad(
    'a shape of text',
    firstEntry(() => ({ shape: 'wide' })),
    [/"shape" must be an array/],
  ),
  bad(
    'a shape against the bytes',
    firstEntry((e) => ({ shape: [...e.shape, 2] })),
    [/need \d+ bytes, its data_offsets span/],
  ),
  bad(
    'a dtype against the bytes',
    firstEntry(() => ({ dtype: 'F64' })),
    [/need \d+ bytes/],
  ),
  bad(
    'no dtype',
    firstEntry(() => ({ dtype: undefined })),
    [/"dtype" must be a string/],
  ),
  bad(
    'an unknown field',
    firstEntry(() => ({ stride: 1 })),
    [/unknown field "stride"/],
  ),
]

const TENSORS: BadModel[] = [
  bad(
    'integers',
    firstEntry((e) => ({ dtype: e.dtype === 'F32' ? 'I32' : 'I16' })),
    [/is stored as I\d+; BF16, F16 and F32/],
  ),
  bad(
    'an unknown dtype',
    firstEntry(() => ({ dtype: 'Q4_K' })),
    [/is stored as Q4_K; BF16, F16 and F32 can be read/],
  ),
  bad('a transposed matrix', header(transposeOne), [/wrong \(1\):\n.* is \[\d+, \d+\], the config asks for \[\d+, \d+\]/]),
  {
    name: 'missing, wrong and unexpected tensors at once',
    spoil: header((h) => {
      transposeOne(h)
      renameTwo(h)
    }),
    says: [/missing \(2\):\n/, /wrong \(1\):\n/, /unexpected \(2\):\n {2}extra\..*\n {2}extra\./],
  },
  bad('rotary tables and position ids of old versions', addLeftovers, []),
]

const more = (by: number) => (value: number) => value + by

const CONFIGS: BadModel[] = [
  bad('no config', without('config.json'), [/config\.json/]),
  bad('an empty config', file('config.json', ''), [/config\.json/]),
  bad('a config that is not JSON', file('config.json', '{"hidden_size": }'), [/config\.json/]),
  bad('a config that is an array', file('config.json', '[1]'), [/config\.json/]),
  bad('another width', config('hidden_size', more(64)), [/do not fit config\.json/, /wrong \(/]),
  bad('fewer layers', config('num_hidden_layers', more(-1)), [/do not fit config\.json/, /unexpected \(/]),
  bad('more layers', config('num_hidden_layers', more(1)), [/do not fit config\.json/, /missing \(/]),
  bad('another vocabulary', config('vocab_size', more(1)), [/"vocab_size" is \d+/]),
  bad('a million layers', config('num_hidden_layers', 1e6), [/config\.json: "num_hidden_layers" is .*; it must lie between/]),
  bad('no layer', config('num_hidden_layers', 0), [/config\.json: "num_hidden_layers" is 0/]),
  bad('a negative width', config('hidden_size', -64), [/config\.json: "hidden_size" is -64/]),
  bad('half a head', config('num_attention_heads', 2.5), [/"num_attention_heads" must be a whole number/]),
  bad('a width of text', config('hidden_size', '64'), [/"hidden_size" must be a number, not a string/]),
  bad('heads that do not divide', config('num_key_value_heads', 3), [/"num_key_value_heads" must divide/]),
  bad(
    'heads wider than the kernels take',
    config('head_dim', 258),
    [/config\.json: "head_dim" gives heads of size 258; at most 256 is supported/],
    { code: 'UNSUPPORTED' },
  ),
  bad('heads of odd size', config('head_dim', 31), [/"head_dim" gives heads of odd size/]),
  bad('no width', config('hidden_size', undefined), [/"hidden_size" is missing/]),
  bad('no positions', config('max_position_embeddings', undefined), [/"max_position_embeddings" is missing/]),
  bad(
    'an unknown architecture',
    config('architectures', ['GPT5']),
    [/"GPT5"; supported: .*InternVLChatModel.*LlamaForCausalLM/],
    { code: 'UNSUPPORTED' },
  ),
  bad('architectures of numbers', config('architectures', [7]), [/"architectures" must hold strings/]),
  bad('another activation', config('hidden_act', 'relu'), [/"hidden_act" is "relu"; silu/], { code: 'UNSUPPORTED' }),
  bad(
    'weights quantised in some way',
    config('quantization_config', { bits: 4 }),
    [/"quantization_config\.quant_method" is ""/],
    {
      code: 'UNSUPPORTED',
    },
  ),
  bad('unknown rope scaling', config('rope_scaling', { type: 'longrope', factor: 4 }), [/"rope_scaling\.type" is "longrope"/], {
    code: 'UNSUPPORTED',
  }),
  {
    name: 'an unknown decoder',
    from: 'vision',
    spoil: inside(['llm_config', 'text_config'], { architectures: ['Phi'] }),
    code: 'UNSUPPORTED',
    says: [/_config\.architectures" is "Phi"; supported: .*Qwen2ForCausalLM/],
  },
  bad('another vision width', inside(['vision_config'], { intermediate_size: 7 }), [/do not fit config\.json/, /vision/], {
    from: 'vision',
  }),
  bad(
    'vision heads wider than the kernels take',
    inside(['vision_config'], { hidden_size: 1024, num_attention_heads: 2 }),
    [/"vision_config\.hidden_size" gives heads of size 512; even sizes up to 256/],
    { from: 'vision', code: 'UNSUPPORTED' },
  ),
  bad('patches that do not shuffle', config('downsample_ratio', 0.3), [/"downsample_ratio"/], {
    from: 'vision',
    code: 'UNSUPPORTED',
  }),
]

const FOLDERS: BadModel[] = [
  bad('no weights', without(WEIGHTS), [/neither model\.safetensors nor/]),
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
  bad('an absent shard', (f) => rmSync(join(f, firstShard(f))), [/index\.json: these files are named but absent:\n {2}model-0/], {
    from: 'sharded',
  }),
  bad('a truncated shard', (f) => truncateSync(join(f, firstShard(f)), 50), [/model-0.*truncated/], { from: 'sharded' }),
  bad('an index of a ghost', inIndex('ghost'), [/index\.json: these tensors are named but absent:\n {2}"ghost" in model-0/], {
    from: 'sharded',
  }),
  bad('an index that leaves the folder', inIndex('ghost', '../x.safetensors'), [/"ghost" must be a plain file name/], {
    from: 'sharded',
  }),
  bad('an index without a map', file(INDEX, '{}'), [/index\.json: "weight_map" must be an object/], { from: 'sharded' }),
  bad('an index of numbers', file(INDEX, '{"weight_map": {"a": 1}}'), [/"weight_map" entry "a" must be a file name/], {
    from: 'sharded',
  }),
]

const TOKENIZER = ['tokenizer.json', 'tokenizer.model', 'vocab.json', 'merges.txt']

/** Gives the first piece an id that no vocabulary reaches. */
const absurdId = (folder: string) =>
  editJson(folder, 'tokenizer.json', ({ model }) => void (model.vocab[Object.keys(model.vocab)[0] as string] = 1e9))

const SETTINGS: BadModel[] = [
  bad('no tokenizer', without(...TOKENIZER), [/tokenizer\.json/, /tokenizer\.model/], { inspectsWell: true }),
  bad('a tokenizer that is not JSON', file('tokenizer.json', '{'), [/tokenizer\.json/], { from: 'vision', inspectsWell: true }),
  bad('a piece with an absurd id', absurdId, [/tokenizer\.json: model\.vocab/], { from: 'vision', inspectsWell: true }),
  bad('an empty tokenizer', file('tokenizer.json', '{}'), [/tokenizer\.json/], { from: 'vision', inspectsWell: true }),
  bad('image settings that are not JSON', file('preprocessor_config.json', '{'), [/preprocessor_config\.json/], {
    from: 'vision',
  }),
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
