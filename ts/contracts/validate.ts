/** Options from a caller: unknown keys are refused with the nearest known one, wrong values with what would be right. */
import type { z } from 'zod'
import { type EngineError, invalidArgument } from './errors.ts'
import { suggest } from './suggest.ts'

/** Validates `value`; `where` names the call in the message of the EngineError. */
export function validate<S extends z.ZodObject>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw describe(result.error, Object.keys(schema.shape), where)
}

function describe(error: z.ZodError, known: readonly string[], where: string): EngineError {
  const reasons = error.issues.map((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `unknown option "${key}"${suggest(key, known)}`).join('; ')
    }
    return issue.path.length > 0 ? `${formatPath(issue.path)}: ${issue.message}` : issue.message
  })
  return invalidArgument(`${where}: ${reasons.join('; ')}`, error)
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${String(part)}`)).join('')
}
