/** JSON lists and JSON lines. */
import { readFile } from 'node:fs/promises'
import { invalidArgument } from '../contracts/errors.ts'
import { parseJson } from '../contracts/json.ts'
import { readJsonLines } from '../contracts/json-lines.ts'
import { decodeUtf8, type Fields, type Row } from './row.ts'

function parseFile(path: string, bytes: Buffer) {
  let text: string
  try {
    text = decodeUtf8(bytes)
  } catch (error) {
    throw invalidArgument(`${path}: not valid UTF-8; save it as UTF-8`, error)
  }
  try {
    return parseJson(text)
  } catch (error) {
    throw invalidArgument(`${path}: not valid JSON: ${(error as Error).message}`, error)
  }
}

export async function* jsonRows(path: string): AsyncGenerator<Row> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw invalidArgument(`${path}: ${error.message}`, error)
  })
  const { value, note } = parseFile(path, bytes)
  if (!Array.isArray(value)) throw invalidArgument(`${path}: a list of problems (or samples) is expected`)
  for (const [i, fields] of value.entries()) {
    const isObject = typeof fields === 'object' && fields !== null && !Array.isArray(fields)
    if (!isObject) yield { row: i + 1, error: 'an object is expected' }
    else yield { row: i + 1, fields: fields as Fields, ...(note && { note }) }
  }
}

export async function* jsonlRows(path: string): AsyncGenerator<Row> {
  for await (const { line, value, problem, note } of readJsonLines(path)) {
    yield value ? { row: line, fields: value, ...(note && { note }) } : { row: line, error: problem ?? 'cannot be read' }
  }
}
