/** Benchmark files on disk: where a set lies, and its rows. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { readJsonLines } from '../contracts/json-lines.ts'

export interface Row {
  /** From 1: the line of a .jsonl, the entry of a .json. */
  readonly row: number
  readonly value: Record<string, unknown>
}

/**
 * The folder that holds all of `files`: `data` itself, its subfolder of the set's name, or else the one subfolder that does.
 * @throws EngineError INVALID_ARGUMENT: none, or several
 */
export function findFolder(name: string, files: readonly string[], data: string): string {
  if (!statSync(data, { throwIfNoEntry: false })?.isDirectory()) throw invalidArgument(`--data ${data}: no such folder`)
  const holds = (folder: string) => files.every((file) => existsSync(join(folder, file)))
  for (const folder of [join(data, name), data]) if (holds(folder)) return folder
  const inside = readdirSync(data, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const found = inside.map((entry) => join(data, entry.name)).filter(holds)
  if (found.length === 1) return found[0] as string
  if (found.length > 1) throw invalidArgument(`${data}: ${name} may be any of ${found.join(', ')}; name its folder`)
  throw invalidArgument(`${data}: holds no ${name}: neither there nor in a subfolder lie ${files.join(', ')}`)
}

/** All rows of a `.json` list or a `.jsonl` file. @throws EngineError INVALID_ARGUMENT with file and row */
export async function readRows(folder: string, file: string): Promise<Row[]> {
  const path = join(folder, file)
  const rows = file.endsWith('.jsonl') ? await linesOf(path) : await entriesOf(path)
  if (rows.length === 0) throw invalidArgument(`${path}: holds no rows`)
  return rows
}

async function linesOf(path: string): Promise<Row[]> {
  const rows: Row[] = []
  for await (const { line, value, problem } of readJsonLines(path)) {
    if (!value) throw invalidArgument(`${path}, line ${line}: ${problem}`)
    rows.push({ row: line, value })
  }
  return rows
}

async function entriesOf(path: string): Promise<Row[]> {
  let list: unknown
  try {
    list = JSON.parse((await readFile(path, 'utf8')).replace(/^\ufeff/, ''))
  } catch (error) {
    throw invalidArgument(`${path}: not valid JSON: ${(error as Error).message}`, error)
  }
  if (!Array.isArray(list)) throw invalidArgument(`${path}: a list of rows is expected`)
  return list.map((value, i) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw invalidArgument(`${path}, row ${i + 1}: an object is expected`)
    }
    return { row: i + 1, value: value as Record<string, unknown> }
  })
}
