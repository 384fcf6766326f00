/** Files of a step-level set: as they are published, or whatever else has their names or their columns. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { ENDINGS, fits, type Group, groupsIn, rowsOf } from './groups.ts'

export interface Row {
  /** From 1: the line of a .jsonl, the entry of a .json. */
  readonly row: number
  readonly value: Record<string, unknown>
}

interface Wanted {
  readonly name: string
  /** By the names that they are published under. */
  readonly files: Readonly<Record<string, unknown>>
  readonly columns: readonly string[]
}

/** The folder against which paths of pictures are read, and the files that hold what each published one does. */
interface Found {
  readonly folder: string
  readonly files: Readonly<Record<string, readonly string[]>>
}

/** `data` itself, its subfolder of the set's name, or else the one subfolder that has all names. */
function findNames({ name, files }: Wanted, data: string): Found | undefined {
  const names = Object.keys(files)
  const holds = (folder: string) => names.every((file) => existsSync(join(folder, file)))
  const foundIn = (folder: string) => ({ folder, files: Object.fromEntries(names.map((file) => [file, [join(folder, file)]])) })
  for (const folder of [join(data, name), data]) if (holds(folder)) return foundIn(folder)
  const inside = readdirSync(data, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const found = inside.map((entry) => join(data, entry.name)).filter(holds)
  if (found.length > 1) throw invalidArgument(`${data}: ${name} may be any of ${found.join(', ')}; name its folder`)
  return found[0] === undefined ? undefined : foundIn(found[0])
}

const stemOf = (file: string) => basename(file, extname(file))

/** By columns, whatever the format; which of several files is which part is told by their names. */
async function findColumns({ name, files, columns }: Wanted, data: string): Promise<Found> {
  const own = join(data, name)
  const folder = existsSync(own) ? own : data
  const all = groupsIn(folder)
  const isRow = (fields: object) => columns.every((column) => column in fields)
  const fitting = await Promise.all(all.map((group) => fits(group, isRow)))
  const groups = all.filter((_, i) => fitting[i] === true)
  const names = Object.keys(files)
  const pick = (file: string): Group | undefined => {
    const named = names.length === 1 ? groups : groups.filter((group) => stemOf(group.name) === stemOf(file))
    const left = ENDINGS.map((ending) => named.filter((group) => group.ending === ending)).find(({ length }) => length > 0) ?? []
    if (left.length > 1)
      throw invalidArgument(`${folder}: ${name} may be any of ${left.map((group) => group.name).join(', ')}; name its folder`)
    return left[0]
  }
  const picked = names.map((file) => [file, pick(file)] as const)
  const missing = picked.filter(([, group]) => !group).map(([file]) => file)
  if (missing.length === 0)
    return { folder, files: Object.fromEntries(picked.map(([file, group]) => [file, (group as Group).files])) }
  throw invalidArgument(
    `${data}: holds no ${name}: neither there nor in a subfolder lie ${missing.join(', ')}, or the same in another format with the columns ${columns.join(', ')}`,
  )
}

/**
 * All rows of a set, by the published name of their file.
 * @throws EngineError INVALID_ARGUMENT: none, several that may be meant, or a row that cannot be read
 */
export async function readStepRows(wanted: Wanted, data: string): Promise<{ folder: string; rows: Record<string, Row[]> }> {
  if (!statSync(data, { throwIfNoEntry: false })?.isDirectory()) throw invalidArgument(`--data ${data}: no such folder`)
  const { folder, files } = findNames(wanted, data) ?? (await findColumns(wanted, data))
  const rows: Record<string, Row[]> = {}
  for (const [name, paths] of Object.entries(files))
    rows[name] = (await rowsOf(paths)).map(({ fields, row }) => ({ row, value: fields }))
  return { folder, rows }
}
