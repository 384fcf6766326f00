/** What commands that answer line by line share: how a bad line is reported, and writing with back-pressure. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { EngineError } from '../contracts/errors.ts'
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

/** What stands in place of a line that cannot be answered. Errors that are not the line's fault are thrown on. */
export function badLine(line: JsonLine, error: unknown): BadLine {
  if (!(error instanceof EngineError) || error.code !== 'ERR_ENGINE_INVALID_ARGUMENT') throw error
  return { id: lineId(line), error: { code: error.code, message: error.message, line: line.line } }
}

export async function writeLine(out: Writable, text: string): Promise<void> {
  if (!out.write(`${text}\n`)) await once(out, 'drain')
}
