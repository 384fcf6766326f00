/**
 * Real numbers of a given number of bits: mantissa · 2^exponent. Functions are exact to some units in the last place;
 * who compares them leaves a margin.
 */
import { spend, Undecided, Undefined } from './limits.ts'
import { bits, type Rational, rootFloor } from './rational.ts'

export interface Real {
  readonly m: bigint
  readonly e: number
}

export const REAL_ZERO: Real = { m: 0n, e: 0 }
export const REAL_ONE: Real = { m: 1n, e: 0 }

/** Beyond this a magnitude is no number any more: 2^(2^40). */
const MAX_EXPONENT = 2 ** 40

const shift = (m: bigint, by: number) => (by >= 0 ? m << BigInt(by) : m >> BigInt(-by))

/** Exponent of the highest bit; -Infinity for zero. */
export const magnitude = (a: Real): number => (a.m === 0n ? Number.NEGATIVE_INFINITY : bits(a.m) + a.e)

/** Arithmetic with so many bits. */
export class Reals {
  readonly precision: number
  #pi?: Real
  #ln2?: Real

  constructor(precision: number) {
    this.precision = precision
  }

  round(m: bigint, e: number): Real {
    const extra = bits(m) - this.precision
    spend(20 + (this.precision >> 5))
    if (Math.abs(e + extra) > MAX_EXPONENT) throw new Undecided('a number is too large')
    return extra > 0 ? { m: m >> BigInt(extra), e: e + extra } : { m, e }
  }

  rational(a: Rational): Real {
    if (a.d === 1n) return this.round(a.n, 0)
    const by = this.precision + bits(a.d) - bits(a.n) + 2
    return this.round(shift(a.n, Math.max(by, 0)) / a.d, -Math.max(by, 0))
  }

  add(a: Real, b: Real): Real {
    if (a.m === 0n) return b
    if (b.m === 0n) return a
    const [high, low] = a.e >= b.e ? [a, b] : [b, a]
    // WHY: 2^1000000 + 1 would otherwise be written out.
    const gap = high.e - low.e
    if (gap > 2 * this.precision) return magnitude(high) > magnitude(low) + this.precision + 4 ? high : this.#coarse(high, low)
    return this.round((high.m << BigInt(gap)) + low.m, low.e)
  }

