/**
 * What a model was asked and decided, kept in a file as it comes: work that is stopped and resumed asks nothing
 * twice. The first line holds the settings that the decisions depend on, each other one a key and its decision. Memory
 * holds the keys alone, as decisions may be long texts.
 */
import { appendFileSync, closeSync, existsSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { EngineError, storeError } from './errors.ts'

/** By key; T has no undefined, which says that nothing was decided yet. */
export interface Decisions<T> {
  find(key: string): T | undefined
  keep(key: string, decision: T): void
}

/** Bytes of a line in the file, without its end. */
interface Place {
  readonly start: number
  readonly size: number
}

const CHUNK_BYTES = 2 ** 20
const LINE_END = 10

/** Calls `see` for every line that is ended; returns where the last one ends. */
function eachLine(file: string, see: (line: string, place: Place) => void): number {
  const descriptor = openSync(file, 'r')
  try {
    let rest = Buffer.alloc(0)
    let start = 0 // of `rest` in the file
    for (;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES)
      const count = readSync(descriptor, chunk, 0, CHUNK_BYTES, start + rest.length)
      if (count === 0) return start
      rest = Buffer.concat([rest, chunk.subarray(0, count)])
      let from = 0
      for (let end = rest.indexOf(LINE_END); end >= 0; end = rest.indexOf(LINE_END, from)) {
        see(rest.toString('utf8', from, end), { start: start + from, size: end - from })
        from = end + 1
      }
      rest = rest.subarray(from)
      start += from
    }
  } finally {
    closeSync(descriptor)
  }
}

export class DecisionFile<T> implements Decisions<T> {
  readonly #file: string
  readonly #head: string
  readonly #places = new Map<string, Place>()
  #end = 0

  /** @throws EngineError STORE: left by work that was stopped and not resumed, of other settings, or damaged */
  constructor(file: string, settings: unknown, resume: boolean) {
    this.#file = file
    this.#head = JSON.stringify({ settings })
    if (!existsSync(file)) return
    if (!resume) throw storeError(`${file}: left by work that was stopped; --resume goes on with it, or delete it`)
    this.#end = this.#guarded('read', () => this.#read())
    // The last line has no end where the process died in the middle of it.
    if (this.#end === 0) this.remove()
    else this.#guarded('write', () => truncateSync(this.#file, this.#end))
  }

  #read(): number {
    let number = 0
    return eachLine(this.#file, (line, place) => {
      number++
      if (number > 1) this.#places.set(this.#parsed(line, `line ${number}`)[0], place)
      else if (line !== this.#head) throw storeError(`${this.#file}: of other settings: ${line}; now ${this.#head}`)
    })
  }

  #parsed(line: string, name: string): [string, T] {
    try {
      const [key, decision] = JSON.parse(line) as [string, T]
      return [key, decision]
    } catch (error) {
      throw storeError(`${this.#file}: ${name} is damaged; delete the file to ask anew`, error)
    }
  }

  #guarded<R>(verb: 'read' | 'write', work: () => R): R {
    try {
      return work()
    } catch (error) {
      throw error instanceof EngineError ? error : storeError(`cannot ${verb} ${this.#file}: ${(error as Error).message}`, error)
    }
  }

  find(key: string): T | undefined {
    const place = this.#places.get(key)
    if (!place) return undefined
    const line = this.#guarded('read', () => readAt(this.#file, place))
    return this.#parsed(line, `the line of ${JSON.stringify(key)}`)[1]
  }

  keep(key: string, decision: T): void {
    const line = Buffer.from(`${JSON.stringify([key, decision])}\n`)
    this.#guarded('write', () => {
      if (this.#end === 0) {
        const head = Buffer.from(`${this.#head}\n`)
        writeFileSync(this.#file, head)
        this.#end = head.length
      }
      appendFileSync(this.#file, line)
    })
    this.#places.set(key, { start: this.#end, size: line.length - 1 })
    this.#end += line.length
  }

  /** To be called when the work is complete. */
  remove(): void {
    this.#guarded('write', () => rmSync(this.#file, { force: true }))
    this.#places.clear()
    this.#end = 0
  }
}

function readAt(file: string, { start, size }: Place): string {
  const descriptor = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(size)
    return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, size, start))
  } finally {
    closeSync(descriptor)
  }
}
