/**
 * Reads JSON lines from a file or standard input. A line that cannot be read becomes an error in its place;
 * the others go on. Lines are numbered from 1; empty ones are skipped.
 */
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { invalidArgument } from './errors.ts'
import { parseJson } from './json.ts'
import { lfsPointer, POINTER_BYTES } from './lfs.ts'

const MAX_LINE_BYTES = 256 * 2 ** 20

export interface JsonLine {
  line: number
  /** The parsed object, absent where `problem` says why. */
  value?: Record<string, unknown>
  problem?: string
  /** What was set right in it. */
  note?: string
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
    const { value, note } = parseJson(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return { line, value: value as Record<string, unknown>, ...(note && { note }) }
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

/**
 * Bytes of a file; undefined for standard input.
 * @throws EngineError INVALID_ARGUMENT: no such file, no file, not fetched (Git LFS), text in UTF-16
 */
export async function inputBytes(path: string): Promise<number | undefined> {
  if (path === '-') return undefined
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument(`${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`, error)
  })
  if (!info.isFile()) throw invalidArgument(`${path}: not a file`)
  const start = await firstBytes(path)
  const other = lfsPointer(start) ?? utf16(start)
  if (other) throw invalidArgument(`${path}: ${other}`)
  return info.size
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path).catch((error: Error) => {
    throw invalidArgument(`${path}: ${error.message}`, error)
  })
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(POINTER_BYTES), 0, POINTER_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** By its byte order mark. */
function utf16([first, second]: Buffer): string | undefined {
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  return isUtf16 ? 'is UTF-16 text; save it as UTF-8' : undefined
}
