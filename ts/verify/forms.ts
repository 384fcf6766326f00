/**
 * Sums of products in normal form: coefficients are exact fractions, factors are powers of generators (unknowns, primes
 * under roots, π, sines, …). A sum that has no terms left is zero, whatever its unknowns are; the converse need not hold,
 * because generators may depend on each other.
 */
import { MAX_BITS, spend, Undecided } from './limits.ts'
import {
  add,
  bits,
  equals,
  floor,
  isZero,
  multiply,
  negate,
  ONE,
  power,
  powerBits,
  type Rational,
  sign,
  subtract,
  whole,
} from './rational.ts'

export interface Generator {
  readonly id: number
  /**
   * symbol; pi, e, i; prime (with a broken or a huge exponent); root (a sum of several terms, with an exponent below 1); sine;
   * absolute; power (of `base` to the product `exponent`, such as 2^n); function (of `args`).
   */
  readonly kind: 'symbol' | 'pi' | 'e' | 'i' | 'prime' | 'root' | 'sine' | 'absolute' | 'power' | 'function' | 'minus-one'
  readonly name: string
  readonly isPositive: boolean
  readonly prime?: bigint
  readonly form?: Form
  readonly args?: readonly Ratio[]
  readonly base?: Generator
  readonly exponent?: readonly Factor[]
}

export type Factor = readonly [generator: Generator, exponent: Rational]
export interface Term {
  readonly c: Rational
  /** By id, ascending. */
  readonly factors: readonly Factor[]
}
/** By the key of their factors. */
export type Form = ReadonlyMap<string, Term>
export interface Ratio {
  readonly over: Form
  readonly under: Form
}

export const NOTHING: Form = new Map()
const MAX_TERMS = 3000

const keyOf = (factors: readonly Factor[]) =>
  factors.map(([g, e]) => (e.d === 1n ? `${g.id}^${e.n}` : `${g.id}^${e.n}/${e.d}`)).join(' ')

export const constant = (c: Rational): Form => (isZero(c) ? NOTHING : new Map([['', { c, factors: [] }]]))
export const UNIT: Form = constant(ONE)
const single = (c: Rational, factors: readonly Factor[]): Form =>
  isZero(c) ? NOTHING : new Map([[keyOf(factors), { c, factors }]])
export const generated = (generator: Generator, exponent: Rational = ONE): Form =>
  isZero(exponent) ? UNIT : single(ONE, [[generator, exponent]])

/** The value of a form without generators. */
export function rationalOf(form: Form): Rational | undefined {
  if (form.size === 0) return { n: 0n, d: 1n }
  return form.size === 1 ? form.get('')?.c : undefined
}

export const onlyTerm = (form: Form): Term | undefined => (form.size === 1 ? form.values().next().value : undefined)

/** The same text for the same form. */
export function textOf(form: Form): string {
  spend(form.size * 20)
  return [...form]
    .map(([key, { c }]) => `${c.n}/${c.d}*${key}`)
    .sort()
    .join('+')
}

export function addForms(a: Form, b: Form): Form {
  if (b.size === 0) return a
  const result = new Map(a)
  for (const [key, term] of b) {
    spend(30)
    const known = result.get(key)
    const c = known ? add(known.c, term.c) : term.c
    if (isZero(c)) result.delete(key)
    else result.set(key, { c, factors: term.factors })
  }
  if (result.size > MAX_TERMS) throw new Undecided('a sum has too many terms')
  return result
}

export function scaleForm(a: Form, by: Rational): Form {
  if (isZero(by)) return NOTHING
  if (equals(by, ONE)) return a
  return new Map([...a].map(([key, { c, factors }]) => [key, { c: multiply(c, by), factors }]))
}

export const negateForm = (a: Form): Form => scaleForm(a, whole(-1))

export function multiplyForms(a: Form, b: Form): Form {
  spend(a.size * b.size * 100)
  const factor = rationalOf(a)
  if (factor) return scaleForm(b, factor)
  const other = rationalOf(b)
  if (other) return scaleForm(a, other)
  if (a.size * b.size > 40_000) throw new Undecided('a product has too many terms')
  let result: Map<string, Term> = new Map()
  for (const x of a.values()) {
    for (const y of b.values()) {
      const { term, rest } = multiplyTerms(x, y)
      if (rest) result = new Map(addForms(result, multiplyForms(single(term.c, term.factors), rest)))
      else accumulate(result, term)
    }
  }
  if (result.size > MAX_TERMS) throw new Undecided('a product has too many terms')
  return result
}

function accumulate(result: Map<string, Term>, { c, factors }: Term): void {
  const key = keyOf(factors)
  const known = result.get(key)
  const total = known ? add(known.c, c) : c
  if (isZero(total)) result.delete(key)
  else result.set(key, { c: total, factors })
}

