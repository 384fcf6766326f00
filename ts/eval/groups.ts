/** Data files of a folder, in groups: the shards of one table, or the variants of one set, are read as one. */
import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, relative } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { type Fields, readRows } from '../rows/index.ts'
import { groupBy } from './group.ts'

/** In the order in which they are preferred. */
export const ENDINGS = ['.parquet', '.jsonl', '.json', '.tsv']
/** What lies beside a set and is none of it. */
const OTHERS = new Set(['responses.jsonl', 'expected.json', 'cases.jsonl', 'dataset_infos.json', 'dataset_info.json'])
const MAX_DEPTH = 3

/** Files of one form: the shards of one table, or the variants of one set. */
export interface Group {
  readonly name: string
  readonly ending: string
  readonly files: readonly string[]
}

function dataFiles(folder: string, depth = MAX_DEPTH): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.'))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return depth > 0 ? dataFiles(path, depth - 1) : []
      return ENDINGS.includes(extname(entry.name).toLowerCase()) && !OTHERS.has(entry.name) ? [path] : []
    })
}

const NUMBERED = new Intl.Collator('en', { numeric: true })
/** A file's name without what tells shards and variants apart. */
const stemOf = (name: string) =>
  name
    .slice(0, -extname(name).length)
    .replace(/-\d{5}-of-\d{5}(?:-[0-9a-f]+)?$/, '')
    .replace(/\d+$/, '')

export function groupsIn(folder: string): Group[] {
  const nameOf = (path: string) => join(relative(folder, dirname(path)).replace(/\d+$/, ''), stemOf(basename(path)))
  const groups = groupBy(dataFiles(folder), (path) => `${nameOf(path)}${extname(path).toLowerCase()}`)
  return [...groups].map(([name, files]) => ({
    ...{ name, ending: extname(name) },
    files: files.sort((a, b) => NUMBERED.compare(relative(folder, a), relative(folder, b))),
  }))
}

/** Whether the first row of a group's first file is such a row; why it cannot be read, if so. */
export async function fits(group: Group, isRow: (fields: Fields) => boolean): Promise<boolean | string> {
  try {
    for await (const { row, fields, error } of readRows(group.files[0] as string)) {
      return fields ? isRow(fields) : `${group.files[0]}, row ${row}: ${error}`
    }
  } catch (error) {
    return (error as Error).message // another set's file, perhaps: told where none fits
  }
  return false
}

/** All rows of some files, each with its number in its own. @throws EngineError INVALID_ARGUMENT: one that cannot be read, or none */
export async function rowsOf(files: readonly string[]) {
  const rows: { fields: Fields; file: string; row: number }[] = []
  for (const file of files) {
    for await (const { row, fields, error } of readRows(file)) {
      if (!fields) throw invalidArgument(`${file}, row ${row}: ${error}`)
      rows.push({ fields, file, row })
    }
  }
  if (rows.length === 0) throw invalidArgument(`${files.join(', ')}: no rows`)
  return rows
}
