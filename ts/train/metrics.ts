/** metrics.jsonl: one line per step and per evaluation. A resumed run cuts it back to its checkpoint. */
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { storeError } from '../contracts/errors.ts'

export class MetricsFile {
  readonly #path: string

  constructor(out: string) {
    this.#path = join(out, 'metrics.jsonl')
  }

  /** Keeps the lines up to `step`; a last line that a crash cut short goes too. */
  async startAt(step: number): Promise<void> {
    const text = step === 0 ? '' : await readFile(this.#path, 'utf8').catch(() => '')
    const kept = text.split('\n').filter((line) => {
      try {
        return (JSON.parse(line) as { step: number }).step <= step
      } catch {
        return false
      }
    })
    const temporary = `${this.#path}.tmp-${process.pid}`
    await this.#guard(writeFile(temporary, kept.map((line) => `${line}\n`).join('')))
    await this.#guard(rename(temporary, this.#path))
  }

  write(line: object): Promise<void> {
    return this.#guard(appendFile(this.#path, `${JSON.stringify(line)}\n`))
  }

  async #guard(work: Promise<void>): Promise<void> {
    await work.catch((error: Error) => {
      throw storeError(`cannot write ${this.#path}: ${error.message}`, error)
    })
  }
}
