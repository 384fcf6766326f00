/**
 * Reads JSON lines from a file or standard input. A line that cannot be read becomes an error in its place;
 * the others go on. Lines are numbered from 1; empty ones are skipped.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { invalidArgument } from '../contracts/errors.ts'

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

/** Yields the lines of `path` (`-`: standard input) with how many bytes have been read so far. */
export async function* readJsonLines(path: string): AsyncGenerator<JsonLine & { bytesRead: number }> {
  const stream = path === '-' ? process.stdin : createReadStream(path)
  let pending: Buffer[] = []
  let pendingBytes = 0
  let line = 0
  let bytesRead = 0
  const take = (last: Buffer): (JsonLine & { bytesRead: number }) | undefined => {
    const whole = pending.length > 0 ? Buffer.concat([...pending, last]) : last
    pending = []
    pendingBytes = 0
    line++
    const parsed = parseLine(whole, line)
    return parsed && { ...parsed, bytesRead }
  }
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      bytesRead += at + 1 - from
      const parsed = take(chunk.subarray(from, at))
      if (parsed) yield parsed
      from = at + 1
    }
    bytesRead += chunk.length - from
    pending.push(chunk.subarray(from))
    pendingBytes += chunk.length - from
    if (pendingBytes > MAX_LINE_BYTES) {
      throw invalidArgument(`${path}: line ${line + 1} is longer than ${MAX_LINE_BYTES >> 20} MiB`)
    }
  }
  if (pendingBytes > 0) {
    const parsed = take(Buffer.alloc(0))
    if (parsed) yield parsed
  }
}

/** Bytes to come, for the progress line; undefined for standard input. Throws where the file cannot be read. */
export async function inputBytes(path: string): Promise<number | undefined> {
  if (path === '-') return undefined
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument(`--input ${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`, error)
  })
  if (!info.isFile()) throw invalidArgument(`--input ${path}: not a file`)
  return info.size
}
