/** Numbers behind forms without unknowns: with as many bits as are asked for. */
import type { Form, Generator, Ratio } from './forms.ts'
import { spend, Undecided, Undefined } from './limits.ts'
import { isWhole, type Rational } from './rational.ts'
import { magnitude, REAL_ONE, REAL_ZERO, type Real, type Reals } from './real.ts'

export interface Complex {
  re: Real
  im: Real
}

/** Bits that roundings may have taken: a sum that is smaller than its terms by more is zero. */
const MARGIN = 96

export class Evaluator {
  readonly reals: Reals
  readonly #known = new Map<Generator, Real>()
  /** Bits that count: fewer where a factorial was taken from Stirling's series. */
  #precision: number
  #depth = 0

  constructor(reals: Reals) {
    this.reals = reals
    this.#precision = reals.precision
  }

  /** @throws Undecided where the form has unknowns, Undefined where it has no value */
  form(form: Form): Complex {
    if (++this.#depth > 100) throw new Undecided('functions are too deep within each other')
    const sums = { re: REAL_ZERO, im: REAL_ZERO }
    const largest = { re: Number.NEGATIVE_INFINITY, im: Number.NEGATIVE_INFINITY }
    for (const { c, factors } of form.values()) {
      let value = this.reals.rational(c)
      let part: 're' | 'im' = 're'
      for (const [g, exponent] of factors) {
        if (g.kind === 'i') part = 'im'
        else value = this.reals.multiply(value, this.#power(this.generator(g), exponent))
      }
      sums[part] = this.reals.add(sums[part], value)
      largest[part] = Math.max(largest[part], magnitude(value))
    }
    this.#depth--
    const all = Math.max(largest.re, largest.im)
    return { re: this.#settled(sums.re, all), im: this.#settled(sums.im, all) }
  }

  /** What the terms' roundings have left is zero. */
  #settled(sum: Real, largest: number): Real {
    if (sum.m === 0n || magnitude(sum) >= largest - this.#precision + MARGIN) return sum
    if (this.#precision < this.reals.precision) throw new Undecided('too large to tell apart')
    return REAL_ZERO
  }

  ratio({ over, under }: Ratio): Complex {
    const [a, b] = [this.form(over), this.form(under)]
    const { reals } = this
    if (b.im.m === 0n) return { re: reals.divide(a.re, b.re), im: reals.divide(a.im, b.re) }
    const size = reals.add(reals.multiply(b.re, b.re), reals.multiply(b.im, b.im))
    const re = reals.add(reals.multiply(a.re, b.re), reals.multiply(a.im, b.im))
    const im = reals.subtract(reals.multiply(a.im, b.re), reals.multiply(a.re, b.im))
    return { re: reals.divide(re, size), im: reals.divide(im, size) }
  }

  /** @throws Undefined where the value is not real */
  real(r: Ratio): Real {
    const { re, im } = this.ratio(r)
    if (im.m !== 0n) throw new Undefined('not a real number')
    return re
  }

  #power(base: Real, exponent: Rational): Real {
    if (isWhole(exponent)) return this.reals.power(base, exponent.n)
    if (base.m < 0n) throw new Undefined('a root of what is negative')
    if (exponent.d > 3n) return this.reals.exp(this.reals.multiply(this.reals.ln(base), this.reals.rational(exponent)))
    return this.reals.power(this.reals.root(base, Number(exponent.d)), exponent.n)
  }

  generator(g: Generator): Real {
    const known = this.#known.get(g)
    if (known) return known
    spend(100)
    const value = this.#make(g)
    this.#known.set(g, value)
    return value
  }

  #make(g: Generator): Real {
    const { reals } = this
    if (g.kind === 'pi') return reals.pi
    if (g.kind === 'e') return reals.exp(REAL_ONE)
    if (g.kind === 'prime') return reals.rational({ n: g.prime as bigint, d: 1n })
    if (g.kind === 'root')
      return this.real({ over: g.form as Form, under: new Map([['', { c: { n: 1n, d: 1n }, factors: [] }]]) })
    if (g.kind === 'power') return this.#powerOf(g)
    if (g.kind === 'symbol' || g.kind === 'i' || g.kind === 'minus-one')
      throw new Undecided(`${g.name || 'a power'} has no value`)
    return this.#call(
      g.name,
      (g.args ?? []).map((arg) => this.real(arg)),
    )
  }

  #powerOf(g: Generator): Real {
    const base = this.generator(g.base as Generator)
    if (base.m <= 0n) throw new Undefined('a power of what is negative')
    const exponent = (g.exponent ?? []).reduce(
      (product, [f, e]) => this.reals.multiply(product, this.#power(this.generator(f), e)),
      REAL_ONE,
    )
    return this.reals.exp(this.reals.multiply(exponent, this.reals.ln(base)))
  }

  #call(name: string, args: readonly Real[]): Real {
    const { reals } = this
    const x = args[0] as Real
    if (name === 'id') return x
    if (name === 'abs') return x.m < 0n ? reals.negate(x) : x
    if (name === 'sin') return reals.sinCos(x)[0]
    if (name === 'cos') return reals.sinCos(x)[1]
    if (name === 'ln') return reals.ln(x)
    if (name === 'exp') return reals.exp(x)
    if (name === 'arctan') return reals.atan(x)
    if (name === 'factorial') return this.#stirling(x)
    if (name === 'arcsin') return reals.asin(x)
    throw new Undecided(`${name} of this has no value`)
  }

  /** x! for a large x. */
  #stirling(x: Real): Real {
    const { reals } = this
    const inverse = reals.divide(REAL_ONE, x)
    const square = reals.multiply(inverse, inverse)
    let sum = reals.subtract(reals.multiply(x, reals.ln(x)), x)
    const circle = reals.multiply(reals.multiply({ m: 2n, e: 0 }, reals.pi), x)
    sum = reals.add(sum, reals.multiply({ m: 1n, e: -1 }, reals.ln(circle)))
    let power = inverse
    for (const [n, d] of STIRLING) {
      sum = reals.add(sum, reals.multiply(power, reals.rational({ n, d })))
      power = reals.multiply(power, square)
    }
    // The next term is below x^-11, and of the logarithm's bits those before the point are lost.
    this.#precision = Math.min(this.#precision, MARGIN + 9 * magnitude(x))
    return reals.exp(sum)
  }
}

/** Of x^-1, x^-3, … in ln x!. */
const STIRLING: readonly (readonly [bigint, bigint])[] = [[1n, 12n], [-1n, 360n], [1n, 1260n], [-1n, 1680n], [1n, 1188n]] // biome-ignore format: a table
