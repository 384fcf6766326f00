/**
 * Whether two expressions are equal: exactly where normal forms tell, else by values with more bits than a coincidence
 * has, at points that are the same in every run.
 */
import { addForms, addRatios, type Form, multiplyRatios, negateRatio, type Ratio, rationalOf, scaleForm } from './forms.ts'
import { Undecided, Undefined } from './limits.ts'
import { Normalizer } from './normal.ts'
import { absolute, compare, divide, fraction, negate, type Rational, subtract, whole } from './rational.ts'
import { magnitude, type Real } from './real.ts'
import { type Decimal, difference, literal, type Node, some, symbolsOf } from './tree.ts'
import type { Complex } from './value-of.ts'

/** Points at which equal expressions of unknowns must both have a value. */
const REQUIRED = 4
/** More tell nothing new. */
const ENOUGH = 8
const isInfinite = (node: Node): -1 | 0 | 1 => {
  if (node.op === 'constant' && node.name === 'infinity') return 1
  const [left, right] = node.op === 'multiply' ? node.args : []
  return left?.op === 'number' && right && isInfinite(right) !== 0 ? ((left.value.n < 0n ? -1 : 1) as -1 | 1) : 0
}

const isNear = ({ re, im }: Complex): boolean => re.m === 0n && im.m === 0n

/** Whether a normal form without unknowns is zero. */
function isZero(n: Normalizer, { over }: Ratio): boolean {
  if (over.size === 0) return true
  return rationalOf(over) === undefined && isNear(n.evaluator().form(over))
}

/** Equal as functions of their unknowns. @throws Undecided */
export function sameExpression(a: Node, b: Node, digits: number): boolean {
  const infinite = [isInfinite(a), isInfinite(b)]
  if (infinite[0] !== 0 || infinite[1] !== 0) return infinite[0] === infinite[1]
  const unknowns = [...new Set([...symbolsOf(a), ...symbolsOf(b)])].sort()
  if (unknowns.length === 0) return sameNumber(a, b, digits)
  if (isIdentity(a, b)) return true
  return agreesAtPoints(unknowns, isComplex(a) || isComplex(b), (n) => n.ratio(difference(a, b)), [a, b])
}

/** Has an i in it, or comes to what is not real: √-4. */
function isComplex(node: Node): boolean {
  if (some(node, (n) => n.op === 'constant' && n.name === 'i')) return true
  if (symbolsOf(node).size > 0) return false
  try {
    return !isReal(new Normalizer(), node)
  } catch (error) {
    if (error instanceof Undefined) return false
    throw error
  }
}

function isIdentity(a: Node, b: Node): boolean {
  const n = new Normalizer()
  try {
    return addRatios(n.ratio(a), negateRatio(n.ratio(b))).over.size === 0
  } catch (error) {
    if (error instanceof Undecided || error instanceof Undefined) return false
    throw error
  }
}

function agreesAtPoints(
  unknowns: readonly string[],
  isComplex: boolean,
  differenceAt: (n: Normalizer) => Ratio,
  sides: readonly Node[],
): boolean {
  let agreed = 0
  let why: unknown
  for (const values of points(unknowns)) {
    const n = new Normalizer(values)
    try {
      if (!isComplex && !sides.every((side) => isReal(n, side))) continue
      if (!isZero(n, differenceAt(n))) return false
      if (++agreed === ENOUGH) return true
    } catch (error) {
      if (error instanceof Undecided) why = error
      else if (!(error instanceof Undefined)) throw error
    }
  }
  if (agreed >= REQUIRED) return true
  throw why ?? new Undecided('the expressions have too few values in common')
}

function isReal(n: Normalizer, node: Node): boolean {
  const { over, under } = n.ratio(node)
  const hasImaginary = [...over.values(), ...under.values()].some(({ factors }) => factors.some(([g]) => g.kind === 'i'))
  return !hasImaginary || n.evaluator().ratio({ over, under }).im.m === 0n
}

