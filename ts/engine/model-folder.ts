/** What a folder is that is no model, said before anything of it is parsed: adapters, files not fetched. */
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { invalidModel } from '../contracts/errors.ts'
import { lfsPointer, POINTER_BYTES } from '../contracts/lfs.ts'

const WEIGHTS = /^(model.*\.safetensors(\.index\.json)?|pytorch_model.*\.bin(\.index\.json)?)$/
const ADAPTER_WEIGHTS = /^adapter_model\.(safetensors|bin)$/
const ADAPTER_CONFIG = 'adapter_config.json'
const READ_BY_ENGINE = /\.(safetensors|json|model|txt|jinja)$/

async function readJson(path: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return {} // who needs the file says what is wrong with it
  }
}

/** @throws EngineError INVALID_MODEL where Git LFS left a pointer in the file's place */
export async function checkFetched(path: string): Promise<void> {
  const info = await stat(path).catch(() => undefined)
  if (!info?.isFile() || info.size > POINTER_BYTES) return
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(POINTER_BYTES), 0, POINTER_BYTES, 0)
    const pointer = lfsPointer(buffer.subarray(0, bytesRead))
    if (pointer) throw invalidModel(`${path}: ${pointer}`)
  } finally {
    await file.close()
  }
}

async function checkNoAdapter(folder: string, names: readonly string[]): Promise<void> {
  const weights = names.find((name) => ADAPTER_WEIGHTS.test(name))
  if (!names.includes(ADAPTER_CONFIG) && !weights) return
  const { base_model_name_or_path: base, peft_type: type } = await readJson(join(folder, ADAPTER_CONFIG))
  const kind = `${type === 'LORA' ? 'a LoRA adapter' : 'an adapter'} for ${typeof base === 'string' ? base : 'another model'}`
  const over = 'open that model with this folder among its adapters (--adapter)'
  if (!names.includes('config.json') || !names.some((name) => WEIGHTS.test(name))) {
    throw invalidModel(`${folder}: holds ${kind}, and no whole model; ${over}`)
  }
  if (weights)
    throw invalidModel(
      `${folder}: ${weights} beside whole weights is ${kind}, and would be left out; keep them in two folders, and ${over}`,
    )
}

/**
 * Nothing where the folder may be a model.
 * @throws EngineError INVALID_MODEL (no folder, an adapter, a file that Git LFS did not fetch)
 */
export async function checkModelFolder(path: string): Promise<void> {
  const folder = resolve(path)
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    const what = { ENOENT: 'no such folder', ENOTDIR: 'not a folder' }[error.code ?? ''] ?? error.message
    throw invalidModel(`${folder}: ${what}; a checkpoint folder is expected`, error)
  })
  for (const name of names) if (READ_BY_ENGINE.test(name)) await checkFetched(join(folder, name))
  await checkNoAdapter(folder, names)
}
