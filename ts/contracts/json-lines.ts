/**
 * Reads JSON lines from a file or standard input. A line that cannot be read becomes an error in its place;
 * the others go on. Lines are numbered from 1; empty ones are skipped.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { invalidArgument } from './errors.ts'

const MAX_LINE_BYTES = 256 * 2 ** 20

export interface JsonLine {
  line: number
  /** The parsed object, absent where `problem` says why. */
  value?: Record<string, unknown>
  problem?: string
}

function parseLine(bytes: Buffer, line: number): JsonLine | undefined {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { line, problem: 'not valid UTF-8' }
  }
  if (text.trim() === '') return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return { line, value: value as Record<string, unknown> }
    }
    return { line, problem: 'a JSON object is expected' }
  } catch (error) {
    return { line, problem: `not valid JSON: ${(error as Error).message}` }
  }
}

/** Gathers the bytes of one line; those of a line that grows too long are let go as they come. */
class LineBuffer {
  readonly #maxBytes: number
  #pieces: Buffer[] = []
  #bytes = 0
  #line = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get isEmpty(): boolean {
    return this.#bytes === 0
  }

  add(piece: Buffer): void {
    this.#bytes += piece.length
    if (this.#bytes <= this.#maxBytes) this.#pieces.push(piece)
    else this.#pieces = []
  }

  /** Ends the line; undefined where it is empty. */
  take(): JsonLine | undefined {
    const line = ++this.#line
    const isTooLong = this.#bytes > this.#maxBytes
    const whole = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#bytes = 0
    if (isTooLong) return { line, problem: `longer than ${this.#maxBytes / 2 ** 20} MiB` }
    return parseLine(whole, line)
  }
}

/** Yields the lines of `path` (`-`: standard input) with how many bytes have been read so far. */
export async function* readJsonLines(
  path: string,
  maxLineBytes = MAX_LINE_BYTES,
): AsyncGenerator<JsonLine & { bytesRead: number }> {
  const stream = path === '-' ? process.stdin : createReadStream(path)
  const buffer = new LineBuffer(maxLineBytes)
  let bytesRead = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      buffer.add(chunk.subarray(from, at))
      bytesRead += at + 1 - from
      const parsed = buffer.take()
      if (parsed) yield { ...parsed, bytesRead }
      from = at + 1
    }
    buffer.add(chunk.subarray(from))
    bytesRead += chunk.length - from
  }
  const last = buffer.isEmpty ? undefined : buffer.take()
  if (last) yield { ...last, bytesRead }
}

/** Bytes of a file; undefined for standard input. @throws EngineError INVALID_ARGUMENT: no such file, or no file */
export async function inputBytes(path: string): Promise<number | undefined> {
  if (path === '-') return undefined
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument(`${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`, error)
  })
  if (!info.isFile()) throw invalidArgument(`${path}: not a file`)
  return info.size
}