  #coarse(high: Real, low: Real): Real {
    const gap = high.e - low.e
    return this.round(high.m + (low.m >> BigInt(gap)), high.e)
  }

  negate = (a: Real): Real => ({ m: -a.m, e: a.e })
  subtract = (a: Real, b: Real): Real => this.add(a, this.negate(b))
  multiply = (a: Real, b: Real): Real => this.round(a.m * b.m, a.e + b.e)

  divide(a: Real, b: Real): Real {
    if (b.m === 0n) throw new Undefined('division by zero')
    const by = Math.max(0, this.precision + bits(b.m) - bits(a.m) + 2)
    return this.round((a.m << BigInt(by)) / b.m, a.e - b.e - by)
  }

  /** The k-th root of a ≥ 0. */
  root(a: Real, k: number): Real {
    if (a.m === 0n) return a
    let by = Math.max(0, this.precision * k + 2 * k - bits(a.m))
    by += (((a.e - by) % k) + k) % k
    return this.round(rootFloor(a.m << BigInt(by), k), (a.e - by) / k)
  }

  /** a^n for a whole number n. */
  power(a: Real, n: bigint): Real {
    if (n < 0n) return this.divide(REAL_ONE, this.power(a, -n))
    let result = REAL_ONE
    let square = a
    for (let k = n; k > 0n; k >>= 1n) {
      if (k & 1n) result = this.multiply(result, square)
      if (k > 1n) square = this.multiply(square, square)
    }
    return result
  }

  /** As a fixed-point number with `precision` + 32 bits behind the point. */
  #fixed = (a: Real): bigint => shift(a.m, a.e + this.precision + 32)
  #fromFixed = (m: bigint): Real => this.round(m, -(this.precision + 32))
  get #unit(): bigint {
    return 1n << BigInt(this.precision + 32)
  }

  /** Σ of a series of fixed-point terms, each made from the one before, until they vanish. */
  #series(first: bigint, next: (term: bigint, k: bigint) => bigint): bigint {
    let sum = 0n
    let term = first
    for (let k = 1n; term !== 0n; k++) {
      spend(20 + (this.precision >> 5))
      sum += term
      term = next(term, k)
    }
    return sum
  }

  /** atan(1/n) for a whole n > 1, fixed-point. */
  #arcOfInverse(n: bigint): bigint {
    let power = this.#unit / n
    let sum = 0n
    for (let k = 1n; power !== 0n; k += 2n) {
      spend(20 + (this.precision >> 5))
      sum += k % 4n === 1n ? power / k : -(power / k)
      power /= n * n
    }
    return sum
  }

  get pi(): Real {
    return (this.#pi ??= this.#fromFixed(4n * (4n * this.#arcOfInverse(5n) - this.#arcOfInverse(239n))))
  }

  get ln2(): Real {
    return (this.#ln2 ??= this.#fromFixed(this.#atanh(this.#unit / 3n) * 2n))
  }

  /** Area tangent of a fixed-point number below 1. */
  #atanh(x: bigint): bigint {
    const square = (x * x) / this.#unit
    let power = x
    return this.#series(x, (_, k) => {
      power = (power * square) / this.#unit
      return power / (2n * k + 1n)
    })
  }

  exp(a: Real): Real {
    if (magnitude(a) > 41) throw new Undecided('a power is too large')
    // a = k·ln 2 + r. WHY more bits: the whole part of a takes as many from the remainder as it has.
    const wide = new Reals(this.precision + Math.max(0, magnitude(a)) + 8)
    const k = wide.nearest(wide.divide(a, wide.ln2))
    const r = wide.#fixed(wide.subtract(a, wide.multiply({ m: k, e: 0 }, wide.ln2)))
    const sum = wide.#series(wide.#unit, (term, n) => (term * r) / wide.#unit / n)
    const { m, e } = wide.#fromFixed(sum)
    return this.round(m, e + Number(k))
  }

  /** @throws Undefined for a ≤ 0 */
  ln(a: Real): Real {
    if (a.m <= 0n) throw new Undefined('logarithm of what is not positive')
    const k = magnitude(a)
    // a = 2^k·x with ½ ≤ x < 1; ln x = 2 atanh((x-1)/(x+1)).
    const x = { m: a.m, e: a.e - k }
    const quotient = this.divide(this.subtract(x, REAL_ONE), this.add(x, REAL_ONE))
    const small = this.#fromFixed(2n * this.#atanh(this.#fixed(quotient)))
    return this.add(this.multiply({ m: BigInt(k), e: 0 }, this.ln2), small)
  }

  nearest(a: Real): bigint {
    return a.e >= 0 ? shift(a.m, Math.min(a.e, 64)) : (shift(a.m, a.e + 1) + 1n) >> 1n
  }

  /** Sine and cosine. @throws Undecided for arguments so large that their place in the period is unknown */
  sinCos(a: Real): [sin: Real, cos: Real] {
    if (magnitude(a) > 4096) throw new Undecided('an angle is too large')
    const wide = new Reals(this.precision + Math.max(0, magnitude(a)) + 8)
    const half = { m: wide.pi.m, e: wide.pi.e - 1 }
    const k = wide.#nearestOf(wide.divide(a, half))
    const r = wide.#fixed(wide.subtract(a, wide.multiply({ m: k, e: 0 }, half)))
    const square = (r * r) / wide.#unit
    const series = (first: bigint, from: bigint) =>
      wide.#fromFixed(wide.#series(first, (term, n) => -(term * square) / wide.#unit / ((2n * n + from) * (2n * n + from - 1n))))
    const [sin, cos] = [series(r, 1n), series(wide.#unit, 0n)]
    const quarter = Number(((k % 4n) + 4n) % 4n)
    const turned = [
      [sin, cos],
      [cos, this.negate(sin)],
      [this.negate(sin), this.negate(cos)],
      [this.negate(cos), sin],
    ][quarter] as [Real, Real]
    return [this.round(turned[0].m, turned[0].e), this.round(turned[1].m, turned[1].e)]
  }

  #nearestOf(a: Real): bigint {
    return a.e >= 0 ? a.m << BigInt(a.e) : (shift(a.m, a.e + 1) + 1n) >> 1n
  }

  atan(a: Real): Real {
    if (magnitude(a) > 1) {
      // atan a = ±π/2 − atan(1/a)
      const half = { m: a.m < 0n ? -this.pi.m : this.pi.m, e: this.pi.e - 1 }
      return this.subtract(half, this.atan(this.divide(REAL_ONE, a)))
    }
    // Twice atan(a/(1+√(1+a²))) brings the argument down until the series is short.
    let x = a
    let doublings = 0
    for (; magnitude(x) > -6; doublings++) {
      x = this.divide(x, this.add(REAL_ONE, this.root(this.add(REAL_ONE, this.multiply(x, x)), 2)))
    }
    const fixed = this.#fixed(x)
    const square = (fixed * fixed) / this.#unit
    let power = fixed
    const sum = this.#series(fixed, (_, k) => {
      power = -(power * square) / this.#unit
      return power / (2n * k + 1n)
    })
    return this.#fromFixed(sum << BigInt(doublings))
  }

  /** @throws Undefined outside of [-1, 1] */
  asin(a: Real): Real {
    const rest = this.subtract(REAL_ONE, this.multiply(a, a))
    if (rest.m < 0n) throw new Undefined('arcsine of what is above 1')
    if (rest.m === 0n) return { m: a.m < 0n ? -this.pi.m : this.pi.m, e: this.pi.e - 1 }
    return this.atan(this.divide(a, this.root(rest, 2)))
  }
}
