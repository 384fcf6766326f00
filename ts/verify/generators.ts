/** The generators of one comparison: what is the same gets the same one. */
import {
  addForms,
  type Factor,
  type Form,
  type Generator,
  generated,
  multiplyForms,
  NOTHING,
  negateForm,
  type Ratio,
  scaleForm,
  textOf,
  UNIT,
} from './forms.ts'
import { type Rational, whole } from './rational.ts'

const textOfRatio = (r: Ratio) => `(${textOf(r.over)})/(${textOf(r.under)})`

export class Generators {
  readonly #known = new Map<string, Generator>()
  readonly #factorials: bigint[] = []

  #make(key: string, rest: Omit<Generator, 'id'>): Generator {
    const known = this.#known.get(key)
    if (known) return known
    const generator = { id: this.#known.size, ...rest }
    this.#known.set(key, generator)
    return generator
  }

  symbol(name: string): Generator {
    return this.#make(`symbol ${name}`, { kind: 'symbol', name, isPositive: false })
  }

  constant(name: 'pi' | 'e' | 'i'): Generator {
    return this.#make(name, { kind: name, name, isPositive: name !== 'i' })
  }

  prime(prime: bigint): Generator {
    return this.#make(`prime ${prime}`, { kind: 'prime', name: String(prime), isPositive: true, prime })
  }

  /** A sum of several terms under a root. */
  root(form: Form): Generator {
    return this.#make(`root ${textOf(form)}`, { kind: 'root', name: '', isPositive: true, form })
  }

  /** A sum of several terms to a power that would be too long when multiplied out. */
  opaque(form: Form): Generator {
    return this.#make(`opaque ${textOf(form)}`, {
      kind: 'function',
      name: 'id',
      isPositive: false,
      args: [{ over: form, under: UNIT }],
    })
  }

  absolute(form: Form): Generator {
    const squared = multiplyForms(form, form)
    return this.#make(`abs ${textOf(form)}`, {
      kind: 'absolute',
      name: 'abs',
      isPositive: true,
      form: squared,
      args: [{ over: form, under: UNIT }],
    })
  }

  /** base^(product of factors) */
  power(base: Generator, exponent: readonly Factor[]): Generator {
    const key = exponent.map(([g, e]) => `${g.id}^${e.n}/${e.d}`).join(' ')
    return this.#make(`power ${base.id} ${key}`, { kind: 'power', name: '', isPositive: base.isPositive, base, exponent })
  }

  minusOne(exponent: readonly Factor[]): Generator {
    const key = exponent.map(([g, e]) => `${g.id}^${e.n}/${e.d}`).join(' ')
    return this.#make(`minus one ${key}`, { kind: 'minus-one', name: '', isPositive: false, exponent })
  }

  call(name: string, args: readonly Ratio[], isPositive = false): Generator {
    return this.#make(`${name} ${args.map(textOfRatio).join(', ')}`, { kind: 'function', name, isPositive, args })
  }

  /** A number whose factorial is known already and near to that of k, or k. */
  nearFactorial(k: bigint): bigint {
    const near = this.#factorials.find((known) => known - k < 600n && k - known < 600n)
    if (near === undefined) this.#factorials.push(k)
    return near ?? k
  }

  sine(arg: Ratio): Generator {
    const cosine = generated(this.call('cos', [arg]), whole(2))
    const form = addForms(UNIT, negateForm(cosine))
    return this.#make(`sin ${textOfRatio(arg)}`, { kind: 'sine', name: 'sin', isPositive: false, args: [arg], form })
  }
}

/** √n as a form: only for small n whose prime factors are known. */
function squareRootOf(primes: readonly bigint[], generators: Generators): Form {
  return primes.reduce((form: Form, p) => multiplyForms(form, generated(generators.prime(p), { n: 1n, d: 2n })), UNIT)
}

/** Σ c·√(product of primes) */
export function sumOfRoots(terms: readonly [c: Rational, primes: bigint[]][], generators: Generators): Form {
  return terms.reduce((form: Form, [c, primes]) => addForms(form, scaleForm(squareRootOf(primes, generators), c)), NOTHING)
}