/** Broken and whole, small and large; each unknown has another one. */
const POINTS: readonly (readonly [n: number, d: number])[] = [
  [37, 23], [29, 17], [5, 1], [19, 31], [3, 1], [113, 7], [7, 1], [211, 13], [43, 11], [71, 97],
] // biome-ignore format: a table

/** So many unknowns get values of the list before it starts again, each time stretched. */
const ROUND = 10

/** Signs of one, two and four unknowns in a row: some of two unknowns differ in each. */
const signOfPoint = (k: number, i: number): bigint => (((i >> ((k >> 1) % 3)) + k) % 2 === 0 ? 1n : -1n)

const broken = (k: number, i: number, sign: bigint): Rational => {
  const [n, d] = POINTS[(k + 3 * i) % ROUND] as [number, number]
  return fraction(sign * BigInt(n * (13 + Math.floor(i / ROUND))), BigInt(d * 13))
}
const wholeAt = (k: number, i: number): Rational => whole(2 + ((i * 5 + k * 3) % 11) + 11 * Math.floor(i / 11))

/** First one of each kind: positive, mixed, whole, large of either sign; then more of them. */
export function* points(unknowns: readonly string[]): Generator<Map<string, Rational>> {
  const at = (pick: (i: number) => Rational) => new Map(unknowns.map((name, i) => [name, pick(i)]))
  yield at((i) => broken(0, i, 1n))
  for (let k = 0; k < 2; k++) yield at((i) => broken(k + 1, i, signOfPoint(k, i)))
  yield at((i) => wholeAt(0, i))
  yield at((i) => fraction(BigInt(-(i + 1) * 1009), 3n))
  yield at((i) => fraction(BigInt((i + 2) * 1013), 7n))
  for (let k = 2; k < ROUND; k++) yield at((i) => broken(k + 1, i, signOfPoint(k, i)))
  for (let k = 1; k < 4; k++) yield at((i) => wholeAt(k, i))
  for (let k = 1; k < 4; k++) yield at((i) => broken(k, i, 1n))
}

/** Two expressions without unknowns: equal, or one a decimal that rounds the other. @throws Undecided */
function sameNumber(a: Node, b: Node, digits: number): boolean {
  const n = new Normalizer()
  let ra: Ratio
  let rb: Ratio
  try {
    ;[ra, rb] = [n.ratio(a), n.ratio(b)]
  } catch (error) {
    if (error instanceof Undefined) return false
    throw error
  }
  if (isZero(n, addRatios(ra, negateRatio(rb)))) return true
  return rounds(n, literal(a)?.decimal, ra, rb, digits) || rounds(n, literal(b)?.decimal, rb, ra, digits)
}

/** Whether `decimal`, of so many digits at least, is `value` to its last place. */
function rounds(n: Normalizer, decimal: Decimal | undefined, written: Ratio, value: Ratio, digits: number): boolean {
  if (!decimal || decimal.digits < digits || Math.abs(decimal.places) > 4000) return false
  const exact = approximate(n, value)
  const shown = rationalOf(written.over)
  if (!exact || !shown) return false
  const unit = decimal.places >= 0 ? fraction(1n, 10n ** BigInt(decimal.places)) : whole(10n ** BigInt(-decimal.places))
  const distance = absolute(subtract(exact, shown))
  // A longer one may as well have been cut off.
  const isLoose = decimal.isCut || decimal.digits > digits
  return compare(distance, isLoose ? unit : divide(unit, whole(2))) <= (isLoose ? -1 : 0)
}

/** A real value as a fraction, to 200 bits. */
function approximate(n: Normalizer, value: Ratio): Rational | undefined {
  const plain = rationalOf(value.over)
  const under = rationalOf(value.under)
  if (plain && under) return divide(plain, under)
  try {
    return toRational(n.evaluator().real(value))
  } catch (error) {
    if (error instanceof Undefined) return undefined
    throw error
  }
}

function toRational(x: Real): Rational | undefined {
  if (Math.abs(magnitude(x)) > 8000 && x.m !== 0n) return undefined
  return x.e >= 0 ? whole(x.m << BigInt(x.e)) : fraction(x.m, 1n << BigInt(-x.e))
}

