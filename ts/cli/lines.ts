/** What commands that answer line by line share: how a bad line is reported, and writing with back-pressure. */
import { once } from 'node:events'
import { type FileHandle, open } from 'node:fs/promises'
import { EngineError, storeError } from '../contracts/errors.ts'
import type { JsonLine } from '../contracts/json-lines.ts'

export type LineId = string | number | null

/** The id of a line, null where unreadable. */
export function lineId(line: JsonLine): LineId {
  const id = line.value?.['id']
  return typeof id === 'string' || typeof id === 'number' ? id : null
}

export interface BadLine {
  id: LineId
  error: { code: string; message: string; line: number }
}

/** A model may hold a NaN that only some lines meet. */
const OF_A_LINE: ReadonlySet<string> = new Set(['ERR_ENGINE_INVALID_ARGUMENT', 'ERR_ENGINE_INVALID_MODEL'])

/** What stands in place of a line that cannot be answered. Errors that are not the line's fault are thrown on. */
export function badLine(line: JsonLine, error: unknown): BadLine {
  if (!(error instanceof EngineError) || !OF_A_LINE.has(error.code)) throw error
  return { id: lineId(line), error: { code: error.code, message: error.message, line: line.line } }
}

/** Says what was set right in a file's rows, once for all of them. */
export class FirstNote {
  readonly #file: string
  #told = false

  constructor(file: string) {
    this.#file = file
  }

  tell({ row, note }: { row: number; note?: string }): void {
    if (note === undefined || this.#told) return
    process.stderr.write(`mm-prm: ${this.#file}: row ${row}: ${note} (told once for all rows)\n`)
    this.#told = true
  }
}

/** Where lines go. */
export interface LineSink {
  /** A line has been taken when this resolves. @throws EngineError STORE: a full disk */
  write(text: string): Promise<void>
}

export const standardOutput: LineSink = {
  async write(text) {
    if (!process.stdout.write(`${text}\n`)) await once(process.stdout, 'drain')
  },
}

/** Lines in a file. WHY no stream: a full disk is an error of the line that is written, not an event of its own. */
export class LineFile implements LineSink, AsyncDisposable {
  readonly #path: string
  readonly #file: FileHandle

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /** @param flags `w` for a new file, `a` to leave what is there. @throws EngineError STORE */
  static async open(path: string, flags: 'w' | 'a'): Promise<LineFile> {
    const file = await open(path, flags).catch((error: Error) => {
      throw storeError(`cannot write ${path}: ${error.message}`, error)
    })
    return new LineFile(path, file)
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    await work().catch((error: Error) => {
      throw storeError(`cannot write ${this.#path}: ${error.message}`, error)
    })
  }

  write(text: string): Promise<void> {
    return this.#guarded(() => this.#file.appendFile(`${text}\n`))
  }

  /** Nothing where it is no plain file, a pipe say. */
  empty(): Promise<void> {
    return this.#guarded(async () => {
      if ((await this.#file.stat()).isFile()) await this.#file.truncate()
    })
  }

  async close(): Promise<void> {
    if (this.#file.fd >= 0) await this.#guarded(() => this.#file.close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
