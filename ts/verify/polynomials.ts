/** Quotients of products of polynomials in one unknown, and their roots. Coefficients are expressions without it. */

import { rationalRatio } from './forms.ts'
import { Normalizer } from './normal.ts'
import { add, divide, factors, isZero, multiply, type Rational, whole } from './rational.ts'
import { order } from './same.ts'
import { type Node, negative, number, operation, symbolsOf } from './tree.ts'

/** The coefficients of 1, x, x², …; the last one is not zero, and zero has none. */
export type Polynomial = readonly Node[]

/** The product of the polynomials `over`, by the product of those `under`. */
export interface Quotient {
  over: readonly Polynomial[]
  under: readonly Polynomial[]
}

const MAX_DEGREE = 12
/** Of the first and the last coefficient, whose quotients are the candidates for roots. */
const MAX_DIVISORS = 64

const plain = (value: Rational): Node => ({ op: 'number', value })
const isNumber = (node: Node): node is Extract<Node, { op: 'number' }> => node.op === 'number'
const sum = (a: Node, b: Node): Node => (isNumber(a) && isNumber(b) ? plain(add(a.value, b.value)) : operation('add', [a, b]))
const product = (a: Node, b: Node): Node =>
  isNumber(a) && isNumber(b) ? plain(multiply(a.value, b.value)) : operation('multiply', [a, b])
const ZERO = number(0)

/** Without leading zeros; undefined where a coefficient has no sign. */
function trimmed(coefficients: readonly Node[]): Polynomial | undefined {
  let length = coefficients.length
  for (; length > 0; length--) {
    const sign = order(coefficients[length - 1] as Node, ZERO)
    if (sign === undefined) return undefined
    if (sign !== 0) break
  }
  return coefficients.slice(0, length)
}

/** @returns undefined for what is no such quotient, such as √x, or has coefficients without a sign */
export function quotientOf(node: Node, name: string): Quotient | undefined {
  if (!symbolsOf(node).has(name)) {
    const exact = symbolsOf(node).size === 0 ? rationalRatio(new Normalizer().ratio(node)) : undefined
    const constant = trimmed([exact ? plain(exact) : node])
    return constant && { over: [constant], under: [] }
  }
  if (node.op === 'symbol') return { over: [[ZERO, number(1)]], under: [] }
  if (!('args' in node)) return undefined
  if (node.op === 'power') return powerOf(node.args as [Node, Node], name)
  if (node.op !== 'add' && node.op !== 'multiply' && node.op !== 'divide') return undefined
  const combine = { add: sumOf, multiply: productOf, divide: divided }[node.op]
  let result: Quotient | undefined
  for (const [i, arg] of node.args.entries()) {
    const next = quotientOf(arg, name)
    if (!next || (i > 0 && !result)) return undefined
    result = i === 0 ? next : combine(result as Quotient, next)
  }
  return result
}

function powerOf([base, exponent]: [Node, Node], name: string): Quotient | undefined {
  const isWhole = isNumber(exponent) && exponent.value.d === 1n && exponent.value.n > 0n && exponent.value.n <= MAX_DEGREE
  const below = isWhole ? quotientOf(base, name) : undefined
  if (!below) return undefined
  const times = <T>(list: readonly T[]): T[] =>
    Array.from({ length: Number((exponent as { value: Rational }).value.n) }, () => list).flat()
  return { over: times(below.over), under: times(below.under) }
}

const productOf = (a: Quotient, b: Quotient): Quotient => ({ over: [...a.over, ...b.over], under: [...a.under, ...b.under] })

/** WHY b's denominator on both sides: where it vanishes there is no value, which cancelling would hide. */
const divided = (a: Quotient, b: Quotient): Quotient => ({
  over: [...a.over, ...b.under, ...b.under],
  under: [...a.under, ...b.over, ...b.under],
})

