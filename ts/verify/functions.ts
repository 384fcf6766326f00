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
import { Undecided, Undefined } from './limits.ts'
import type { Normalizer } from './normal.ts'
import {
  bits,
  compare,
  factors as factorsOf,
  fraction,
  isWhole,
  isZero,
  multiply,
  ONE,
  type Rational,
  sign,
  whole,
} from './rational.ts'
import type { Node } from './tree.ts'
import { type Handler, made, over, unknownsIn, WHOLE_FUNCTIONS } from './whole-functions.ts'

type Call = Extract<Node, { args: Node[] }>

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
  ...WHOLE_FUNCTIONS,
  max: extreme(1),
  min: extreme(-1),
}
