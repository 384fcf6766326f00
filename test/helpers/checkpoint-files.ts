/** Golden checkpoints as raw files to take apart: copies of a folder, headers and bytes of safetensors files. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { goldenModels, readJson } from './golden.ts'

export const WEIGHTS = 'model.safetensors'
const LENGTH_BYTES = 8

export interface HeaderEntry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}
export type Header = Record<string, HeaderEntry>

export interface Wanted {
  sharded?: boolean
  vision?: boolean
  /** A file that the folder holds. */
  file?: string
  /** A kind of case that its golden.json has, such as `scoreSolutions`: what the checkpoint can do. */
  kind?: string
  head?: 'vocabulary' | 'reward'
  /** Whether the head's matrix is the embedding's. */
  tied?: boolean
  /** Of the name in its config. */
  architecture?: RegExp
  /** Whether its scoring family is recognised, or has to be named. */
  scoring?: 'recognised' | 'named'
}

// biome-ignore lint/suspicious/noExplicitAny: cases are plain data
const casesOf = (path: string): any[] => readJson(join(path, 'golden.json')).cases

/** The first golden checkpoint of that sort. */
export function pickCheckpoint(wanted: Wanted): string {
  const { sharded, vision, file = 'config.json', kind, head, tied, architecture = /./, scoring } = wanted
  const found = goldenModels().find(({ path }) => {
    const config = readJson(join(path, 'config.json'))
    return (
      (sharded === undefined || existsSync(join(path, WEIGHTS)) !== sharded) &&
      (vision === undefined || 'vision_config' in config === vision) &&
      (kind === undefined || casesOf(path).some((c) => c.kind === kind)) &&
      (head === undefined || /ProcessRewardModel|ForPrmModel/.test(config.architectures) === (head === 'reward')) &&
      (tied === undefined || Boolean(config.tie_word_embeddings) === tied) &&
      architecture.test(config.architectures) &&
      (scoring === undefined || (namedScoring(path) !== undefined) === (scoring === 'named')) &&
      existsSync(join(path, file))
    )
  })
  if (!found) throw new Error(`no golden checkpoint with ${inspect(wanted)}`)
  return found.path
}

/** Pictures of a checkpoint's golden cases, all different. */
export function picturesOf(checkpoint: string): string[] {
  const names = new Set<string>(casesOf(checkpoint).flatMap((c) => c.images ?? c.image ?? []))
  return [...names].map((name) => join(checkpoint, name))
}

/** The scoring family that has to be named at opening; undefined where it is recognised. */
export function namedScoring(checkpoint: string): string | undefined {
  const cases = casesOf(checkpoint)
  for (const name of ['rlhflow', 'implicit']) if (cases.some((c) => c.scoring === name)) return name
  const isShepherd = cases.some((c) => c.kind === 'score' && c.rewardIds && c.template === undefined && c.scoring === undefined)
  return isShepherd ? 'math-shepherd' : undefined
}

/** How a golden checkpoint is opened to score: its family where that has to be named, and the model it is compared with. */
export function scoringOptions(checkpoint: string): { scoring: string; reference?: string } {
  const name = casesOf(checkpoint).find((c) => c.referenceModel)?.referenceModel
  return { scoring: namedScoring(checkpoint) ?? 'auto', ...(name && { reference: join(checkpoint, '..', name) }) }
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

/** Puts what `edit` makes of a tensor that is stored as BF16 in its place, as F32. */
export function editTensor(
  folder: string,
  name: RegExp,
  edit: (values: Float32Array, shape: number[]) => { values: Float32Array; shape: number[] },
): void {
  const { header, data } = readSafetensors(folder)
  const entries = Object.entries(header).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0])
  const parts: Buffer[] = []
  let [end, edited] = [0, 0]
  for (const [key, entry] of entries) {
    let bytes = data.subarray(...entry.data_offsets)
    if (name.test(key)) {
      if (entry.dtype !== 'BF16') throw new Error(`${key} is ${entry.dtype}, not BF16`)
      const wide = Float32Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(2 * i))
      const stored = new Float32Array(Uint32Array.from(wide, (half) => half * 65536).buffer)
      const { values, shape } = edit(stored, entry.shape)
      Object.assign(entry, { dtype: 'F32', shape })
      bytes = Buffer.from(values.buffer)
      edited++
    }
    entry.data_offsets = [end, end + bytes.length]
    end += bytes.length
    parts.push(bytes)
  }
  if (edited !== 1) throw new Error(`${edited} tensors of ${folder} match ${name}`)
  writeSafetensors(folder, header, Buffer.concat(parts))
}
