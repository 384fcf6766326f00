/** Fractions of whole numbers of any size, always in lowest terms. */
import { MAX_BITS, spend, Undecided, Undefined } from './limits.ts'

export interface Rational {
  readonly n: bigint
  /** Greater than zero. */
  readonly d: bigint
}

export const ONE: Rational = { n: 1n, d: 1n }
export const HALF: Rational = { n: 1n, d: 2n }

const abs = (x: bigint) => (x < 0n ? -x : x)

/** Bits of |x|, 0 for 0. */
export function bits(x: bigint): number {
  const hex = abs(x).toString(16)
  return hex === '0' ? 0 : hex.length * 4 - (Math.clz32(Number.parseInt(hex[0] as string, 16)) - 28)
}

/** @throws Undecided where x is larger than exact arithmetic goes */
function limited(x: bigint): bigint {
  // WHY the shift first: counting the bits of every small number would cost more than adding them.
  if (BigInt.asIntN(64, x) !== x) {
    const size = bits(x)
    spend(size)
    if (size > MAX_BITS) throw new Undecided('a number is too large')
  }
  return x
}

export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [abs(a), abs(b)]
  while (y !== 0n) {
    spend(10)
    ;[x, y] = [y, x % y]
  }
  return x
}

/** n/d in lowest terms. @throws Undefined for d = 0 */
export function fraction(n: bigint, d: bigint): Rational {
  if (d === 0n) throw new Undefined('division by zero')
  if (d === 1n) return { n: limited(n), d }
  const common = gcd(n, d)
  const sign = d < 0n ? -common : common
  return { n: limited(n / sign), d: limited(d / sign) }
}

export const whole = (n: bigint | number): Rational => ({ n: limited(BigInt(n)), d: 1n })

export const add = (a: Rational, b: Rational): Rational =>
  a.d === 1n && b.d === 1n ? { n: limited(a.n + b.n), d: 1n } : fraction(a.n * b.d + b.n * a.d, a.d * b.d)
export const negate = (a: Rational): Rational => ({ n: -a.n, d: a.d })
export const subtract = (a: Rational, b: Rational): Rational => add(a, negate(b))
export const multiply = (a: Rational, b: Rational): Rational =>
  a.d === 1n && b.d === 1n ? { n: limited(a.n * b.n), d: 1n } : fraction(a.n * b.n, a.d * b.d)
export const divide = (a: Rational, b: Rational): Rational => fraction(a.n * b.d, a.d * b.n)

export const isZero = (a: Rational): boolean => a.n === 0n
export const isOne = (a: Rational): boolean => a.n === 1n && a.d === 1n
export const isWhole = (a: Rational): boolean => a.d === 1n
export const equals = (a: Rational, b: Rational): boolean => a.n === b.n && a.d === b.d
export const sign = (a: Rational): -1 | 0 | 1 => (a.n > 0n ? 1 : a.n < 0n ? -1 : 0)
export const compare = (a: Rational, b: Rational): -1 | 0 | 1 => sign({ n: a.n * b.d - b.n * a.d, d: 1n })
export const absolute = (a: Rational): Rational => ({ n: abs(a.n), d: a.d })

/** The greatest whole number that is not above a. */
export const floor = (a: Rational): bigint => (a.n >= 0n || a.n % a.d === 0n ? a.n / a.d : a.n / a.d - 1n)

/** Bits that a^k has, about. */
export const powerBits = (a: Rational, k: bigint): number => Math.max(bits(a.n), bits(a.d)) * Number(abs(k))

/** a^k. @throws Undecided where it is too large, Undefined for 0 to a negative power */
export function power(a: Rational, k: bigint): Rational {
  if (k < 0n) return power(divide(ONE, a), -k)
  if (abs(a.n) <= 1n && a.d === 1n) return k === 0n ? ONE : a.n === -1n && k % 2n === 0n ? ONE : a
  if (powerBits(a, k) > MAX_BITS) throw new Undecided('a power is too large')
  return { n: limited(a.n ** k), d: limited(a.d ** k) }
}

/** The whole k-th root of x ≥ 0, rounded down. */
export function rootFloor(x: bigint, k: number): bigint {
  if (x < 2n) return x
  let guess = 1n << BigInt(Math.ceil(bits(x) / k))
  for (;;) {
    spend(20 + bits(x))
    const next = (BigInt(k - 1) * guess + x / guess ** BigInt(k - 1)) / BigInt(k)
    if (next >= guess) return guess
    guess = next
  }
}

/** Written with a point, such as 12.50 or .5: exactly. */
export function fromDecimal(text: string): Rational {
  const point = text.indexOf('.')
  if (point < 0) return whole(BigInt(text))
  const digits = text.slice(0, point) + text.slice(point + 1)
  return fraction(BigInt(digits || '0'), 10n ** BigInt(text.length - point - 1))
}

/** Trial division goes so far; what is left and larger counts as if it were a prime. */
const MAX_FACTOR = 2000n

/** Prime factors of n > 0, smallest first; the last one may be a product of large primes. */
export function factors(n: bigint): [prime: bigint, exponent: bigint][] {
  const found: [bigint, bigint][] = []
  let rest = n
  for (let p = 2n; p <= MAX_FACTOR && p * p <= rest; p += p === 2n ? 1n : 2n) {
    spend(10 + (rest > 0xffffffffffffffffn ? bits(rest) / 64 : 0))
    let k = 0n
    for (; rest % p === 0n; rest /= p) {
      spend(20)
      k++
    }
    if (k > 0n) found.push([p, k])
  }
  if (rest > 1n) found.push(perfectPower(rest))
  return found
}

function perfectPower(n: bigint): [bigint, bigint] {
  if (n > MAX_FACTOR * MAX_FACTOR) {
    for (const k of [2, 3, 5, 7]) {
      const root = rootFloor(n, k)
      if (root ** BigInt(k) === n) {
        const [base, exponent] = perfectPower(root)
        return [base, exponent * BigInt(k)]
      }
    }
  }
  return [n, 1n]
}
