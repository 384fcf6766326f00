/** A row of a data file, whatever the format. */
export type Fields = Record<string, unknown>

/** `row` counts from 1 as its format does (line, record, element). */
export interface Row {
  row: number
  /** Values as JSON has them; absent where `error` says why. Encoded pictures of Parquet are bytes. */
  fields?: Fields
  error?: string
  /** What was set right in it. */
  note?: string
}

export type RowReader = (path: string) => AsyncGenerator<Row>

const decoder = new TextDecoder('utf-8', { fatal: true })
/** @throws TypeError where the bytes are not UTF-8. A byte order mark is left out. */
export const decodeUtf8 = (bytes: Uint8Array) => decoder.decode(bytes)
