/**
 * Records by id in a file of JSON lines, each durable as it comes and none held in memory: what is known of a record is
 * where it stands. Half a line at the end, from a kill, is cut off.
 */
import { createReadStream, existsSync } from 'node:fs'
import { type FileHandle, open, truncate } from 'node:fs/promises'
import { storeError } from '../contracts/errors.ts'

/** What every record has. `hash`: of all that it was made from; a line with another one begins its record anew. */
export interface LineHead {
  readonly id: string
  readonly hash: string
}

interface Place {
  readonly offset: number
  readonly bytes: number
}

interface Known<K> {
  readonly hash: string
  readonly places: Place[]
  readonly kept: K[]
}

export class LineStore<T extends LineHead, K = null> implements AsyncDisposable {
  readonly #path: string
  readonly #file: FileHandle
  readonly #known: Map<string, Known<K>>
  readonly #keep: (line: T) => K
  #end: number
  /** Appends wait for each other: each must know where it begins. */
  #last: Promise<void> = Promise.resolve()

  private constructor(path: string, file: FileHandle, known: Map<string, Known<K>>, end: number, keep: (line: T) => K) {
    this.#path = path
    this.#file = file
    this.#known = known
    this.#end = end
    this.#keep = keep
  }

  /** @param keep what of each record stays in memory. @throws EngineError STORE: not to be read or written, or changed by hand */
  static async open<T extends LineHead, K = null>(path: string, keep: (line: T) => K): Promise<LineStore<T, K>> {
    const known = new Map<string, Known<K>>()
    const end = existsSync(path) ? await index(path, known, keep) : 0
    try {
      if (existsSync(path)) await truncate(path, end)
      return new LineStore(path, await open(path, 'a+'), known, end, keep)
    } catch (error) {
      throw storeError(`cannot write ${path}: ${(error as Error).message}`, error)
    }
  }

  get path(): string {
    return this.#path
  }

  hashOf(id: string): string | undefined {
    return this.#known.get(id)?.hash
  }

  /** What was kept of a record's lines, in their order. */
  kept(id: string): readonly K[] {
    return this.#known.get(id)?.kept ?? []
  }

  /** All lines of a record, in their order. */
  async read(id: string): Promise<T[]> {
    const lines: T[] = []
    for (const { offset, bytes } of this.#known.get(id)?.places ?? []) {
      const { buffer } = await this.#file.read(Buffer.alloc(bytes), 0, bytes, offset)
      lines.push(JSON.parse(buffer.toString('utf8')) as T)
    }
    return lines
  }

  append(line: T): Promise<void> {
    const write = this.#last.then(async () => {
      const text = Buffer.from(`${JSON.stringify(line)}\n`)
      await this.#file.appendFile(text).catch((error: Error) => {
        throw storeError(`cannot write ${this.#path}: ${error.message}`, error)
      })
      enter(this.#known, line, { offset: this.#end, bytes: text.length - 1 }, this.#keep)
      this.#end += text.length
    })
    this.#last = write.catch(() => {})
    return write
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#last.then(() => this.#file.close())
  }
}

function enter<T extends LineHead, K>(known: Map<string, Known<K>>, line: T, place: Place, keep: (line: T) => K): void {
  const before = known.get(line.id)
  if (before?.hash === line.hash) {
    before.places.push(place)
    before.kept.push(keep(line))
  } else known.set(line.id, { hash: line.hash, places: [place], kept: [keep(line)] })
}

/** Enters every whole line; returns where the last of them ends. */
async function index<T extends LineHead, K>(path: string, known: Map<string, Known<K>>, keep: (line: T) => K): Promise<number> {
  let [end, count] = [0, 0]
  let pieces: Buffer[] = []
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const text = Buffer.concat([...pieces, chunk.subarray(from, at)])
      pieces = []
      from = at + 1
      count++
      enter(known, parse<T>(text, path, count), { offset: end, bytes: text.length }, keep)
      end += text.length + 1
    }
    pieces.push(Buffer.from(chunk.subarray(from)))
  }
  return end
}

function parse<T extends LineHead>(text: Buffer, path: string, line: number): T {
  try {
    const value = JSON.parse(text.toString('utf8')) as T
    if (typeof value.id === 'string' && typeof value.hash === 'string') return value
  } catch (error) {
    throw storeError(`${path}, line ${line}: not valid JSON; the file was changed`, error)
  }
  throw storeError(`${path}, line ${line}: no record of an evaluation; the file was changed`)
}
