/** Functions in normal form: exact where they have an exact value, else a generator of their own. */
import {
  addForms,
  addRatios,
  type Form,
  generated,
  leadingSign,
  multiplyForms,
  multiplyRatios,
  negateRatio,
  onlyTerm,
  type Ratio,
  ratio,
  constant as rationalForm,
  rationalRatio,
  scaleForm,
  UNIT,
} from './forms.ts'
import { sumOfRoots } from './generators.ts'
import { MAX_BITS, spend, Undecided, Undefined } from './limits.ts'
import type { Normalizer } from './normal.ts'
import {
  add,
  bits,
  compare,
  divide,
  factors as factorsOf,
  floor,
  fraction,
  gcd,
  isWhole,
  isZero,
  multiply,
  ONE,
  type Rational,
  sign,
  whole,
} from './rational.ts'
import type { Node } from './tree.ts'

type Call = Extract<Node, { args: Node[] }>
type Handler = (n: Normalizer, args: readonly Ratio[], name: string) => Ratio

const TRIGONOMETRIC = new Set(['sin', 'cos', 'tan', 'cot', 'sec', 'csc', 'radians'])

/** @throws Undefined, Undecided */
export function callFunction(n: Normalizer, node: Call, given?: readonly Ratio[]): Ratio {
  if (node.op === 'sum' || node.op === 'product') return range(n, node)
  const before = n.inAngle
  n.inAngle = TRIGONOMETRIC.has(node.name)
  const args = given ?? node.args.map((arg) => n.ratio(arg))
  n.inAngle = before
  const handler = Object.hasOwn(HANDLERS, node.name) ? HANDLERS[node.name] : undefined
  if (!handler) throw new Undecided(`${node.name} is not computed`)
  return handler(n, args, node.name)
}

const made = (n: Normalizer, name: string, args: readonly Ratio[], isPositive = false): Ratio =>
  ratio(generated(n.generators.call(name, args, isPositive)))

const over = (a: Ratio, b: Ratio, n: Normalizer): Ratio => multiplyRatios(a, n.inverse(b))

/** Σ and ∏ over whole numbers, written out; with an unknown end they are generators of their own. */
function range(n: Normalizer, node: Call): Ratio {
  const [from, to, body] = node.args as [Node, Node, Node]
  const [low, high] = [rationalRatio(n.ratio(from)), rationalRatio(n.ratio(to))]
  if (!low || !high || !isWhole(low) || !isWhole(high)) throw new Undecided('a sum without ends')
  if (high.n < low.n - 1n) throw new Undefined('a sum that ends before it starts')
  if (high.n - low.n > 2000n) throw new Undecided('a sum is too long')
  let result = n.rational(node.op === 'sum' ? whole(0) : ONE)
  for (let k = low.n; k <= high.n; k++) {
    const term = n.within(node.name, whole(k)).ratio(body)
    result = node.op === 'sum' ? addRatios(result, term) : multiplyRatios(result, term)
  }
  n.bits += bits(high.n) * 4
  return result
}

/** The argument and a sign, so that f(-x) and f(x) share a generator. */
function unsigned(arg: Ratio): { arg: Ratio; sign: 1 | -1 } {
  const s = (leadingSign(arg.over) * leadingSign(arg.under)) as 1 | -1
  return s < 0 ? { arg: negateRatio(arg), sign: -1 } : { arg, sign: 1 }
}

/** sin(k·π/12) for k from 0 to 6, as sums of roots over 4. */
const SINES: readonly (readonly [number, bigint[]][])[] = [
  [],
  [[1, [2n, 3n]], [-1, [2n]]],
  [[2, []]],
  [[2, [2n]]],
  [[2, [3n]]],
  [[1, [2n, 3n]], [1, [2n]]],
  [[4, []]],
] // biome-ignore format: a table

/** k for an angle of k·π/12. */
function twelfths(arg: Ratio): number | undefined {
  if (arg.over.size === 0) return 0
  const term = arg.under === UNIT ? onlyTerm(arg.over) : undefined
  if (term?.factors.length !== 1 || term.factors[0]?.[0].kind !== 'pi' || term.factors[0][1].n !== 1n) return undefined
  const k = multiply(term.c, whole(12))
  return isWhole(k) && term.factors[0][1].d === 1n ? Number(((k.n % 24n) + 24n) % 24n) : undefined
}

