/**
 * The small files of a model folder, and how they become those of its trained successor: all copied as they are, but
 * for added tokens in the tokenizer's files and vocabulary sizes in config.json. Written so that a reader of the
 * folder never sees half a file.
 */
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { invalidModel, storeError } from '../contracts/errors.ts'

/** What stands beside the weights; everything else in a folder is somebody's own. */
const KEPT =
  /^(config|generation_config|preprocessor_config|processor_config|video_preprocessor_config|special_tokens_map|added_tokens|tokenizer_config|tokenizer|vocab|chat_template)\.json$|^(tokenizer\.model|merges\.txt|chat_template\.jinja)$|^(configuration|modeling|tokenization|conversation)_?\w*\.py$|^LICENSE/

type Json = Record<string, unknown>

export async function modelFileNames(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => KEPT.test(name)).sort()
}

/** Temporary name, fsync, rename. @throws EngineError STORE with the system's reason; the old file stays */
export async function writeFileSafely(path: string, bytes: string | Uint8Array): Promise<void> {
  const temporary = `${path}.tmp-${process.pid}`
  try {
    const file = await open(temporary, 'w')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw storeError(`cannot write ${path}: ${(error as Error).message}`, error)
  }
}

/** Copies every kept file of `from`. */
export async function copyModelFiles(from: string, to: string): Promise<void> {
  for (const name of await modelFileNames(from)) await writeFileSafely(join(to, name), await readFile(join(from, name)))
}

async function editJson(folder: string, name: string, edit: (json: Json) => void): Promise<void> {
  const path = join(folder, name)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw invalidModel(`${path}: ${error.message}`, error)
  })
  if (text === undefined) return
  const json = JSON.parse(text) as Json
  edit(json)
  await writeFileSafely(path, `${JSON.stringify(json, null, 2)}\n`)
}

/** Adds a special token to every file of the folder that lists such tokens. */
export async function addSpecialToken(folder: string, content: string, id: number): Promise<void> {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  let isListed = false
  await editJson(folder, 'tokenizer.json', (json) => {
    ;((json['added_tokens'] ??= []) as Json[]).push({ id, content, ...flags })
    isListed = true
  })
  await editJson(folder, 'added_tokens.json', (json) => {
    json[content] = id
    isListed = true
  })
  await editJson(folder, 'special_tokens_map.json', (json) => {
    ;((json['additional_special_tokens'] ??= []) as unknown[]).push(content)
  })
  await editJson(folder, 'tokenizer_config.json', (json) => {
    // WHY not a new one beside those lists: transformers would number its tokens before all others.
    if (!isListed) json['added_tokens_decoder'] ??= {}
    const decoder = json['added_tokens_decoder'] as Json | undefined
    if (decoder) decoder[id] = { content, ...flags }
    // Their name since transformers 5.
    const extra = json['extra_special_tokens']
    const special = Array.isArray(extra) ? extra : ((json['additional_special_tokens'] ??= []) as unknown[])
    special.push(content)
  })
}

/** The dtype that transformers takes from config.json, wherever it is said; weights that were quantised no longer are. */
export async function recordWeightDtype(folder: string, dtype: 'bf16' | 'f32'): Promise<void> {
  const name = dtype === 'bf16' ? 'bfloat16' : 'float32'
  await editJson(folder, 'config.json', (json) => {
    for (const config of [json, json['llm_config'], json['text_config'], json['vision_config']] as (Json | undefined)[]) {
      delete config?.['quantization_config']
      for (const key of ['torch_dtype', 'dtype']) if (typeof config?.[key] === 'string') config[key] = name
    }
  })
}

/** Another class and what belongs to it; code of the folder's own, which opened another class, is no longer named. */
export async function recordArchitecture(
  folder: string,
  architecture: string,
  modelType: string,
  more: Readonly<Record<string, unknown>>,
): Promise<void> {
  await editJson(folder, 'config.json', (json) => {
    delete json['auto_map']
    Object.assign(json, { architectures: [architecture], model_type: json['model_type'] ?? modelType }, more)
  })
}

/** Vocabulary sizes below `size` become `size`, wherever config.json says one. */
export async function raiseVocabSize(folder: string, size: number): Promise<void> {
  await editJson(folder, 'config.json', (json) => {
    for (const config of [json, json['llm_config'], json['text_config']] as (Json | undefined)[]) {
      if (typeof config?.['vocab_size'] === 'number') config['vocab_size'] = Math.max(config['vocab_size'], size)
    }
  })
}
