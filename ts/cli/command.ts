/** What a command is, how its options are read, and what exit codes mean. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { suggest } from '../contracts/suggest.ts'

export const EXIT = { ok: 0, failed: 1, usage: 2, someLinesBad: 3 } as const

export interface Command {
  /** Shown for --help. */
  usage: string
  /** Resolves to the exit code. */
  run(argv: readonly string[]): Promise<number>
}

/** Wrong options: exit code 2. */
export class UsageError extends Error {}

type OptionsConfig = NonNullable<ParseArgsConfig['options']>

type Parsed<O extends OptionsConfig> = ReturnType<
  typeof parseArgs<{ args: string[]; options: O; allowPositionals: true; strict: true }>
>

/** Strict node:util parsing whose errors name the nearest known option. */
export function readOptions<O extends OptionsConfig>(argv: readonly string[], options: O, positionals = 0): Parsed<O> {
  for (const arg of argv) {
    const name = /^--([^=]+)/.exec(arg)?.[1]
    if (name !== undefined && !(name in options)) {
      throw new UsageError(`unknown option --${name}${suggest(name, Object.keys(options))}`)
    }
  }
  let parsed: Parsed<O>
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (parsed.positionals.length > positionals) throw new UsageError(`unexpected argument "${parsed.positionals[positionals]}"`)
  return parsed
}

/** The value of a required option. */
export function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw new UsageError(`--${name} is required`)
  return value
}

/** A positive whole number, no greater than `max`, or undefined where the option was not given. */
export function positiveInteger(value: string | undefined, name: string, max = Number.MAX_SAFE_INTEGER): number | undefined {
  if (value === undefined) return undefined
  const n = value.trim() === '' ? Number.NaN : Number(value)
  if (Number.isInteger(n) && n >= 1 && n <= max) return n
  const limit = max < Number.MAX_SAFE_INTEGER ? `, at most ${max}` : ''
  throw new UsageError(`--${name} must be a positive whole number${limit}, got "${value}"`)
}

/** One of `known`, or undefined where the option was not given. */
export function oneOf<T extends string>(value: string | undefined, name: string, known: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  if ((known as readonly string[]).includes(value)) return value as T
  throw new UsageError(`--${name} must be one of ${known.join(', ')}, got "${value}"`)
}

/** A number within limits, or undefined where the option was not given. */
export function numberIn(
  value: string | undefined,
  name: string,
  limits: { min?: number; above?: number; max?: number; whole?: boolean },
): number | undefined {
  if (value === undefined) return undefined
  const { min, above, max, whole } = limits
  const n = value.trim() === '' ? Number.NaN : Number(value)
  const fits = n >= (min ?? -Infinity) && n > (above ?? -Infinity) && n <= (max ?? Number.MAX_VALUE)
  if (fits && (!whole || Number.isInteger(n))) return n
  const bounds = [
    min !== undefined && `at least ${min}`,
    above !== undefined && `above ${above}`,
    max !== undefined && `at most ${max}`,
  ]
  throw new UsageError(
    `--${name} must be a ${whole ? 'whole ' : ''}number ${bounds.filter(Boolean).join(' and ')}, got "${value}"`,
  )
}
