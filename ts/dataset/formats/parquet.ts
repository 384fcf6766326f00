/** Parquet: the columns of our own rows, lists as lists, written one group of rows at a time. */
import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { fileWriter, ParquetWriter } from 'hyparquet-writer'
import { storeError } from '../../contracts/errors.ts'
import type { Sample } from '../sample.ts'
import { stepsRow } from './steps.ts'
import type { SampleWriter } from './writer.ts'

const GROUP_ROWS = 4096

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema']
const text = (name: string) => ({ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' }) as const
const list = (name: string, element: object) =>
  [
    { name, repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'OPTIONAL', ...element },
  ] as const
const TEXTS = ['id', 'problemId', 'question', 'image', 'answer', 'kind'] as const
const SCHEMA = [
  { name: 'root', num_children: TEXTS.length + 5 },
  ...TEXTS.map(text),
  ...list('images', { type: 'BYTE_ARRAY', converted_type: 'UTF8' }),
  ...list('steps', { type: 'BYTE_ARRAY', converted_type: 'UTF8' }),
  ...list('labels', { type: 'DOUBLE' }),
  ...list('weights', { type: 'DOUBLE' }),
  text('counts'),
] as unknown as Schema

type Row = Record<string, unknown>
const COLUMNS = [...TEXTS, 'images', 'steps', 'labels', 'weights', 'counts']

class ParquetSampleWriter implements SampleWriter {
  readonly #path: string
  readonly #file: ReturnType<typeof fileWriter>
  readonly #parquet: ParquetWriter
  #rows: Row[] = []

  constructor(path: string) {
    this.#path = path
    this.#file = fileWriter(path)
    this.#parquet = new ParquetWriter({ writer: this.#file, schema: SCHEMA })
  }

  async write(sample: Sample): Promise<void> {
    const row = stepsRow(sample) as Row
    this.#rows.push({ ...row, counts: JSON.stringify(row['counts']) })
    if (this.#rows.length >= GROUP_ROWS) await this.#flush()
  }

  async #flush(): Promise<void> {
    const rows = this.#rows
    this.#rows = []
    if (rows.length === 0) return
    const columnData = COLUMNS.map((name) => ({ name, data: rows.map((row) => row[name] ?? null) }))
    try {
      await this.#parquet.write({ columnData, rowGroupSize: GROUP_ROWS })
    } catch (error) {
      throw storeError(`${this.#path}: ${(error as Error).message}`, error)
    }
  }

  async close() {
    await this.#flush()
    try {
      await this.#parquet.finish()
    } catch (error) {
      throw storeError(`${this.#path}: ${(error as Error).message}`, error)
    }
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(this.#path)) hash.update(chunk as Buffer)
    return { file: this.#path, bytes: statSync(this.#path).size, sha256: hash.digest('hex') }
  }
}

export async function parquetWriter(base: string): Promise<SampleWriter> {
  const path = base.endsWith('.parquet') ? base : `${base}.parquet` // among other formats the base names its format already
  try {
    return new ParquetSampleWriter(path)
  } catch (error) {
    throw storeError(`${path}: ${(error as Error).message}`, error)
  }
}
