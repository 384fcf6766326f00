/** Parquet's decimals, digit by digit: as doubles they would be rounded. */
import type { FileMetaData } from 'hyparquet'
import { readNumber } from '../contracts/json.ts'

/** Columns of decimals by name, with their digits behind the point; the metadata has them as what they are stored as. */
export interface Decimals {
  metadata: FileMetaData
  scales: ReadonlyMap<string, number>
}

/** Finds decimals that are columns of their own; those inside lists and structures stay doubles. */
export function setDecimalsApart(metadata: FileMetaData): Decimals {
  const scales = new Map<string, number>()
  let inner = 0 // elements that belong to a column before
  const schema = metadata.schema.map((element, i) => {
    const isColumn = i > 0 && inner === 0
    if (i > 0) inner += (element.num_children ?? 0) - (inner > 0 ? 1 : 0)
    if (!isColumn || element.num_children || element.converted_type !== 'DECIMAL') return element
    scales.set(element.name, element.scale ?? 0)
    const { converted_type: _, logical_type: __, ...stored } = element
    return stored
  })
  return { metadata: { ...metadata, schema }, scales }
}

/** Two's complement, the highest byte first. */
const toBigInt = (bytes: Uint8Array) =>
  BigInt.asIntN(8 * bytes.length, bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)) // biome-ignore format: one formula

/** A number where it holds all digits, else their text; null stays. */
export function readDecimal(stored: unknown, scale: number): number | string | null {
  if (stored === null || stored === undefined) return null
  const unscaled = stored instanceof Uint8Array ? toBigInt(stored) : BigInt(stored as number | bigint)
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  return readNumber(`${unscaled < 0n ? '-' : ''}${whole}${scale > 0 ? `.${digits.slice(-scale)}` : ''}`)
}
