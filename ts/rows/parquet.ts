/** Parquet in every codec. */
import type { Compressors } from 'hyparquet'
import { invalidArgument } from '../contracts/errors.ts'
import { type Decimals, readDecimal, setDecimalsApart } from './decimal.ts'
import type { Fields, Row } from './row.ts'

const ROWS_AT_ONCE = 256

/** Values as JSON has them: a whole number beyond 2^53 stays as it is, as a text. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return value
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}

/** Byte arrays of columns that hold no pictures are texts without a type. */
function toFields(record: Fields, pictures: ReadonlySet<string>, scales: Decimals['scales']): Fields {
  const value = (name: string, v: unknown) => {
    const scale = scales.get(name)
    if (scale !== undefined) return readDecimal(v, scale)
    return v instanceof Uint8Array && !pictures.has(name) ? Buffer.from(v).toString('utf8') : plain(v)
  }
  return Object.fromEntries(Object.entries(record).map(([name, v]) => [name, value(name, v)]))
}

/** WHY not as they come: that of LZ4 refuses the block of nothing, which a column of nulls alone is stored as. */
async function openCompressors(): Promise<Compressors> {
  const { compressors } = await import('hyparquet-compressors')
  const withNothing = Object.entries(compressors).map(([codec, decompress]) => [
    codec,
    (input: Uint8Array, length: number) => (length === 0 ? new Uint8Array() : decompress(input, length)),
  ])
  return Object.fromEntries(withNothing)
}

/** @param pictures names of columns that may hold encoded pictures */
export async function* parquetRows(path: string, pictures: ReadonlySet<string>): AsyncGenerator<Row> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet')
  const compressors = await openCompressors()
  try {
    const file = await asyncBufferFromFile(path)
    const { metadata, scales } = setDecimalsApart(await parquetMetadataAsync(file))
    const total = Number(metadata.num_rows)
    for (let rowStart = 0; rowStart < total; rowStart += ROWS_AT_ONCE) {
      const rowEnd = Math.min(total, rowStart + ROWS_AT_ONCE)
      // WHY utf8 off: embedded images are byte arrays, and would be garbled as text.
      const records = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd, utf8: false })
      for (const [i, record] of records.entries()) yield { row: rowStart + i + 1, fields: toFields(record, pictures, scales) }
    }
  } catch (error) {
    throw invalidArgument(`${path}: ${(error as Error).message}`, error)
  }
}
