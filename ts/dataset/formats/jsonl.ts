/** JSON lines: one row per sample, written with back-pressure, hashed on the way. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { storeError } from '../../contracts/errors.ts'
import type { Sample } from '../sample.ts'
import type { OpenWriter, SampleWriter } from './writer.ts'

const BUFFER_BYTES = 1 << 20

/** A sample's row, or its rows. */
type RowsOf = (sample: Sample) => object | object[]

class JsonlWriter implements SampleWriter {
  readonly #path: string
  readonly #file: FileHandle
  readonly #row: RowsOf
  readonly #hash = createHash('sha256')
  #pending: string[] = []
  #pendingBytes = 0
  #bytes = 0

  constructor(path: string, file: FileHandle, row: RowsOf) {
    this.#path = path
    this.#file = file
    this.#row = row
  }

  async write(sample: Sample): Promise<void> {
    for (const row of [this.#row(sample)].flat()) {
      const line = `${JSON.stringify(row)}\n`
      this.#pending.push(line)
      this.#pendingBytes += line.length
    }
    if (this.#pendingBytes >= BUFFER_BYTES) await this.#flush()
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#pending.join(''))
    this.#pending = []
    this.#pendingBytes = 0
    this.#hash.update(bytes)
    this.#bytes += bytes.length
    await this.#file.appendFile(bytes).catch((error: Error) => {
      throw storeError(`${this.#path}: ${error.message}`, error)
    })
  }

  async close() {
    try {
      await this.#flush()
      await this.#file.sync()
    } finally {
      await this.#file.close()
    }
    return { file: this.#path, bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }
}

export function jsonlWriter(row: RowsOf): OpenWriter {
  return async (base) => {
    const path = `${base}.jsonl`
    const file = await open(path, 'w').catch((error: Error) => {
      throw storeError(`${path}: ${error.message}`, error)
    })
    return new JsonlWriter(path, file, row)
  }
}
