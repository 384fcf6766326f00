/** CSV, or TSV, with a header row. A row of another width, or not in UTF-8, is one bad row. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { invalidArgument } from '../contracts/errors.ts'
import { decodeUtf8, type Row } from './row.ts'

const BOM = Buffer.from([0xef, 0xbb, 0xbf])

interface CsvRecord {
  record: string[]
  info: { lines: number }
}

async function startOfText(path: string): Promise<number> {
  const file = await open(path)
  try {
    const { buffer } = await file.read(Buffer.alloc(BOM.length), 0, BOM.length, 0)
    return buffer.equals(BOM) ? BOM.length : 0
  } finally {
    await file.close()
  }
}

const BEYOND_ASCII = /[\x80-\xff]/
const decodeField = (field: string) => (BEYOND_ASCII.test(field) ? decodeUtf8(Buffer.from(field, 'latin1')) : field)
/** Fields that were read byte for byte. @throws TypeError where they are not UTF-8 */
const decodeFields = (record: readonly string[]) => record.map(decodeField)

function toRow(header: readonly string[], record: readonly string[], row: number): Row {
  if (record.length !== header.length) return { row, error: `${record.length} fields; the header has ${header.length}` }
  try {
    const values = decodeFields(record)
    return { row, fields: Object.fromEntries(header.map((name, i) => [name, values[i]])) }
  } catch {
    return { row, error: 'not valid UTF-8; save the file as UTF-8' }
  }
}

/** @param delimiter a comma, or a tab */
export async function* csvRows(path: string, delimiter = ','): AsyncGenerator<Row> {
  const { parse } = await import('csv-parse')
  // WHY latin1: every byte comes through as it is, so that each row can be decoded, and refused, by itself.
  const options = {
    encoding: 'latin1',
    delimiter,
    info: true,
    skip_empty_lines: true,
    relax_column_count: true,
    relax_quotes: true,
  } as const
  let header: string[] | undefined
  try {
    const stream = createReadStream(path, { start: await startOfText(path) })
    const parser = pipeline(stream, parse(options), () => {}) // its errors are thrown at whoever reads it
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      if (header) yield toRow(header, record, info.lines)
      else header = decodeFields(record)
    }
  } catch (error) {
    if (error instanceof TypeError) throw invalidArgument(`${path}: the header is not valid UTF-8; save the file as UTF-8`, error)
    throw invalidArgument(`${path}: ${(error as Error).message}`, error)
  }
}
