/** Trees in normal form: a ratio of two forms, exact as far as forms go. */
import {
  addForms,
  addRatios,
  type Factor,
  type Form,
  type Generator,
  generated,
  leadingSign,
  multiplyForms,
  multiplyRatios,
  negateForm,
  onlyTerm,
  powerForm,
  primePower,
  primitive,
  type Ratio,
  ratio,
  constant as rationalForm,
  rationalRatio,
  scaleForm,
  UNIT,
} from './forms.ts'
import { callFunction } from './functions.ts'
import { Generators } from './generators.ts'
import { MAX_BITS, MAX_DEPTH, spend, Undecided, Undefined } from './limits.ts'
import {
  absolute,
  bits,
  divide,
  factors as factorsOf,
  HALF,
  isWhole,
  isZero,
  multiply,
  ONE,
  power,
  powerBits,
  type Rational,
  sign,
  whole,
} from './rational.ts'
import { Reals } from './real.ts'
import { type Node, symbolsOf } from './tree.ts'
import { Evaluator } from './value-of.ts'

/** A power of several terms is multiplied out up to here. */
const MAX_EXPANDED = 24n
const MAX_PRECISION = 6000

export class Normalizer {
  readonly generators: Generators
  /** Values of unknowns; those without one stay unknown. */
  readonly values: ReadonlyMap<string, Rational>
  /** Of all numbers met so far: values must be computed with more bits than stand in the text. */
  bits = 0
  /** Inside of sine and its kin a degree is π/180. */
  inAngle = false
  #depth = 0

  constructor(values: ReadonlyMap<string, Rational> = new Map(), generators = new Generators()) {
    this.values = values
    this.generators = generators
  }

  /** With values of some more unknowns. */
  within(name: string, value: Rational): Normalizer {
    return new Normalizer(new Map([...this.values, [name, value]]), this.generators)
  }

  /** An evaluator that is precise enough for what was met. @throws Undecided where that would take too many bits */
  evaluator(): Evaluator {
    const precision = 320 + 2 * Math.ceil(this.bits)
    if (precision > MAX_PRECISION) throw new Undecided('the numbers are too long')
    return new Evaluator(new Reals(precision))
  }

  /** @throws Undefined, Undecided */
  ratio(node: Node): Ratio {
    if (++this.#depth > 4 * MAX_DEPTH) throw new Undecided('an expression is too deep')
    spend(100)
    const result = this.#ratio(node)
    this.#depth--
    return result
  }

  rational = (value: Rational): Ratio => ({ over: rationalForm(value), under: UNIT })

  /** The arrow from A to B is B − A: turned round it is another vector, and AB + BC is AC. */
  #unknown(name: string): Form {
    const [kind, from, to] = name.split('.')
    const symbol = (of: string) => generated(this.generators.symbol(of))
    return kind === 'arrow' ? addForms(symbol(`point ${to}`), negateForm(symbol(`point ${from}`))) : symbol(name)
  }

  #ratio(node: Node): Ratio {
    switch (node.op) {
      case 'number':
        this.bits += bits(node.value.n) + bits(node.value.d)
        return this.rational(node.value)
      case 'symbol': {
        const value = this.values.get(node.name)
        if (!value) return { over: this.#unknown(node.name), under: UNIT }
        this.bits += bits(value.n) + bits(value.d)
        return this.rational(value)
      }
      case 'constant':
        if (node.name === 'infinity') throw new Undefined('infinity is no number')
        return { over: generated(this.generators.constant(node.name)), under: UNIT }
      case 'matrix':
        throw new Undefined('a matrix is no number')
      case 'add':
        return node.args.map((arg) => this.ratio(arg)).reduce(addRatios)
      case 'multiply':
        return node.args.map((arg) => this.ratio(arg)).reduce(multiplyRatios)
      case 'divide':
        return multiplyRatios(this.ratio(node.args[0] as Node), this.inverse(this.ratio(node.args[1] as Node)))
      case 'power':
        return this.#powerNode(node.args[0] as Node, node.args[1] as Node)
      case 'root':
        return this.power(this.ratio(node.args[0] as Node), this.inverse(this.ratio(node.args[1] as Node)))
      case 'degrees': {
        const inner = this.ratio(node.args[0] as Node)
        if (!this.inAngle) return inner
        const pi = generated(this.generators.constant('pi'))
        return multiplyRatios(inner, ratio(scaleForm(pi, { n: 1n, d: 180n })))
      }
      default:
        return callFunction(this, node)
    }
  }