function sumOf(a: Quotient, b: Quotient): Quotient | undefined {
  if (b.over.some(isNothing)) return { over: [...a.over, ...b.under], under: productOf(a, b).under }
  const [left, right] = [expanded([...a.over, ...b.under]), expanded([...b.over, ...a.under])]
  const coefficients = left && right && trimmed(combineAll(left, right))
  return coefficients && { over: [coefficients], under: productOf(a, b).under }
}

export const isNothing = (p: Polynomial): boolean => p.length === 0

const combineAll = (a: Polynomial, b: Polynomial): Node[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => sum(a[i] ?? ZERO, b[i] ?? ZERO))

function expanded(list: readonly Polynomial[]): Polynomial | undefined {
  let result: Polynomial = [number(1)]
  for (const p of list) {
    if (isNothing(p)) return []
    if (result.length + p.length > MAX_DEGREE + 2) return undefined
    const next: Node[] = Array.from({ length: result.length + p.length - 1 }, () => ZERO)
    for (const [i, a] of result.entries()) {
      for (const [j, b] of p.entries()) next[i + j] = sum(next[i + j] as Node, product(a, b))
    }
    result = next
  }
  return result
}

/** The real roots, each as often as it is one; undefined where they are neither fractions nor of quadratic parts. */
export function rootsOf(polynomial: Polynomial): Node[] | undefined {
  const roots: Node[] = []
  let rest = polynomial
  while (rest.length > 3) {
    const root = rationalRoot(rest)
    if (!root) return undefined
    roots.push(plain(root))
    rest = withoutRoot(rest, root)
  }
  const last = rest.length === 3 ? quadraticRoots(rest) : linearRoots(rest)
  return last && [...roots, ...last]
}

const quotient = (a: Node, b: Node): Node => operation('divide', [a, b])

const linearRoots = ([b, a]: Polynomial): Node[] => (a && b ? [quotient(product(number(-1), b), a)] : [])

function quadraticRoots([c, b, a]: Polynomial): Node[] | undefined {
  const [A, B, C] = [a, b, c] as [Node, Node, Node]
  const discriminant = sum(product(B, B), product(number(-4), product(A, C)))
  const sign = order(discriminant, ZERO)
  if (sign === undefined) return undefined
  if (sign < 0) return []
  const root = operation('root', [discriminant, number(2)])
  return [root, negative(root)].map((r) => quotient(sum(product(number(-1), B), r), product(number(2), A)))
}

/** A fraction that is a root: its parts divide the last and the first coefficient of a multiple with whole ones. */
function rationalRoot(polynomial: Polynomial): Rational | undefined {
  if (!polynomial.every(isNumber)) return undefined
  const values = polynomial.map((node) => (node as { value: Rational }).value)
  if (isZero(values[0] as Rational)) return whole(0)
  const common = values.reduce((product, { d }) => product * d, 1n)
  const [first, last] = [values[0], values.at(-1)].map((v) => divisors(((v as Rational).n * common) / (v as Rational).d))
  if (!first || !last) return undefined
  for (const n of first) {
    for (const d of last) {
      for (const candidate of [divide(whole(n), whole(d)), divide(whole(-n), whole(d))]) {
        if (isZero(values.reduceRight((sum, c) => add(multiply(sum, candidate), c)))) return candidate
      }
    }
  }
  return undefined
}

function divisors(n: bigint): bigint[] | undefined {
  let found = [1n]
  for (const [prime, exponent] of factors(n < 0n ? -n : n)) {
    if (BigInt(found.length) * (exponent + 1n) > MAX_DIVISORS) return undefined
    found = found.flatMap((divisor) => Array.from({ length: Number(exponent) + 1 }, (_, k) => divisor * prime ** BigInt(k)))
  }
  return found
}

function withoutRoot(polynomial: Polynomial, root: Rational): Polynomial {
  const result: Node[] = []
  let carried: Node = ZERO
  for (const c of polynomial.toReversed()) {
    carried = sum(product(carried, plain(root)), c)
    result.unshift(carried)
  }
  return result.slice(1)
}