function sine(n: Normalizer, args: readonly Ratio[]): Ratio {
  const k = twelfths(args[0] as Ratio)
  if (k !== undefined) {
    const folded = k % 12 > 6 ? 12 - (k % 12) : k % 12
    const terms = (SINES[folded] ?? []).map(([c, primes]): [Rational, bigint[]] => [
      fraction(BigInt(k >= 12 ? -c : c), 4n),
      primes,
    ])
    return ratio(sumOfRoots(terms, n.generators))
  }
  const { arg, sign: s } = unsigned(args[0] as Ratio)
  return ratio(scaleForm(generated(n.generators.sine(arg)), whole(s)))
}

function cosine(n: Normalizer, args: readonly Ratio[]): Ratio {
  const k = twelfths(args[0] as Ratio)
  if (k !== undefined) {
    const pi = generated(n.generators.constant('pi'))
    return sine(n, [ratio(scaleForm(pi, fraction(BigInt(k + 6), 12n)))])
  }
  return ratio(generated(n.generators.call('cos', [unsigned(args[0] as Ratio).arg])))
}

function logarithm(n: Normalizer, args: readonly Ratio[]): Ratio {
  const arg = args[0] as Ratio
  if (arg.over.size === 0) throw new Undefined('logarithm of zero')
  const value = rationalRatio(arg)
  if (value) {
    if (sign(value) < 0) throw new Undefined('logarithm of what is negative')
    return ratio(addForms(logOfWhole(n, value.n), scaleForm(logOfWhole(n, value.d), whole(-1))))
  }
  const term = arg.under === UNIT ? onlyTerm(arg.over) : undefined
  if (!term || sign(term.c) < 0 || !term.factors.every(([g]) => g.isPositive)) {
    if (n.signOf(arg.over) === -1 && arg.under === UNIT) throw new Undefined('logarithm of what is negative')
    return made(n, 'ln', [arg])
  }
  let result = logarithm(n, [n.rational(term.c)]).over
  for (const [g, e] of term.factors) {
    const inner =
      g.kind === 'e' ? UNIT : g.kind === 'power' && g.base?.kind === 'e' ? exponentOf(g.exponent ?? []) : lnOf(n, generated(g))
    result = addForms(result, scaleForm(inner, e))
  }
  return ratio(result)
}

const exponentOf = (factors: readonly (readonly [Parameters<typeof generated>[0], Rational])[]): Form =>
  factors.reduce((form: Form, [g, e]) => multiplyForms(form, generated(g, e)), UNIT)

const lnOf = (n: Normalizer, form: Form): Form => generated(n.generators.call('ln', [ratio(form)]))

function logOfWhole(n: Normalizer, k: bigint): Form {
  let result: Form = new Map()
  for (const [p, e] of factorsOf(k)) result = addForms(result, scaleForm(lnOf(n, rationalForm(whole(p))), whole(e)))
  return result
}

function absoluteValue(n: Normalizer, args: readonly Ratio[]): Ratio {
  const arg = args[0] as Ratio
  const parts = [arg.over, arg.under].map((form) => {
    const { re, im } = complexParts(form)
    if (im.size === 0) return n.absoluteForm(form)
    const squared = addForms(multiplyForms(re, re), multiplyForms(im, im))
    return n.power(ratio(squared), n.rational({ n: 1n, d: 2n })).over
  })
  return ratio(parts[0] as Form, parts[1] as Form)
}

function complexParts(form: Form): { re: Form; im: Form } {
  const parts = { re: new Map(), im: new Map() } as { re: Map<string, never>; im: Map<string, never> }
  let [re, im]: [Form, Form] = [parts.re, parts.im]
  for (const { c, factors } of form.values()) {
    const rest = factors.filter(([g]) => g.kind !== 'i')
    const one = rest.reduce((f: Form, [g, e]) => multiplyForms(f, generated(g, e)), rationalForm(c))
    if (rest.length === factors.length) re = addForms(re, one)
    else im = addForms(im, one)
  }
  return { re, im }
}