  #powerNode(base: Node, exponent: Node): Ratio {
    const [a, k] = [this.ratio(base), this.#outsideOfAngle(exponent)]
    // (-1)^n is for whole n; the cube root of -8 may well be written (-8)^(1/3).
    const isBroken = this.values.size > 0 && rationalRatio(k)?.d !== 1n && symbolsOf(exponent).size > 0
    if (isBroken && this.signOf(a.over) === -1) throw new Undefined('a broken power of what is negative')
    return this.power(a, k)
  }

  #outsideOfAngle(node: Node): Ratio {
    const before = this.inAngle
    this.inAngle = false
    const result = this.ratio(node)
    this.inAngle = before
    return result
  }

  inverse({ over, under }: Ratio): Ratio {
    if (over.size === 0) throw new Undefined('division by zero')
    return ratio(under, over)
  }

  isClosed(form: Form): boolean {
    try {
      this.evaluator().form(form)
      return true
    } catch (error) {
      if (error instanceof Undecided) return false
      throw error
    }
  }

  /** The sign of a real form without unknowns; undefined of any other. */
  signOf(form: Form): -1 | 0 | 1 | undefined {
    try {
      const { re, im } = this.evaluator().form(form)
      return im.m !== 0n ? undefined : re.m > 0n ? 1 : re.m < 0n ? -1 : 0
    } catch (error) {
      if (error instanceof Undecided || error instanceof Undefined) return undefined
      throw error
    }
  }

  power(base: Ratio, exponent: Ratio): Ratio {
    const k = rationalRatio(exponent)
    if (k === undefined) return this.#symbolicPower(base, exponent)
    if (sign(k) < 0) return this.power(this.inverse(base), this.rational({ n: -k.n, d: k.d }))
    if (isZero(k)) return this.rational(ONE)
    this.bits += bits(k.n) + bits(k.d)
    return ratio(this.#formPower(base.over, k), base.under === UNIT ? UNIT : this.#formPower(base.under, k))
  }

  /** form^k for k > 0. */
  #formPower(form: Form, k: Rational): Form {
    if (form.size === 0) return form
    const term = onlyTerm(form)
    if (term) return this.#termPower(term.c, term.factors, k)
    if (isWhole(k) && (k.n <= MAX_EXPANDED || (this.isClosed(form) && k.n < 2000n))) return powerForm(form, k.n)
    if (isWhole(k)) return this.#long(form, k)
    if (this.signOf(form) === 0) return rationalForm(whole(0))
    if (this.signOf(form) === -1) {
      const turned = this.#formPower(negateForm(form), k)
      return multiplyForms(this.#minusOne(k), turned)
    }
    const { content, form: inner } = primitive(form)
    const whole_ = k.n / k.d
    const outside = multiplyForms(this.#termPower(content, [], k), powerForm(inner, whole_))
    return multiplyForms(outside, generated(this.generators.root(inner), { n: k.n % k.d, d: k.d }))
  }

  #long(form: Form, k: Rational): Form {
    const { content, form: inner } = primitive(form)
    return multiplyForms(this.#termPower(content, [], k), generated(this.generators.opaque(inner), k))
  }

  /** (-1)^k: real for odd roots, i for square roots. */
  #minusOne(k: Rational): Form {
    if (k.d % 2n === 1n) return rationalForm(whole(k.n % 2n === 0n ? 1 : -1))
    if (k.d === 2n) return powerForm(generated(this.generators.constant('i')), ((k.n % 4n) + 4n) % 4n)
    throw new Undefined('an even root of what is negative')
  }

  /** (c·g₁^e₁·…)^k */
  #termPower(c: Rational, factors: readonly Factor[], k: Rational): Form {
    let result = this.#numberPower(absolute(c), k)
    if (sign(c) < 0) result = multiplyForms(this.#minusOne(k), result)
    for (const [g, e] of factors) {
      const exponent = multiply(e, k)
      if (g.kind === 'i') result = multiplyForms(result, this.#imaginaryPower(exponent))
      else if (g.kind === 'prime') {
        const { c: outside, exponent: left } = primePower(g.prime as bigint, exponent)
        result = multiplyForms(result, scaleForm(generated(g, left), outside))
      } else if (g.kind === 'root') result = multiplyForms(result, this.#rootPower(g.form as Form, exponent))
      else if (isWhole(exponent) && (g.kind === 'sine' || g.kind === 'absolute' || g.kind === 'minus-one')) {
        result = multiplyForms(result, powerForm(generated(g), exponent.n))
      } else if (!g.isPositive && k.d % 2n === 0n && e.d === 1n && e.n % 2n === 0n) {
        // √(x²) is |x|
        result = multiplyForms(result, this.#formPower(this.absoluteForm(generated(g)), exponent))
      } else result = multiplyForms(result, generated(g, exponent))
    }
    return result
  }

  #rootPower(form: Form, exponent: Rational): Form {
    const k = exponent.n / exponent.d
    const rest = { n: exponent.n % exponent.d, d: exponent.d }
    return multiplyForms(powerForm(form, k), isZero(rest) ? UNIT : generated(this.generators.root(form), rest))
  }

  #imaginaryPower(exponent: Rational): Form {
    if (isWhole(exponent)) return powerForm(generated(this.generators.constant('i')), exponent.n % 4n)
    if (exponent.d !== 2n || exponent.n !== 1n) throw new Undecided('a root of i')
    const half = generated(this.generators.prime(2n), HALF)
    return multiplyForms(scaleForm(half, HALF), rationalPlusI(this.generators))
  }

  /** c^k for c ≥ 0. */
  #numberPower(c: Rational, k: Rational): Form {
    if (isWhole(k) && powerBits(c, k.n) <= MAX_BITS) return rationalForm(power(c, k.n))
    let result: Form = UNIT
    for (const [part, direction] of [
      [c.n, 1n],
      [c.d, -1n],
    ] as const) {
      for (const [p, e] of factorsOf(part)) {
        const { c: outside, exponent } = primePower(p, multiply(k, whole(e * direction)))
        result = multiplyForms(result, scaleForm(generated(this.generators.prime(p), exponent), outside))
      }
    }
    return result
  }

  absoluteForm(form: Form): Form {
    const known = this.signOf(form)
    if (known !== undefined) return known < 0 ? negateForm(form) : form
    const term = onlyTerm(form)
    if (!term) return generated(this.generators.absolute(leadingSign(form) < 0 ? negateForm(form) : form))
    let result = rationalForm(absolute(term.c))
    for (const [g, e] of term.factors) {
      if (g.kind === 'i') continue
      const isEven = e.d === 1n && e.n % 2n === 0n
      result = multiplyForms(result, g.isPositive || isEven ? generated(g, e) : powerOfAbsolute(this, g, e))
    }
    return result
  }

  /** base^(sum of terms): one factor for each term of the exponent. */
  #symbolicPower(base: Ratio, exponent: Ratio): Ratio {
    const common = rationalRatio({ over: exponent.under, under: UNIT })
    if (!common) return this.#opaquePower(base, exponent)
    let result = this.rational(ONE)
    for (const { c, factors } of exponent.over.values()) {
      const k = divide(c, common)
      if (factors.length === 0) result = multiplyRatios(result, this.power(base, this.rational(k)))
      else if (factors.some(([g]) => g.kind === 'i')) result = multiplyRatios(result, this.#turn(base, k, factors))
      else {
        const one = this.#powerTo(base.over, factors, k)
        const other = base.under === UNIT ? this.rational(ONE) : this.#powerTo(base.under, factors, k)
        result = multiplyRatios(result, multiplyRatios(one, this.inverse(other)))
      }
    }
    return result
  }

  #opaquePower(base: Ratio, exponent: Ratio): Ratio {
    const ln = generated(this.generators.call('ln', [base]))
    const arg = multiplyRatios(exponent, ratio(ln))
    return ratio(generated(this.generators.call('exp', [arg], true)))
  }

  /** e^(i·t) is cos t + i·sin t. */
  #turn(base: Ratio, k: Rational, factors: readonly Factor[]): Ratio {
    const term = onlyTerm(base.over)
    const isE = base.under === UNIT && term?.factors.length === 1 && term.factors[0]?.[0].kind === 'e' && term.c.n === term.c.d
    if (!isE) throw new Undecided('a complex power')
    let angle: Ratio = this.rational(multiply(k, (term.factors[0] as Factor)[1]))
    for (const [g, e] of factors) if (g.kind !== 'i') angle = multiplyRatios(angle, ratio(generated(g, e)))
    const [sin, cos] = ['sin', 'cos'].map((name) => callFunction(this, { op: 'call', name, args: [] }, [angle])) as [Ratio, Ratio]
    return addRatios(cos, multiplyRatios(sin, ratio(generated(this.generators.constant('i')))))
  }

  /** form^(k·product of factors) */
  #powerTo(form: Form, factors: readonly Factor[], k: Rational): Ratio {
    const term = onlyTerm(form)
    if (!term) return this.#generatorTo(this.generators.root(form), factors, k)
    let result = this.rational(ONE)
    if (sign(term.c) < 0) {
      result = ratio(powerForm(generated(this.generators.minusOne(factors)), absolute(k).n))
    }
    const { n, d } = absolute(term.c)
    for (const [part, direction] of [[n, 1n], [d, -1n]] as const) {
      for (const [p, e] of factorsOf(part)) {
        result = multiplyRatios(result, this.#generatorTo(this.generators.prime(p), factors, multiply(k, whole(e * direction))))
      }
    } // biome-ignore format: pairs
    for (const [g, e] of term.factors) {
      const log = g.kind === 'e' ? logarithmIn(factors) : undefined
      const exponent = multiply(k, e)
      result = multiplyRatios(result, log ? this.power(log, this.rational(exponent)) : this.#generatorTo(g, factors, exponent))
    }
    return result
  }

  #generatorTo(g: Generator, factors: readonly Factor[], k: Rational): Ratio {
    const made = generated(this.generators.power(g, factors), absolute(k))
    return sign(k) < 0 ? ratio(UNIT, made) : ratio(made)
  }
}

/** a where the factors are ln a alone. */
const logarithmIn = (factors: readonly Factor[]): Ratio | undefined => {
  const [first, ...rest] = factors
  const isLog = rest.length === 0 && first?.[0].name === 'ln' && first[1].n === 1n && first[1].d === 1n
  return isLog ? first[0].args?.[0] : undefined
}

const rationalPlusI = (generators: Generators): Form => new Map([...UNIT, ...generated(generators.constant('i'))])

/** |g|^e, with its even part as a power of g. */
function powerOfAbsolute(normalizer: Normalizer, g: Factor[0], e: Rational): Form {
  const inner = normalizer.generators.absolute(generated(g))
  const even = (e.n / e.d / 2n) * 2n
  const rest = { n: e.n - even * e.d, d: e.d }
  return multiplyForms(even === 0n ? UNIT : generated(g, whole(even)), isZero(rest) ? UNIT : generated(inner, rest))
}
