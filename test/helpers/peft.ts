/** Adapter folders as PEFT saves them. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Header, WEIGHTS, writeSafetensors } from './checkpoint-files.ts'

export type Tensors = Record<string, { shape: number[]; values: Float32Array }>

/** `name` → shape and values as F32, as a file's header and bytes. */
export function asFile(tensors: Tensors): { header: Header; data: Buffer } {
  const header: Header = {}
  let end = 0
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + values.byteLength] }
    end += values.byteLength
  }
  return { header, data: Buffer.concat(Object.values(tensors).map(({ values }) => Buffer.from(values.buffer))) }
}

export function writeAdapter(folder: string, config: object, tensors: Tensors): string {
  mkdirSync(folder)
  const whole = { peft_type: 'LORA', base_model_name_or_path: 'x/y', r: 2, lora_alpha: 8, target_modules: ['q_proj'], ...config }
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(whole))
  const { header, data } = asFile(tensors)
  writeSafetensors(folder, header, data)
  renameSync(join(folder, WEIGHTS), join(folder, 'adapter_model.safetensors'))
  return folder
}

/** A tensor's bytes, stored as F32 or BF16. */
export function asF32(bytes: Buffer, dtype: string): Float32Array {
  if (dtype === 'F32') return new Float32Array(Uint8Array.from(bytes).buffer)
  if (dtype !== 'BF16') throw new Error(`${dtype} is not read here`)
  return new Float32Array(Uint32Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(2 * i) * 65536).buffer)
}
