/** Rows of data files, one reader for each format; a bad row is reported in its place, and the others go on. */
import { extname } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { inputBytes } from '../contracts/json-lines.ts'
import { csvRows } from './csv.ts'
import { jsonlRows, jsonRows } from './json.ts'
import { parquetRows } from './parquet.ts'
import type { Row, RowReader } from './row.ts'

export type { Fields, Row } from './row.ts'

/** Columns that may hold encoded pictures; where several do, the first wins. */
export const IMAGE_COLUMNS = ['decoded_image', 'images', 'image', 'image_path'] as const
const PICTURES = new Set<string>(IMAGE_COLUMNS)

const READERS: Record<string, RowReader> = {
  '.json': jsonRows,
  '.jsonl': jsonlRows,
  '.csv': (path) => csvRows(path),
  '.tsv': (path) => csvRows(path, '\t'),
  '.parquet': (path) => parquetRows(path, PICTURES),
}

/**
 * Rows in order; the format follows the file's ending, or is `otherwise` for files of another ending.
 * @throws EngineError INVALID_ARGUMENT where the file as a whole cannot be read
 */
export async function* readRows(path: string, otherwise = ''): AsyncGenerator<Row> {
  const reader = READERS[extname(path).toLowerCase()] ?? READERS[otherwise]
  if (!reader) throw invalidArgument(`${path}: data files end in ${Object.keys(READERS).join(', ')}`)
  await inputBytes(path)
  yield* reader(path)
}
