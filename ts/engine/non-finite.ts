/** Where a checkpoint holds a number that is none: read only once a result has shown that there is one. */
import { type FileHandle, open } from 'node:fs/promises'
import { EngineError, invalidModel } from '../contracts/errors.ts'
import type { CheckpointFolder } from './checkpoint.ts'
import { modelFiles } from './folder-files.ts'

const CHUNK_BYTES = 2 ** 20
const MAX_HEADER_BYTES = 100 * 2 ** 20

/** Bits of the exponent, all of which are set in infinities and NaN alone; a float's size is that of its words. */
const EXPONENTS: Readonly<
  Record<string, { words: new (buffer: ArrayBuffer, at: number, length: number) => Words; mask: number }>
> = {
  F32: { words: Uint32Array, mask: 0x7f800000 },
  BF16: { words: Uint16Array, mask: 0x7f80 },
  F16: { words: Uint16Array, mask: 0x7c00 },
}
type Words = Uint16Array | Uint32Array

interface Tensor {
  name: string
  dtype: string
  begin: number
  end: number
}

async function readBytes(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.from(new ArrayBuffer(length)) // aligned, unlike a slice of Node's pool
  const { bytesRead } = await file.read(bytes, 0, length, at)
  return bytes.subarray(0, bytesRead)
}

/** Tensors of a safetensors file as they lie in it. */
async function tensorsOf(file: FileHandle): Promise<Tensor[]> {
  const length = Number((await readBytes(file, 0, 8)).readBigUInt64LE())
  if (length > MAX_HEADER_BYTES) return []
  const header = JSON.parse((await readBytes(file, 8, length)).toString('utf8')) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          data_offsets: [begin, end],
        },
      ]) => ({ name, dtype, begin: 8 + length + begin, end: 8 + length + end }),
    )
    .sort((a, b) => a.begin - b.begin)
}

async function allFinite(file: FileHandle, { dtype, begin, end }: Tensor): Promise<boolean> {
  const { words: Words, mask } = EXPONENTS[dtype] ?? {}
  if (!Words || mask === undefined) return true
  for (let at = begin; at < end; at += CHUNK_BYTES) {
    const bytes = await readBytes(file, at, Math.min(CHUNK_BYTES, end - at))
    const words = new Words(bytes.buffer as ArrayBuffer, 0, Math.floor(bytes.length / (mask > 0xffff ? 4 : 2)))
    for (const word of words) if ((word & mask) === mask) return false
  }
  return true
}

/** The first tensor, by file and place, with a NaN or an infinity in it. */
async function firstNonFinite(folder: string): Promise<string | undefined> {
  for (const { name, path } of modelFiles(folder).filter((file) => file.name.endsWith('.safetensors'))) {
    await using file = await open(path)
    for (const tensor of await tensorsOf(file)) {
      if (!(await allFinite(file, tensor))) return `tensor "${tensor.name}" of ${name} holds a NaN or an infinity`
    }
  }
  return undefined
}

/** By what was opened: a checkpoint is read once, however many results show it. */
const found = new WeakMap<CheckpointFolder, Promise<string | undefined>>()

/** What is thrown for a result that is no number. @param what the result, as `the score of step 1` */
export async function nonFiniteError(folder: CheckpointFolder, what: string): Promise<EngineError> {
  if (!found.has(folder)) found.set(folder, firstNonFinite(folder.path))
  const why = (await found.get(folder)) ?? 'every stored weight is a number, so some are so large that sums of them overflow'
  return invalidModel(`${folder.path}: ${what} is not a number: ${why}`)
}

/** The engine refuses to draw from logits that are no numbers; says which tensor they are from. */
export async function explainLogits(folder: CheckpointFolder, error: unknown): Promise<unknown> {
  const isAboutModel = error instanceof EngineError && error.code === 'ERR_ENGINE_INVALID_MODEL'
  return isAboutModel ? nonFiniteError(folder, 'what the model makes of the prompt') : error
}
