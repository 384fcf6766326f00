/** Values of rows as benchmark files store them: texts, numbers, lists written as Python writes them, pictures. */
import { existsSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import type { ProblemImage } from '../contracts/problem.ts'
import { pictureInText } from '../images/index.ts'
import type { Fields } from '../rows/index.ts'
import type { RowPlace } from './answer-task.ts'

const isAbsent = (value: unknown) => value === undefined || value === null || value === ''

/** @throws EngineError INVALID_ARGUMENT where the column is absent or no text */
export function text(fields: Fields, name: string, at: RowPlace): string {
  const value = optionalText(fields, name)
  if (value === undefined) throw invalidArgument(`${at.file}, row ${at.index + 1}: "${name}" is missing or no text`)
  return value
}

export function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  if (typeof value === 'string') return value
  return typeof value === 'number' ? String(value) : undefined
}

/** A list of texts: one, or as `['a', "b"]`; empty where there is none. */
export function texts(fields: Fields, name: string): string[] {
  const value = fields[name]
  if (isAbsent(value)) return []
  if (Array.isArray(value)) return value.map(String)
  return typeof value === 'string' ? readPythonList(value) : []
}

/** `['a', "it's", 3]`; a text that is no list is a list of itself. */
export function readPythonList(source: string): string[] {
  const inner = /^\s*\[([\s\S]*)\]\s*$/.exec(source)?.[1]
  if (inner === undefined) return [source]
  const item = /\s*(?:'((?:[^'\\]|\\[\s\S])*)'|"((?:[^"\\]|\\[\s\S])*)"|([^,]+?))\s*(?:,|$)/gy
  return Array.from(inner.matchAll(item), ([, single, double, bare]) => {
    const quoted = single ?? double
    return quoted === undefined ? (bare as string) : quoted.replace(/\\([\\'"nrt])/g, (_, c: string) => ESCAPES[c] ?? c)
  })
}
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/** One picture of a value: bytes before the path beside them, base64, a path, or another row's. undefined: none. */
export function picture(value: unknown, at: RowPlace): ProblemImage | undefined {
  if (isAbsent(value)) return undefined
  if (value instanceof Uint8Array) return value
  if (typeof value === 'object') {
    const { bytes, path } = value as { bytes?: unknown; path?: unknown }
    return picture(bytes, at) ?? picture(path, at)
  }
  if (typeof value !== 'string') return undefined
  const embedded = pictureInText(value)
  if (embedded) return embedded
  if (/^data:/i.test(value)) return value
  if (/^\d+$/.test(value)) return at.pictureOf(value)
  if (isAbsolute(value)) return value
  // Some sets write paths from their folder of pictures on.
  const [beside, within] = [resolve(at.folder, value), resolve(at.folder, 'images', value)]
  return !existsSync(beside) && existsSync(within) ? within : beside
}

/** The first of the columns that holds a picture, as a problem's field. */
export function pictureOf(fields: Fields, names: readonly string[], at: RowPlace): { image?: ProblemImage } {
  for (const name of names) {
    const image = picture(fields[name], at)
    if (image !== undefined) return { image }
  }
  return {}
}

/** All of the columns that hold one, in their order. */
export function picturesOf(fields: Fields, names: readonly string[], at: RowPlace): { images?: ProblemImage[] } {
  const images = names.flatMap((name) => picture(fields[name], at) ?? [])
  return images.length === 0 ? {} : { images }
}

export const choicesOf = (choices: readonly string[]) => (choices.length > 0 ? { choices } : {})

/** Of a question that is known to be one of choices: where its options cannot be read, no model is asked it. */
export const refusedWithout = (choices: readonly string[]): { refused?: string } =>
  choices.length > 0 ? {} : { refused: 'a choice question whose options stand neither in a column nor in the text' }
