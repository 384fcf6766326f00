/** Functions of whole numbers: factorials, choices, divisors, remainders, and what rounds to one. */
import { addRatios, generated, multiplyRatios, type Ratio, ratio, rationalRatio } from './forms.ts'
import { MAX_BITS, spend, Undecided, Undefined } from './limits.ts'
import type { Normalizer } from './normal.ts'
import { add, bits, divide, floor, fraction, gcd, isWhole, ONE, type Rational, whole } from './rational.ts'

export type Handler = (n: Normalizer, args: readonly Ratio[], name: string) => Ratio

/** A generator of its own, for what has no simpler form. */
export const made = (n: Normalizer, name: string, args: readonly Ratio[], isPositive = false): Ratio =>
  ratio(generated(n.generators.call(name, args, isPositive)))

export const over = (a: Ratio, b: Ratio, n: Normalizer): Ratio => multiplyRatios(a, n.inverse(b))

/** Arguments as numbers, where all of them are. */
function rationals(args: readonly Ratio[]): Rational[] | undefined {
  const values = args.map(rationalRatio)
  return values.every((v) => v !== undefined) ? (values as Rational[]) : undefined
}

export const unknownsIn = (args: readonly Ratio[]): boolean =>
  args.some(({ over: f, under: g }) =>
    [...f.values(), ...g.values()].some(({ factors }) => factors.some(([x]) => x.kind === 'symbol' || x.kind === 'power')),
  )

/** A function of whole numbers; a generator where they are unknown. */
const ofWholes =
  (compute: (values: bigint[], n: Normalizer) => Ratio): Handler =>
  (n, args, name) => {
    const values = rationals(args)
    if (!values) {
      if (unknownsIn(args)) return made(n, name, args)
      throw new Undefined(`${name} of what is no whole number`)
    }
    if (!values.every(isWhole)) throw new Undefined(`${name} of what is no whole number`)
    return compute(
      values.map((v) => v.n),
      n,
    )
  }

const rounded =
  (toWhole: (value: Rational) => bigint): Handler =>
  (n, args, name) => {
    const value = rationalRatio(args[0] as Ratio)
    if (value) return n.rational(whole(toWhole(value)))
    if (unknownsIn(args)) return made(n, name, args)
    const { m, e } = n.evaluator().real(args[0] as Ratio)
    const exact = e >= 0 ? { n: m << BigInt(Math.min(e, MAX_BITS)), d: 1n } : fraction(m, 1n << BigInt(-e))
    const [below, above] = [-1n, 1n].map((s) => toWhole(add(exact, fraction(s, 1n << 200n)))) as [bigint, bigint]
    if (below !== above) throw new Undecided('too near to a whole number')
    return n.rational(whole(below))
  }

const ceiling = (v: Rational) => -floor({ n: -v.n, d: v.d })

/** Bits of n!, about. */
const factorialBits = (k: number) => (k < 2 ? 1 : k * (Math.log2(k) - 1.44) + 16)

/** from·(from+1)·…·to */
function productOf(from: bigint, to: bigint): bigint {
  let result = 1n
  for (let k = from; k <= to; k++) {
    spend(10 + Math.ceil((Number(to - from) * 64) / 1000))
    result *= k
  }
  return result
}

const factorial: Handler = ofWholes(([k], n) => factorialOf(n, k as bigint))

function factorialOf(n: Normalizer, k: bigint): Ratio {
  if (k < 0n) throw new Undefined('factorial of what is negative')
  if (k < 10_000n && factorialBits(Number(k)) < MAX_BITS) return n.rational(whole(productOf(1n, k)))
  // Two that are near to each other share a generator and differ by a known factor.
  const base = n.generators.nearFactorial(k)
  n.bits += bits(k)
  const shared = made(n, 'factorial', [n.rational(whole(base))], true)
  if (k >= base) return multiplyRatios(shared, n.rational(whole(productOf(base + 1n, k))))
  return multiplyRatios(shared, n.rational(fraction(1n, productOf(k + 1n, base))))
}

const binomial: Handler = (n, args, name) => {
  const [above, below] = args.map(rationalRatio)
  if (below && isWhole(below) && below.n >= 0n && below.n <= 8n && (!above || !isWhole(above)))
    return fallingOver(n, args[0] as Ratio, below.n)
  return ofWholes(([a, b]) => {
    const [total, chosen] = [a as bigint, b as bigint]
    if (total < 0n) throw new Undefined('a choice from fewer than nothing')
    if (chosen < 0n || chosen > total) return n.rational(whole(0))
    const few = chosen * 2n > total ? total - chosen : chosen
    if (few > 5000n || Number(few) * bits(total) > 3 * MAX_BITS) {
      return over(factorialOf(n, total), multiplyRatios(factorialOf(n, few), factorialOf(n, total - few)), n)
    }
    return n.rational(fraction(productOf(total - few + 1n, total), productOf(1n, few)))
  })(n, args, name)
}

/** n(n-1)…(n-k+1)/k! for an unknown n. */
function fallingOver(n: Normalizer, from: Ratio, k: bigint): Ratio {
  let result = n.rational(ONE)
  for (let j = 0n; j < k; j++) result = multiplyRatios(result, addRatios(from, n.rational(whole(-j))))
  return multiplyRatios(result, n.rational(divide(ONE, whole(productOf(1n, k)))))
}

export const WHOLE_FUNCTIONS: Record<string, Handler> = {
  floor: rounded(floor),
  ceil: rounded(ceiling),
  factorial,
  'double-factorial': ofWholes(([k], n) => {
    const x = k as bigint
    if (x < 0n || x > 2000n) throw new Undecided('a double factorial is too large')
    let result = 1n
    for (let j = x; j > 1n; j -= 2n) result *= j
    return n.rational(whole(result))
  }),
  binomial,
  permutations: ofWholes(([a, b], n) => {
    const [total, chosen] = [a as bigint, b as bigint]
    if (total < 0n || chosen < 0n || chosen > 5000n) throw new Undecided('too many permutations')
    return n.rational(whole(chosen > total ? 0n : productOf(total - chosen + 1n, total)))
  }),
  gcd: ofWholes((values, n) => n.rational(whole(values.reduce(gcd)))),
  lcm: ofWholes((values, n) =>
    n.rational(whole(values.reduce((a, b) => (a === 0n || b === 0n ? 0n : ((a < 0n ? -a : a) / gcd(a, b)) * (b < 0n ? -b : b))))),
  ),
  mod: ofWholes(([a, b], n) => {
    const modulus = b as bigint
    if (modulus === 0n) throw new Undefined('remainder of a division by zero')
    return n.rational(whole((((a as bigint) % modulus) + modulus) % modulus))
  }),
}
