/** Numbers behind expressions: exact texts aside, two expressions are equal when they agree wherever they are tried. */
import { createRequire } from 'node:module'
import { seededRandom } from '../contracts/random.ts'
import type { Expression } from './expression.ts'

type MathJs = typeof import('mathjs')
const require = createRequire(import.meta.url)
let loaded: MathJs | undefined
// WHY on demand: loading the parser takes longer than most verdicts, and plain numbers never need it.
const mathjs = (): MathJs => (loaded ??= require('mathjs') as MathJs)

const POINTS = 8
const RELATIVE = 1e-9
/** A longer formula is no final answer, and evaluating it may take for ever. */
const MAX_CODE = 2000
/** Numbers beyond this have overflowed, or nearly so: no ground to call them equal. */
const HUGE = 1e300

/** The value at `scope` as [real, imaginary]; undefined where it has none. */
function evaluate(code: string, scope: Record<string, number>): [number, number] | undefined {
  if (code.length > MAX_CODE) return undefined
  const plain = Number(code)
  if (Number.isFinite(plain) && code.trim() !== '') return [plain, 0]
  let value: unknown
  try {
    value = mathjs().evaluate(code, { ...scope })
  } catch {
    return undefined // not defined there, such as a factorial of 0.3
  }
  if (typeof value === 'number') return Number.isNaN(value) ? undefined : [value, 0]
  const complex = value as { re?: unknown; im?: unknown }
  return typeof complex?.re === 'number' && typeof complex.im === 'number' ? [complex.re, complex.im] : undefined
}

/** The real value of an expression without symbols. */
export function constant(e: Expression): number | undefined {
  if (e.symbols.length > 0) return undefined
  const value = evaluate(e.code, {})
  return value && Math.abs(value[1]) <= RELATIVE * Math.abs(value[0]) ? value[0] : undefined
}

function close(a: number, b: number): boolean {
  if (a === b) return true
  const size = Math.max(Math.abs(a), Math.abs(b))
  return size < HUGE && Math.abs(a - b) <= RELATIVE * Math.max(size, RELATIVE)
}

/** Rounded to `precision` decimal places, or equal in all but the last bits. */
export function sameNumber(a: number, b: number, precision: number): boolean {
  if (close(a, b)) return true
  const scale = 10 ** precision
  return Number.isFinite(a) && Number.isFinite(b) && Math.round(a * scale) === Math.round(b * scale)
}

/**
 * Points for the symbols, the same in every run. Positive, so that roots and logarithms have values; where signs matter
 * (|x| is not x) half of them are negative.
 */
function* points(symbols: readonly string[], signed: boolean): Generator<Record<string, number>> {
  const random = seededRandom(`verify ${symbols.join(' ')}`)
  for (let i = 0; i < POINTS; i++) {
    const sign = signed && i % 2 === 1 ? -1 : 1
    yield Object.fromEntries(symbols.map((s) => [s, sign * (0.3 + 2.4 * random())]))
  }
}

const union = (a: readonly string[], b: readonly string[]) => [...new Set([...a, ...b])].sort()

/** Equal as functions of their symbols: agree at all random points where both have a value (at least half of them). */
export function sameExpression(a: Expression, b: Expression, precision: number): boolean {
  const symbols = union(a.symbols, b.symbols)
  if (symbols.length === 0) {
    const [x, y] = [evaluate(a.code, {}), evaluate(b.code, {})]
    return x !== undefined && y !== undefined && sameNumber(x[0], y[0], precision) && sameNumber(x[1], y[1], precision)
  }
  let tried = 0
  for (const scope of points(symbols, `${a.code}${b.code}`.includes('abs('))) {
    const [x, y] = [evaluate(a.code, scope), evaluate(b.code, scope)]
    if (!x || !y) continue
    if (!close(x[0], y[0]) || !close(x[1], y[1])) return false
    tried++
  }
  return tried >= POINTS / 2
}

export interface Equation {
  left: Expression
  right: Expression
}

/**
 * Whether left - right of both are proportional: the factor, or undefined. A positive factor keeps inequalities.
 * Both sides zero everywhere (identities) are not compared.
 */
export function proportion(a: Equation, b: Equation): number | undefined {
  const symbols = union(union(a.left.symbols, a.right.symbols), union(b.left.symbols, b.right.symbols))
  const difference = (e: Equation) => `(${e.left.code})-(${e.right.code})`
  let factor: number | undefined
  for (const scope of points(symbols, false)) {
    const [x, y] = [evaluate(difference(a), scope), evaluate(difference(b), scope)]
    if (!x || !y || Math.abs(x[1]) > RELATIVE || Math.abs(y[1]) > RELATIVE) return undefined
    if (Math.abs(x[0]) < RELATIVE || Math.abs(y[0]) < RELATIVE) return undefined
    const ratio = y[0] / x[0]
    if (factor !== undefined && Math.abs(ratio - factor) > 1e-7 * Math.abs(factor)) return undefined
    factor = ratio
  }
  return factor
}