function conjugate(n: Normalizer, args: readonly Ratio[]): Ratio {
  const arg = args[0] as Ratio
  const turned = [arg.over, arg.under].map((form) => {
    const { re, im } = complexParts(form)
    return addForms(re, scaleForm(multiplyForms(im, generated(n.generators.constant('i'))), whole(-1)))
  })
  return ratio(turned[0] as Form, turned[1] as Form)
}

/** Arguments as numbers, where all of them are. */
function rationals(args: readonly Ratio[]): Rational[] | undefined {
  const values = args.map(rationalRatio)
  return values.every((v) => v !== undefined) ? (values as Rational[]) : undefined
}

const unknownsIn = (args: readonly Ratio[]): boolean =>
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

const extreme =
  (direction: 1 | -1): Handler =>
  (n, args, name) => {
    if (unknownsIn(args)) return made(n, name, args)
    let best = args[0] as Ratio
    for (const arg of args.slice(1)) {
      const difference = addRatios(arg, negateRatio(best))
      const value = rationalRatio(difference)
      const s = value ? sign(value) : (n.signOf(difference.over) ?? 0) * (n.signOf(difference.under) ?? 0)
      if (s === direction) best = arg
    }
    return best
  }

const inverseTrigonometric: Handler = (n, args, name) => {
  const value = rationalRatio(args[0] as Ratio)
  if (name !== 'arctan' && value && compare({ n: value.n < 0n ? -value.n : value.n, d: value.d }, ONE) > 0) {
    throw new Undefined(`${name} of what is above 1`)
  }
  if (name === 'arccos' || name === 'arccot') {
    const quarter = ratio(scaleForm(generated(n.generators.constant('pi')), { n: 1n, d: 2n }))
    return addRatios(quarter, negateRatio(inverseTrigonometric(n, args, name === 'arccos' ? 'arcsin' : 'arctan')))
  }
  if (value && isZero(value)) return n.rational(whole(0))
  const { arg, sign: s } = unsigned(args[0] as Ratio)
  return multiplyRatios(made(n, name, [arg]), n.rational(whole(s)))
}

/** Hyperbolic functions through exponentials. */
const hyperbolic: Handler = (n, args, name) => {
  const e = ratio(generated(n.generators.constant('e')))
  const [up, down] = [n.power(e, args[0] as Ratio), n.power(e, negateRatio(args[0] as Ratio))]
  const [sinh2, cosh2] = [addRatios(up, negateRatio(down)), addRatios(up, down)]
  const half = n.rational({ n: 1n, d: 2n })
  return name === 'tanh' ? over(sinh2, cosh2, n) : multiplyRatios(name === 'sinh' ? sinh2 : cosh2, half)
}

const HANDLERS: Record<string, Handler> = {
  sin: sine,
  cos: cosine,
  tan: (n, args) => over(sine(n, args), cosine(n, args), n),
  cot: (n, args) => over(cosine(n, args), sine(n, args), n),
  sec: (n, args) => n.inverse(cosine(n, args)),
  csc: (n, args) => n.inverse(sine(n, args)),
  sinh: hyperbolic,
  cosh: hyperbolic,
  tanh: hyperbolic,
  arcsin: inverseTrigonometric,
  arccos: inverseTrigonometric,
  arctan: inverseTrigonometric,
  arccot: inverseTrigonometric,
  ln: logarithm,
  lg: (n, args) => over(logarithm(n, args), logarithm(n, [n.rational(whole(10))]), n),
  log: (n, args) => over(logarithm(n, args), logarithm(n, [args[1] ?? n.rational(whole(10))]), n),
  exp: (n, args) => n.power(ratio(generated(n.generators.constant('e'))), args[0] as Ratio),
  abs: absoluteValue,
  radians: (_, args) => args[0] as Ratio,
  overline: conjugate,
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
  max: extreme(1),
  min: extreme(-1),
}
