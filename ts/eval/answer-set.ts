/**
 * Where a solution-level set lies, and its rows. A set is found by the columns of its files, whatever they are called; of
 * several forms of it (Parquet, JSON, a table) one is read.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, relative } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { type Problem, picturesOf } from '../contracts/problem.ts'
import { type Fields, readRows } from '../rows/index.ts'
import type { AnswerItem, AnswerTask } from './answer-task.ts'
import { picture } from './fields.ts'
import { groupBy } from './group.ts'
import { hashRow } from './row-hash.ts'

/** In the order in which they are preferred. */
const ENDINGS = ['.parquet', '.jsonl', '.json', '.tsv']
/** What lies beside a set and is none of it. */
const OTHERS = new Set(['responses.jsonl', 'expected.json', 'cases.jsonl', 'dataset_infos.json', 'dataset_info.json'])
const MAX_DEPTH = 3

/** Files of one form: the shards of one table, or the variants of one set. */
interface Group {
  readonly name: string
  readonly ending: string
  readonly files: readonly string[]
}

export interface AnswerSet {
  readonly task: AnswerTask
  readonly folder: string
  readonly items: readonly AnswerItem[]
  /** SHA-256 of each row, pictures included. */
  readonly hashes: readonly string[]
  /** Rows of the whole set: as many as there are items, or more beyond the limit. */
  readonly rows: number
  /** Ids of the rows beyond the limit. */
  readonly beyond: ReadonlySet<string>
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

function groupsIn(folder: string): Group[] {
  const nameOf = (path: string) => join(relative(folder, dirname(path)).replace(/\d+$/, ''), stemOf(basename(path)))
  const groups = groupBy(dataFiles(folder), (path) => `${nameOf(path)}${extname(path).toLowerCase()}`)
  return [...groups].map(([name, files]) => ({
    ...{ name, ending: extname(name) },
    files: files.sort((a, b) => NUMBERED.compare(relative(folder, a), relative(folder, b))),
  }))
}

/** Whether the first row of a group's first file has the columns of one of the task's forms; why it cannot be read, if so. */
async function fits(task: AnswerTask, group: Group): Promise<boolean | string> {
  try {
    for await (const { row, fields, error } of readRows(group.files[0] as string)) {
      if (!fields) return `${group.files[0]}, row ${row}: ${error}`
      if (!task.forms.some((columns) => columns.every((column) => column in fields))) return false
      return task.recognises?.(fields) ?? true
    }
  } catch (error) {
    return (error as Error).message // another set's file, perhaps: told where none is this task's
  }
  return false
}

async function fittingGroups(task: AnswerTask, folder: string): Promise<{ groups: Group[]; unreadable: string[] }> {
  const all = groupsIn(folder)
  const fitting = await Promise.all(all.map((group) => fits(task, group)))
  return {
    groups: all.filter((_, i) => fitting[i] === true),
    unreadable: fitting.filter((why) => typeof why === 'string'),
  }
}

/** One form of the set. @throws EngineError INVALID_ARGUMENT: several that may be meant */
function chooseGroup(task: AnswerTask, folder: string, groups: readonly Group[]): Group {
  const preferred = groups.filter(({ name }) => task.prefers.test(name))
  const left = preferred.length > 0 ? preferred : groups
  const best = ENDINGS.find((ending) => left.some((group) => group.ending === ending))
  const [group, ...more] = left.filter(({ ending }) => ending === best)
  if (!group || more.length > 0) {
    throw invalidArgument(`${folder}: ${task.name} may be any of ${left.map(({ name }) => name).join(', ')}; name its folder`)
  }
  return group
}

/**
 * The files of a task's set: in the subfolder of its name, in the folder itself, or in the one subfolder that holds it.
 * @throws EngineError INVALID_ARGUMENT: none, or several
 */
async function findGroup(task: AnswerTask, data: string): Promise<{ folder: string; group: Group }> {
  if (!statSync(data, { throwIfNoEntry: false })?.isDirectory()) throw invalidArgument(`--data ${data}: no such folder`)
  const own = join(data, task.name)
  const subfolders = () => readdirSync(data, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const isParent = existsSync(own) && statSync(own).isDirectory()
  const folder = isParent ? own : data
  const { groups, unreadable } = await fittingGroups(task, folder)
  if (groups.length > 0) return { folder, group: chooseGroup(task, folder, groups) }
  const columns = task.forms.map((form) => form.join(', ')).join('; or ')
  const seen = subfolders().map(({ name }) => name)
  throw invalidArgument(
    `${data}: holds no ${task.name}: no ${ENDINGS.join(', ')} file there has the columns ${columns}${seen.length > 0 ? ` (subfolders: ${seen.slice(0, 12).join(', ')})` : ''}${unreadable.map((why) => `; ${why}`).join('')}`,
  )
}

async function rowsOf(group: Group) {
  const rows: { fields: Fields; file: string }[] = []
  for (const file of group.files) {
    for await (const { row, fields, error } of readRows(file)) {
      if (!fields) throw invalidArgument(`${file}, row ${row}: ${error}`)
      rows.push({ fields, file })
    }
  }
  if (rows.length === 0) throw invalidArgument(`${group.files.join(', ')}: no rows`)
  return rows
}

/** None where the row cannot be read: it was not asked for. */
function idOf(read: () => AnswerItem): string[] {
  try {
    return [read().problem.id]
  } catch {
    return []
  }
}

/**
 * Reads a task's set whole.
 * @param limit the first so many rows, whatever their number
 * @throws EngineError INVALID_ARGUMENT: not found, a row that cannot be read, another number of rows, an id that appears twice
 */
export async function loadAnswerSet(task: AnswerTask, data: string, limit?: number): Promise<AnswerSet> {
  const { folder, group } = await findGroup(task, data)
  const rows = await rowsOf(group)
  const [part, size] = Object.entries(task.parts ?? {}).find(([name]) => group.name.includes(name)) ?? [task.name, task.rows]
  if (limit === undefined && size !== null && rows.length !== size) {
    throw invalidArgument(`${folder}: ${rows.length} rows, ${part} has ${size}; --limit takes part of a set`)
  }
  const byIndex = new Map(rows.map((row) => [String(row.fields['index']), row]))
  const itemAt = ({ fields, file }: (typeof rows)[number], index: number): AnswerItem => {
    const pictureOf = (name: string): Problem['image'] => {
      const other = byIndex.get(name)?.fields['image']
      return typeof other === 'string' && !/^\d+$/.test(other) ? picture(other, at) : undefined
    }
    const at = { index, folder: dirname(file), file: relative(dirname(folder), file), pictureOf }
    return task.item(fields, at)
  }
  const kept = rows.slice(0, limit)
  const items = kept.map(itemAt)
  const seen = new Set<string>()
  for (const { problem } of items) {
    if (seen.has(problem.id)) throw invalidArgument(`${folder}: the id "${problem.id}" appears twice`)
    seen.add(problem.id)
  }
  const hashes: string[] = []
  for (const [i, { problem }] of items.entries()) hashes.push(await hashRow(kept[i]?.fields ?? {}, picturesOf(problem)))
  const beyond = rows.slice(kept.length).flatMap((row, i) => idOf(() => itemAt(row, kept.length + i)))
  return { task, folder, items, hashes, rows: rows.length, beyond: new Set(beyond) }
}
