/** Where golden data lies, and how its tensors are read. Another set of the same form may be put in its place. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadNative } from '../../ts/engine/native.ts'

export const GOLDEN_ROOT = process.env['MM_PRM_GOLDEN'] ?? join(import.meta.dirname, '../golden')

/**
 * Ends the file of tests as skipped where the golden set has not all of these areas: a set of some areas is a set too. The
 * package's own must have all of them, but for the one whose cases it may not copy.
 */
export async function needAreas(...areas: string[]): Promise<void> {
  const absent = areas.filter((area) => !existsSync(join(GOLDEN_ROOT, area)))
  if (absent.length === 0) return
  if (process.env['MM_PRM_GOLDEN'] === undefined && !absent.includes('verify'))
    throw new Error(`test/golden lacks ${absent.join(', ')}`)
  // WHY here: whoever imports uvu gets its summary at the end, and not only tests read golden files.
  const { exec, test } = await import('uvu')
  test.skip(`golden/${absent.join(', ')}: not in this set`, () => {})
  test.run()
  await exec()
  process.exit()
}

/** Where models run: `cpu` (on every instruction set of this machine), `emulated`, `cuda` … */
export const GOLDEN_DEVICE = process.env['MM_PRM_DEVICE'] ?? 'cpu'

/** What `Engine.open` takes for each machine that a golden model is to run on, by a name for people. */
export function goldenMachines(): { name: string; options: object }[] {
  if (GOLDEN_DEVICE === 'cpu')
    return loadNative()
      .probe()
      .isas.map((isa) => ({ name: isa, options: { cpu: { isa } } }))
  // WHY so few pages: the emulated device touches all memory that it gives out, so that what nobody wrote is seen.
  return [{ name: GOLDEN_DEVICE, options: { device: GOLDEN_DEVICE, kvCacheBytes: 8 * 2 ** 20 } }]
}

/** Sub-folders of `golden/<area>`, sorted. */
export function goldenFolders(area: string): { name: string; path: string }[] {
  const root = join(GOLDEN_ROOT, area)
  if (!existsSync(root)) return []
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => ({ name: entry.name, path: join(root, entry.name) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Golden models that are whole: adapters have no config of their own. */
export function goldenModels(): { name: string; path: string }[] {
  return goldenFolders('models').filter(({ path }) => existsSync(join(path, 'config.json')))
}

/** The first golden tokenizer whose class in tokenizer_config.json is that, such as `Qwen2`. */
export function pickTokenizer(className: string): string {
  const found = goldenFolders('tokenizers').find(({ path }) =>
    String(readJson(join(path, 'tokenizer_config.json')).tokenizer_class).startsWith(className),
  )
  if (!found) throw new Error(`no golden tokenizer of class ${className}`)
  return found.path
}

// biome-ignore lint/suspicious/noExplicitAny: golden files are plain data, each test knows its own shape
export function readJson(path: string): any {
  return JSON.parse(readFileSync(path, 'utf8'))
}

export interface Tensor {
  dtype: string
  shape: number[]
  data: Float32Array | Uint8Array | Int32Array | BigInt64Array
}

const VIEWS = { F32: Float32Array, U8: Uint8Array, I32: Int32Array, I64: BigInt64Array } as const

/** All tensors of a safetensors file with plain dtypes. */
export function readTensors(path: string): Map<string, Tensor> {
  const bytes = readFileSync(path)
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8'))
  const tensors = new Map<string, Tensor>()
  for (const [name, t] of Object.entries<{ dtype: keyof typeof VIEWS; shape: number[]; data_offsets: [number, number] }>(
    header,
  )) {
    if (name === '__metadata__') continue
    const View = VIEWS[t.dtype]
    if (!View) throw new Error(`${path}: ${name}: dtype ${t.dtype} is not one that tests read`)
    const copy = Uint8Array.prototype.slice.call(bytes, 8 + length + t.data_offsets[0], 8 + length + t.data_offsets[1])
    tensors.set(name, {
      dtype: t.dtype,
      shape: t.shape,
      data: new View(copy.buffer, 0, copy.byteLength / View.BYTES_PER_ELEMENT),
    })
  }
  return tensors
}

/** ‖a − b‖ / ‖b‖. */
export function relativeDistance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let difference = 0
  let norm = 0
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2
    norm += (expected[i] as number) ** 2
  }
  return Math.sqrt(difference / (norm || 1))
}
