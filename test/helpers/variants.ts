/** Golden checkpoints under another config or with another head: test/boundary/variants/make.py makes what they should give. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyCheckpoint, editJson, readSafetensors, WEIGHTS, writeSafetensors } from './checkpoint-files.ts'
import { readJson } from './golden.ts'

const HERE = join(import.meta.dirname, '../boundary/variants')
/** Not of another golden set: the variants are of these checkpoints. */
const MODELS = join(import.meta.dirname, '../golden/models')

// biome-ignore lint/suspicious/noExplicitAny: cases are plain data
export type Variant = any
export const VARIANTS: Variant[] = readJson(join(HERE, 'variants.json')).cases
const work = mkdtempSync(join(tmpdir(), 'mm-prm-variants-'))
process.once('exit', () => rmSync(work, { recursive: true }))

export function variantOf(name: string): Variant {
  const found = VARIANTS.find((c) => c.name === name)
  if (!found) throw new Error(`no variant ${name}`)
  return found
}

const added = (() => {
  const folder = join(work, 'tensors')
  cpSync(join(HERE, 'variants.safetensors'), join(folder, WEIGHTS))
  return readSafetensors(folder)
})()
function bytesOf(name: string) {
  const entry = added.header[name]
  if (!entry) throw new Error(`no tensor ${name}`)
  return { ...entry, bytes: added.data.subarray(...entry.data_offsets) }
}

/** What transformers computed. */
export function floatsOf(name: string): Float32Array {
  return new Float32Array(Uint8Array.from(bytesOf(name).bytes).buffer)
}

let folders = 0
/** The base's folder with the case's config laid over its own (null takes a key out) and its tensors added. */
export function variantFolder(c: Variant, config: object = {}): string {
  const folder = join(work, `${folders++}-${c.name}`)
  copyCheckpoint(join(MODELS, c.base), folder)
  editJson(folder, 'config.json', (json) => {
    for (const [key, value] of Object.entries({ ...c.config, ...config })) {
      if (value === null) delete json[key]
      else json[key] = value
    }
  })
  if (!c.tensors) return folder
  const { header, data } = readSafetensors(folder)
  const parts = [data]
  let end = data.length
  for (const name of c.tensors) {
    const { dtype, shape, bytes } = bytesOf(`${c.name}/${name}`)
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] }
    parts.push(bytes)
    end += bytes.length
  }
  writeSafetensors(folder, header, Buffer.concat(parts))
  return folder
}
