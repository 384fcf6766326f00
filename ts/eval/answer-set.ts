/**
 * Where a solution-level set lies, and its rows. A set is found by the columns of its files, whatever they are called; of
 * several forms of it (Parquet, JSON, a table) one is read.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { type Problem, picturesOf } from '../contracts/problem.ts'
import type { Fields } from '../rows/index.ts'
import type { AnswerItem, AnswerTask } from './answer-task.ts'
import { picture } from './fields.ts'
import { ENDINGS, fits, type Group, groupsIn, rowsOf } from './groups.ts'
import { hashRow } from './row-hash.ts'

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

async function fittingGroups(task: AnswerTask, folder: string): Promise<{ groups: Group[]; unreadable: string[] }> {
  const all = groupsIn(folder)
  const isRow = (fields: Fields) =>
    task.forms.some((columns) => columns.every((column) => column in fields)) && (task.recognises?.(fields) ?? true)
  const fitting = await Promise.all(all.map((group) => fits(group, isRow)))
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
  const rows = await rowsOf(group.files)
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