/** x·y is term·rest; rest is there where a root or a sine met itself. */
function multiplyTerms(x: Term, y: Term): { term: Term; rest?: Form } {
  let c = multiply(x.c, y.c)
  if (x.factors.length === 0 || y.factors.length === 0) return { term: reduced(c, [...x.factors, ...y.factors]) }
  const factors: Factor[] = []
  let rest: Form | undefined
  let [i, j] = [0, 0]
  while (i < x.factors.length || j < y.factors.length) {
    const [f, g] = [x.factors[i], y.factors[j]]
    if (!g || (f && f[0].id < g[0].id)) {
      factors.push(f as Factor)
      i++
    } else if (!f || g[0].id < f[0].id) {
      factors.push(g)
      j++
    } else {
      const met = combine(f[0], add(f[1], g[1]))
      c = multiply(c, met.c)
      if (!isZero(met.exponent)) factors.push([f[0], met.exponent])
      if (met.rest) rest = rest ? multiplyForms(rest, met.rest) : met.rest
      i++
      j++
    }
  }
  return rest ? { term: reduced(c, factors), rest } : { term: reduced(c, factors) }
}

/** c·g^exponent·rest for g to a power that two factors gave together. */
function combine(g: Generator, exponent: Rational): { c: Rational; exponent: Rational; rest?: Form } {
  if (g.kind === 'i' && exponent.n >= 2n) return { c: whole(-1), exponent: subtract(exponent, whole(2)) }
  if (g.kind === 'minus-one' && exponent.n >= 2n) return { c: ONE, exponent: subtract(exponent, whole(2)) }
  if (g.kind === 'prime') return primePower(g.prime as bigint, exponent)
  if (g.kind === 'root' && exponent.n >= exponent.d) {
    return { c: ONE, exponent: subtract(exponent, ONE), rest: g.form as Form }
  }
  if ((g.kind === 'sine' || g.kind === 'absolute') && exponent.n >= 2n * exponent.d) {
    return { c: ONE, exponent: subtract(exponent, whole(2)), rest: g.form as Form }
  }
  return { c: ONE, exponent }
}

/** p^exponent, with the whole part as a number where that is not huge. */
export function primePower(p: bigint, exponent: Rational): { c: Rational; exponent: Rational } {
  const k = floor(exponent)
  if (k === 0n || powerBits(whole(p), k) > MAX_BITS / 2) return { c: ONE, exponent }
  return { c: power(whole(p), k), exponent: subtract(exponent, whole(k)) }
}

/** Beside a huge power of a prime the coefficient keeps no factor of it. */
function reduced(c: Rational, factors: readonly Factor[]): Term {
  let coefficient = c
  let changed = factors
  for (const [i, [g, exponent]] of factors.entries()) {
    if (g.kind !== 'prime' || isZero(c)) continue
    const k = floor(exponent)
    if (k === 0n) continue
    const p = g.prime as bigint
    let moved = 0n
    while (coefficient.n % p === 0n) {
      spend(bits(coefficient.n))
      coefficient = { n: coefficient.n / p, d: coefficient.d }
      moved++
    }
    while (coefficient.d % p === 0n) {
      spend(bits(coefficient.d))
      coefficient = { n: coefficient.n, d: coefficient.d / p }
      moved--
    }
    if (moved === 0n) continue
    changed = changed.map((f, at) => (at === i ? [g, add(exponent, whole(moved))] : f))
  }
  return { c: coefficient, factors: changed }
}

/** form^k for a whole k ≥ 0. */
export function powerForm(form: Form, k: bigint): Form {
  const value = rationalOf(form)
  if (value && powerBits(value, k) <= MAX_BITS) return constant(power(value, k))
  let result = UNIT
  let square = form
  for (let rest = k; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = multiplyForms(result, square)
    if (rest > 1n) square = multiplyForms(square, square)
  }
  return result
}

/** A coefficient and the form divided by it, so that forms that differ by a number alone give the same. */
export function primitive(form: Form): { content: Rational; form: Form } {
  const leading = [...form.keys()].sort().at(-1) as string
  const c = (form.get(leading) as Term).c
  const content = sign(c) < 0 ? negate(c) : c
  return { content, form: scaleForm(form, { n: content.d, d: content.n }) }
}

/** Positive where the leading term is: one of f and -f is chosen, always the same. */
export function leadingSign(form: Form): 1 | -1 {
  const leading = [...form.keys()].sort().at(-1)
  return leading !== undefined && sign((form.get(leading) as Term).c) < 0 ? -1 : 1
}

export const ratio = (over: Form, under: Form = UNIT): Ratio => {
  const by = rationalOf(under)
  return by && !isZero(by)
    ? { over: scaleForm(over, { n: by.n < 0n ? -by.d : by.d, d: by.n < 0n ? -by.n : by.n }), under: UNIT }
    : { over, under }
}

export const addRatios = (a: Ratio, b: Ratio): Ratio =>
  a.under === b.under || textOf(a.under) === textOf(b.under)
    ? ratio(addForms(a.over, b.over), a.under)
    : ratio(addForms(multiplyForms(a.over, b.under), multiplyForms(b.over, a.under)), multiplyForms(a.under, b.under))
export const negateRatio = (a: Ratio): Ratio => ({ over: negateForm(a.over), under: a.under })
export const multiplyRatios = (a: Ratio, b: Ratio): Ratio => ratio(multiplyForms(a.over, b.over), multiplyForms(a.under, b.under))
export const rationalRatio = (a: Ratio): Rational | undefined => (a.under === UNIT ? rationalOf(a.over) : undefined)
