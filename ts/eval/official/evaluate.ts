/** Values of formulas: numbers where they hold none but numbers, and identity by values at several points. */
import { hash32 } from '../../contracts/random.ts'
import type { Expr } from './latex.ts'

/** A value for each symbol. */
export type Point = (name: string) => number

const FUNCTIONS: Readonly<Record<string, (x: number, y: number) => number>> = {
  '+': (x, y) => x + y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / y,
  '^': (x, y) => (x < 0 ? realPower(x, y) : x ** y),
  neg: (x) => -x,
  abs: Math.abs,
  sqrt: Math.sqrt,
  factorial: (x) => gamma(x + 1),
  binomial: (n, k) => gamma(n + 1) / gamma(k + 1) / gamma(n - k + 1),
  log: (x, base) => (base === undefined ? Math.log(x) : Math.log(x) / Math.log(base)),
  ln: (x) => Math.log(x),
  lg: (x) => Math.log10(x),
  exp: Math.exp,
  ...{ sin: Math.sin, cos: Math.cos, tan: Math.tan, sinh: Math.sinh, cosh: Math.cosh, tanh: Math.tanh },
  ...{ csc: (x) => 1 / Math.sin(x), sec: (x) => 1 / Math.cos(x), cot: (x) => 1 / Math.tan(x) },
  ...{ arcsin: Math.asin, arccos: Math.acos, arctan: Math.atan },
  ...{ arccot: (x) => Math.atan(1 / x), arcsec: (x) => Math.acos(1 / x), arccsc: (x) => Math.asin(1 / x) },
  ...{ floor: Math.floor, ceil: Math.ceil },
}

/** Whole exponents alone have a real value. */
const realPower = (x: number, y: number) => (Number.isInteger(y) ? x ** y : Number.NaN)

/** Of whole numbers exactly, as long as they fit. */
function gamma(x: number): number {
  if (Number.isInteger(x)) {
    let product = x > 0 ? 1 : Number.NaN
    for (let i = 2; i < Math.min(x, 172); i++) product *= i
    return x > 171 ? Number.POSITIVE_INFINITY : product
  }
  if (x < 0.5) return Math.PI / (Math.sin(Math.PI * x) * gamma(1 - x))
  const series = [676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905]
  const more = [-0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7]
  const sum = [...series, ...more].reduce((s, c, i) => s + c / (x + i), 0.9999999999998099)
  const t = x + 6.5
  return Math.sqrt(2 * Math.PI) * t ** (x - 0.5) * Math.exp(-t) * sum
}

/** An unknown function: any value, but the same for the same name and arguments. */
function unknown(name: string, args: readonly number[]): number {
  return 1 + (hash32(`${name}(${args.map((a) => a.toPrecision(10)).join()})`) >>> 0) / 2 ** 32
}

export function evaluate(expr: Expr, at: Point): number {
  if (expr.kind === 'number') return expr.value
  if (expr.kind === 'symbol') return at(expr.name)
  if (expr.kind === 'relation') return Number.NaN
  const args = expr.args.map((arg) => evaluate(arg, at))
  const [x = Number.NaN, y] = args
  return FUNCTIONS[expr.name]?.(x, y as number) ?? unknown(expr.name, args)
}

/** Names that a formula's value depends on; `pi` is a symbol like any other here. */
export function symbolsOf(expr: Expr, into = new Set<string>()): Set<string> {
  if (expr.kind === 'symbol') into.add(expr.name)
  else if (expr.kind === 'call') for (const arg of expr.args) symbolsOf(arg, into)
  else if (expr.kind === 'relation') for (const side of [expr.left, expr.right]) symbolsOf(side, into)
  return into
}

export function hasDecimal(expr: Expr): boolean {
  if (expr.kind === 'number') return expr.isDecimal
  if (expr.kind === 'call') return expr.args.some(hasDecimal)
  return expr.kind === 'relation' && (hasDecimal(expr.left) || hasDecimal(expr.right))
}

/** The same for every formula: a symbol's value is a function of its name and the point's number. */
export const samplePoints: readonly Point[] = [0, 1, 2, 3, 4].map(
  (i) => (name) => 0.6 + (2 * (hash32(`${name}/${i}`) >>> 0)) / 2 ** 32,
)

/** Values at the points where both have one. */
export function valuesOf(a: Expr, b: Expr, points = samplePoints): [number, number][] {
  return points
    .map((at): [number, number] => [evaluate(a, at), evaluate(b, at)])
    .filter(([x, y]) => !Number.isNaN(x) && !Number.isNaN(y))
}

export function isIdentical(a: Expr, b: Expr): boolean {
  const values = valuesOf(a, b)
  return values.length > 0 && values.every(([x, y]) => x === y || Math.abs(x - y) <= 1e-10 * Math.max(Math.abs(x), Math.abs(y)))
}