/** -1, 0 or 1 as a number without unknowns is below, equal to or above another; undefined where they have no order. */
export function order(a: Node, b: Node): -1 | 0 | 1 | undefined {
  if (a.op === 'number' && b.op === 'number') return compare(a.value, b.value)
  const [x, y] = [isInfinite(a), isInfinite(b)]
  if (x !== 0 || y !== 0) return x === y ? 0 : x < y ? -1 : 1
  if (symbolsOf(a).size + symbolsOf(b).size > 0) return undefined
  try {
    const n = new Normalizer()
    const { over, under } = addRatios(n.ratio(a), negateRatio(n.ratio(b)))
    const [p, q] = [n.signOf(over), n.signOf(under)]
    return p === undefined || q === undefined ? undefined : ((p * q) as -1 | 0 | 1)
  } catch (error) {
    if (error instanceof Undefined) return undefined
    throw error
  }
}

/** Whether an expression is a whole number, whatever its unknowns are. */
export function isWholeNumber(node: Node): boolean {
  try {
    const { over, under } = new Normalizer().ratio(node)
    const value = over.size === 0 ? whole(0) : proportionOf(over, under)
    return value !== undefined && value.d === 1n
  } catch (error) {
    if (error instanceof Undefined) return false
    throw error
  }
}

/** c where one form is c times the other. */
function proportionOf(over: Form, under: Form): Rational | undefined {
  const [key] = under.keys()
  const [a, b] = [over.get(key as string), under.get(key as string)]
  if (!a || !b) return undefined
  const c = divide(a.c, b.c)
  return addForms(over, scaleForm(under, negate(c))).size === 0 ? c : undefined
}

/** Whether two equations say the same: xy = 1 and y = 1/x do, whose differences are no multiples of each other. @throws Undecided */
export function sameEquation(a: Equation, b: Equation): boolean {
  const n = new Normalizer()
  try {
    const [x, y] = [a, b].map(({ left, right }) => n.ratio(difference(left, right)).over) as [Form, Form]
    if (x.size > 0 && y.size > 0 && proportionOf(x, y) !== undefined) return true
  } catch (error) {
    if (!(error instanceof Undefined) && !(error instanceof Undecided)) throw error
  }
  return proportion(a, b) !== 0
}

export interface Equation {
  left: Node
  right: Node
}

/**
 * Sign of the factor by which left - right of one equation is that of the other; 0 where there is none, or it is not
 * the same everywhere. Identities (0 = 0) are not compared. @throws Undecided
 */
export function proportion(a: Equation, b: Equation): -1 | 0 | 1 {
  const sides = [difference(a.left, a.right), difference(b.left, b.right)] as const
  const unknowns = [...new Set(sides.flatMap((side) => [...symbolsOf(side)]))].sort()
  let first: { x: Ratio; y: Ratio; n: Normalizer } | undefined
  let agreed = 0
  let sign: -1 | 0 | 1 = 0
  for (const values of points(unknowns)) {
    // WHY one normalizer's generators for all: ratios of two points are compared.
    const n: Normalizer = first ? new Normalizer(values, first.n.generators) : new Normalizer(values)
    try {
      const [x, y] = [n.ratio(sides[0]), n.ratio(sides[1])]
      const zero = [isZero(n, x), isZero(n, y)]
      if (zero[0] !== zero[1]) return 0
      if (zero[0]) continue
      if (!first) {
        first = { x, y, n }
        const signs = [x.over, x.under, y.over, y.under].map((form) => n.signOf(form))
        if (signs.some((s) => s === undefined || s === 0)) return 0
        sign = (signs as number[]).reduce((p, s) => p * s, 1) as -1 | 1
      } else {
        n.bits += first.n.bits
        const cross = addRatios(multiplyRatios(x, first.y), negateRatio(multiplyRatios(y, first.x)))
        if (!isZero(n, cross)) return 0
      }
      if (++agreed === ENOUGH) return sign
    } catch (error) {
      if (!(error instanceof Undefined) && !(error instanceof Undecided)) throw error
    }
  }
  if (agreed < REQUIRED) throw new Undecided('the equations have too few values in common')
  return sign
}
