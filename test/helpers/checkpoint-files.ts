/** Golden checkpoints as raw files to take apart: copies of a folder, headers and bytes of safetensors files. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { goldenFolders, readJson } from './golden.ts'

export const WEIGHTS = 'model.safetensors'
const LENGTH_BYTES = 8

export interface HeaderEntry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}
export type Header = Record<string, HeaderEntry>

/** The first golden checkpoint that is sharded or not, sees or not, and holds a file. */
export function pickCheckpoint(wanted: { sharded: boolean; vision: boolean; file?: string }): string {
  const found = goldenFolders('models').find(({ path }) => {
    const vision = 'vision_config' in readJson(join(path, 'config.json'))
    const fits = existsSync(join(path, WEIGHTS)) !== wanted.sharded && vision === wanted.vision
    return fits && existsSync(join(path, wanted.file ?? 'config.json'))
  })
  if (!found) throw new Error(`no golden checkpoint with ${JSON.stringify(wanted)}`)
  return found.path
}

/** A copy without the golden outputs. */
export function copyCheckpoint(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (path) => !/golden\.(json|safetensors)$/.test(path) })
}

export function readSafetensors(folder: string): { header: Header; data: Buffer } {
  const bytes = readFileSync(join(folder, WEIGHTS))
  const end = LENGTH_BYTES + Number(bytes.readBigUInt64LE(0))
  const { __metadata__, ...header } = JSON.parse(bytes.toString('utf8', LENGTH_BYTES, end))
  return { header, data: bytes.subarray(end) }
}

/** `header` as an object, or as the very bytes; `length` where the file is to lie about it. */
export function writeSafetensors(folder: string, header: object | Buffer, data: Uint8Array, length?: bigint): void {
  const text = Buffer.isBuffer(header) ? header : Buffer.from(JSON.stringify(header))
  const prefix = Buffer.alloc(LENGTH_BYTES)
  prefix.writeBigUInt64LE(length ?? BigInt(text.length))
  writeFileSync(join(folder, WEIGHTS), Buffer.concat([prefix, text, data]))
}

// biome-ignore lint/suspicious/noExplicitAny: configs are plain data
export function editJson(folder: string, name: string, edit: (json: any) => void): void {
  const json = readJson(join(folder, name))
  edit(json)
  writeFileSync(join(folder, name), JSON.stringify(json))
}
