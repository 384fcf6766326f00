/** A PEFT adapter folder as the native engine takes it: which tensor of its file changes which of the base, and how. */
import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { EngineError, invalidModel } from '../contracts/errors.ts'
import { AdapterConfig } from './adapter-config.ts'
import { RECORD_FILE } from './families/index.ts'
import { modelFiles } from './folder-files.ts'
import { checkFetched } from './model-folder.ts'
import type { NativeAdapter } from './native.ts'

export const ADAPTER_WEIGHTS = 'adapter_model.safetensors'
const PREFIX = 'base_model.model.'
/** `lora_A.weight`, and `lora_A.default.weight` where the adapter's name was saved too. */
const LOW_RANK = /^(?<module>.+)\.lora_(?<side>[AB])(?:\.[^.]+)?\.weight$/
const WRAPPED = /\.(?:modules_to_save(?:\.default)?|original_module|base_layer)(?=\.)/g
const EMBEDDING = /(?:^|\.)embed_tokens\.weight$/
const MAX_HEADER_BYTES = 100_000_000
const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer.model', 'vocab.json']

export interface Adapter {
  readonly path: string
  readonly native: NativeAdapter
  /** It brings the tokenizer that it was trained with, or says how it is used. */
  readonly hasTokenizer: boolean
  readonly hasRecord: boolean
}

/** Names of a safetensors file's tensors. All the rest of it is checked natively. */
function tensorNames(path: string): string[] {
  const file = openSync(path, 'r')
  try {
    const length = Buffer.alloc(8)
    readSync(file, length, 0, 8, 0)
    const size = Number(length.readBigUInt64LE())
    if (size > MAX_HEADER_BYTES) throw invalidModel(`${path}: claims a header of ${size} bytes (not a safetensors file?)`)
    const header = Buffer.alloc(size)
    if (readSync(file, header, 0, size, 8) < size) throw invalidModel(`${path}: ends in its header (a truncated download?)`)
    return Object.keys(JSON.parse(header.toString('utf8'))).filter((name) => name !== '__metadata__')
  } catch (error) {
    if (error instanceof EngineError) throw error
    throw invalidModel(`${path}: has no readable header: ${(error as Error).message}`, error)
  } finally {
    closeSync(file)
  }
}

interface Sides {
  A?: string
  B?: string
}

function sortTensors(path: string): { sides: Map<string, Sides>; replaced: NativeAdapter['replaced'] } {
  const sides = new Map<string, Sides>()
  const replaced: NativeAdapter['replaced'] = []
  for (const tensor of tensorNames(path)) {
    if (!tensor.startsWith(PREFIX)) {
      throw invalidModel(`${path}: tensor "${tensor}" does not begin with "${PREFIX}", as PEFT saves adapters`)
    }
    const name = tensor.slice(PREFIX.length)
    const found = LOW_RANK.exec(name)?.groups as { module: string; side: 'A' | 'B' } | undefined
    if (found) {
      const pair = sides.get(found.module) ?? {}
      if (pair[found.side]) throw invalidModel(`${path}: "${pair[found.side]}" and "${tensor}" are the same adapter`)
      sides.set(found.module, { ...pair, [found.side]: tensor })
    } else if (/\blora_/.test(name)) {
      const kinds = 'lora_A and lora_B of linear layers can be opened; merge the adapter into its base with PEFT'
      throw new EngineError('ERR_ENGINE_UNSUPPORTED_MODEL', `${path}: tensor "${tensor}": ${kinds}`)
    } else {
      replaced.push({ target: name.replace(WRAPPED, ''), tensor })
    }
  }
  return { sides, replaced }
}

/**
 * Reads a folder as PEFT saves it. That it fits its base is checked when the base is opened.
 * @throws EngineError INVALID_MODEL, UNSUPPORTED_MODEL naming file and key or tensor
 */
export async function readAdapter(folder: string): Promise<Adapter> {
  const path = resolve(folder)
  const names = modelFiles(path).map(({ name }) => name)
  const config = await AdapterConfig.read(path)
  const file = join(path, ADAPTER_WEIGHTS)
  if (!names.includes(ADAPTER_WEIGHTS)) {
    const pickled = existsSync(join(path, 'adapter_model.bin'))
    throw invalidModel(
      `${path}: holds no ${ADAPTER_WEIGHTS}${pickled ? '; adapter_model.bin is not read: save the adapter as safetensors' : ''}`,
    )
  }
  await checkFetched(file)
  const { sides, replaced } = sortTensors(file)
  const lowRank = [...sides].map(([module, { A, B }]) => {
    if (!A || !B) throw invalidModel(`${file}: "${A ?? B}" has no lora_${A ? 'B' : 'A'} beside it`)
    config.checkTargeted(module, file)
    return { target: `${module}.weight`, a: A, b: B, ...config.scaling(module) }
  })
  if (lowRank.length + replaced.length === 0) throw invalidModel(`${file}: holds no tensor`)
  const keepsHead = replaced.some(({ target }) => EMBEDDING.test(target) && config.unties(target.replace(/\.weight$/, '')))
  return {
    path,
    native: { file, lowRank, replaced, keepsHead },
    hasTokenizer: TOKENIZER_FILES.some((name) => names.includes(name)),
    hasRecord: names.includes(RECORD_FILE),
  }
}
