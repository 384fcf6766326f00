/** Options from a caller: unknown keys are refused with the nearest known one, wrong values with what would be right. */
import type { z } from 'zod'
import { type EngineError, invalidArgument } from './errors.ts'
import { suggest } from './suggest.ts'

/** Validates `value`; `where` names the call in the message of the EngineError. */
export function validate<S extends z.ZodObject>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw describe(result.error, schema, where)
}

function describe(error: z.ZodError, schema: z.ZodObject, where: string): EngineError {
  const reasons = error.issues.map((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const here = (key: string) => within(schema, key, issue.path) ?? suggest(key, keysAt(schema, issue.path))
      return issue.keys.map((key) => `unknown option "${key}"${here(key)}`).join('; ')
    }
    return issue.path.length > 0 ? `${formatPath(issue.path)}: ${issue.message}` : issue.message
  })
  return invalidArgument(`${where}: ${reasons.join('; ')}`, error)
}

/** The keys of the object at `path`, or of the whole where the path leads to no single object. */
function keysAt(schema: z.ZodObject, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema
  for (const part of path) at = inner((at as Partial<z.ZodObject>)?.shape?.[part as string])
  return Object.keys((at as Partial<z.ZodObject>)?.shape ?? schema.shape)
}

/** ` (it is "cpu.threads")` for a key that an option of the whole has. */
function within(schema: z.ZodObject, key: string, path: readonly PropertyKey[]): string | undefined {
  if (path.length > 0) return undefined
  const owner = Object.keys(schema.shape).find((name) => keysOf(inner(schema.shape[name])).includes(key))
  return owner && ` (it is "${owner}.${key}")`
}

const keysOf = (schema: unknown): string[] => Object.keys((schema as Partial<z.ZodObject> | undefined)?.shape ?? {})

/** What an optional schema, or one with a default, is about. */
function inner(schema: unknown): unknown {
  const within = (schema as { def?: { innerType?: unknown } } | undefined)?.def?.innerType
  return within === undefined ? schema : inner(within)
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${String(part)}`)).join('')
}
