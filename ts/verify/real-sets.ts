/** Sets of real numbers as intervals, whatever they were written as: (a, b), x > a, unions, {x | …}, ℝ ∖ {0}. */

import { type Sign, solve } from './inequalities.ts'
import { complement, type End, EVERYTHING, type Interval, intersect, interval } from './intervals.ts'
import { Undecided } from './limits.ts'
import { order } from './same.ts'
import { type Node, number, symbolsOf } from './tree.ts'
import type { Value } from './value.ts'

export interface RealSet {
  /** Of the unknown, where it has one. */
  name?: string
  intervals: Interval[]
}

type Of<K extends Value['kind']> = Extract<Value, { kind: K }>

const FLIP: Record<string, string> = { '<': '>', '>': '<', '≤': '≥', '≥': '≤', '≠': '≠' }
export const isInequality = (sign: string): boolean => Object.hasOwn(FLIP, sign)

/** undefined where the value is no set of real numbers, or its ends have no order. */
export function realSetOf(value: Value): RealSet | undefined {
  if (value.kind === 'tuple') return fromTuple(value)
  if (value.kind === 'named-set')
    return value.name === 'R' ? { intervals: EVERYTHING } : value.name === 'emptyset' ? { intervals: [] } : undefined
  if (value.kind === 'builder') {
    const set = realSetOf(value.condition)
    return set && { intervals: set.intervals }
  }
  if (value.kind === 'relation') return fromRelation(value)
  if (value.kind === 'list' && value.isBraced) return fromPoints(value)
  if (value.kind === 'list') return fromConditions(value)
  if (value.kind === 'set') return fromOperation(value)
  return undefined
}

const finite = (at: Node, isClosed: boolean): End | undefined =>
  order(at, INFINITY) === 0 || order(at, MINUS_INFINITY) === 0 ? undefined : { at, isClosed }
const INFINITY: Node = { op: 'constant', name: 'infinity' }
const MINUS_INFINITY: Node = { op: 'multiply', name: '', args: [{ op: 'number', value: { n: -1n, d: 1n } }, INFINITY] }

function fromTuple({ open, close, items }: Of<'tuple'>): RealSet | undefined {
  const [low, high] = items
  if (items.length !== 2 || low?.kind !== 'expression' || high?.kind !== 'expression' || open === '⟨') return undefined
  // From 3 to 1 is a point, not an interval.
  if (order(low.node, high.node) === 1) return undefined
  return { intervals: [interval(finite(low.node, open === '['), finite(high.node, close === ']'))] }
}

/** {1, 2} */
function fromPoints({ items }: Of<'list'>): RealSet | undefined {
  if (!items.every((item) => item.kind === 'expression')) return undefined
  return {
    intervals: (items as Of<'expression'>[]).map(({ node }) => ({
      low: { at: node, isClosed: true },
      high: { at: node, isClosed: true },
    })),
  }
}

/** An expression of unknowns without a number: x, f(x), AB. */
export const isUnknown = (v: Value | undefined): v is Of<'expression'> =>
  v?.kind === 'expression' && /^[^0-9]*$/.test(shape(v.node)) && v.node.op !== 'constant' && v.node.op !== 'number'

const shape = (node: Node): string =>
  node.op === 'number'
    ? '0'
    : node.op === 'constant'
      ? 'c'
      : node.op === 'symbol'
        ? 'x'
        : 'args' in node
          ? node.args.map(shape).join('')
          : '0'

function fromRelation({ sides, signs, left }: Of<'relation'>): RealSet | undefined {
  if (signs.length === 1 && signs[0] === '∈') {
    const set = realSetOf(sides[1] as Value)
    const [member] = sides
    return set && { name: member?.kind === 'expression' ? nameOf(member.node) : left, intervals: set.intervals }
  }
  if (!signs.every(isInequality) || sides.length > 3) return undefined
  const solved = fromInequalities(sides, signs)
  if (solved) return solved
  const at = sides.length === 3 ? 1 : sides.findIndex(isUnknown)
  const unknown = sides[at]
  if (!isUnknown(unknown)) return undefined
  const name = nameOf(unknown.node)
  let intervals = EVERYTHING
  for (const [i, sign] of signs.entries()) {
    // The sign as the unknown sees it: 3 < x is x > 3.
    const seen = i === at ? sign : (FLIP[sign] as string)
    const other = sides[i === at ? at + 1 : at - 1]
    if (other?.kind !== 'expression') return undefined
    const both = intersect(intervals, fromSign(seen, other.node))
    if (!both) return undefined
    intervals = both
  }
  return { name, intervals }
}

/**
 * x² < 4, 1 ≤ |x| < 3: of one unknown that does not stand alone. @throws Undecided where it is not solved, which is no
 * reason to take its sides for names: ln x > 0 is not (0, ∞)
 */
function fromInequalities(sides: readonly Value[], signs: readonly string[]): RealSet | undefined {
  if (!sides.every((side) => side.kind === 'expression')) return undefined
  const nodes = (sides as Of<'expression'>[]).map(({ node }) => node)
  const names = new Set(nodes.flatMap((node) => [...symbolsOf(node)]))
  const [name] = names
  const bare = nodes.filter((node) => node.op === 'symbol')
  const isAlone = bare.length === 1 && nodes.filter((node) => symbolsOf(node).size > 0).length === 1
  if (names.size !== 1 || name === undefined || isAlone || !IS_REAL.test(name)) return undefined
  let intervals: Interval[] | undefined = EVERYTHING
  for (const [i, sign] of signs.entries()) {
    const next = solve(nodes[i] as Node, sign as Sign, nodes[i + 1] as Node, name)
    intervals = intervals && next && intersect(intervals, next)
  }
  if (!intervals) throw new Undecided('an inequality is not solved')
  return { name: nameOf({ op: 'symbol', name }), intervals }
}

/** AB is a length, and z is by habit a complex number. */
const IS_REAL = /^(?!z|w|\\omega)(?:[a-zA-Z]|\\[a-zA-Z]+)(?:_\w+)?$/
const nameOf = (node: Node): string => JSON.stringify(node, (_, v) => (typeof v === 'bigint' ? String(v) : v))

function fromSign(sign: string, node: Node): Interval[] {
  const end = finite(node, sign === '≤' || sign === '≥')
  if (sign === '≠') return end ? [interval(undefined, end), interval(end, undefined)] : EVERYTHING
  return [sign === '<' || sign === '≤' ? interval(undefined, end) : interval(end, undefined)]
}

/** x < -1 or x > 2; x ≥ 2 and x ≠ 3; with a comma, both where that is possible. */
function fromConditions(list: Of<'list'>): RealSet | undefined {
  const { items, joint } = list
  const whole = items.find(isOfWholes)
  if (whole) return wholesOf(whole, { ...list, items: items.filter((item) => item !== whole) })
  const isCondition = (v: Value) => /^(?:relation|tuple|set)$/.test(v.kind) || (v.kind === 'list' && !v.isBraced)
  const sets = items.map((item) => (isCondition(item) ? realSetOf(item) : undefined))
  if (!sets.every((set) => set !== undefined) || sets.length === 0) return undefined
  const names = new Set(sets.map((set) => set.name).filter((name) => name !== undefined))
  if (names.size > 1) return undefined
  const [name] = names
  const named = (intervals: Interval[]): RealSet => ({ ...(name !== undefined && { name }), intervals })
  // A list of points (1, 2), (3, 4) is no union.
  if (name === undefined && joint !== 'or') return undefined
  const isHole = (item: Value) => item.kind === 'relation' && item.signs.includes('≠')
  let both: Interval[] | undefined = EVERYTHING
  for (const { intervals } of sets) both = both && intersect(both, intervals)
  const either = sets.flatMap(({ intervals }) => intervals)
  if (joint === 'or') return items.some(isHole) ? undefined : named(either)
  if (both && (both.length > 0 || joint === 'and')) return named(both)
  return items.some(isHole) ? undefined : named(either)
}

/** x ∈ ℤ, x ∈ ℕ */
const isOfWholes = (v: Value): v is Of<'relation'> =>
  v.kind === 'relation' && v.signs[0] === '∈' && v.sides[1]?.kind === 'named-set' && /^[ZN]$/.test(v.sides[1].name)

/** The whole numbers that meet the conditions, one by one. @throws Undecided where they are too many, or 0 may be natural or not */
function wholesOf({ sides }: Of<'relation'>, conditions: Of<'list'>): RealSet | undefined {
  const [member, set] = sides as [Value, Of<'named-set'>]
  const real = realSetOf(conditions.items.length === 1 ? (conditions.items[0] as Value) : conditions)
  const name = member.kind === 'expression' ? nameOf(member.node) : undefined
  if (!real || name === undefined || (real.name ?? name) !== name) return undefined
  const natural = set.name === 'N' ? intersect(real.intervals, [{ low: { at: number(0), isClosed: true } }]) : real.intervals
  if (!natural) return undefined
  const found = new Set<number>()
  for (const { low, high } of natural) {
    if (!low || !high) throw new Undecided('there are too many whole numbers')
    const above = (k: number, end: End, isEnough: boolean) => (order(number(k), end.at) ?? -1) >= (isEnough ? 0 : 1)
    const past = firstWhole((k) => above(k, high, !high.isClosed))
    for (let k = firstWhole((k) => above(k, low, low.isClosed)); k < past; k++) found.add(k)
  }
  if (set.name === 'N' && found.has(0)) throw new Undecided('0 is a natural number to some')
  const points = [...found].map((k): Interval => {
    const end = { at: number(k), isClosed: true }
    return interval(end, end)
  })
  return { name, intervals: points }
}

const MAX_WHOLE = 100

/** The first whole number for which a test holds that holds for all behind it. @throws Undecided where it is a large one */
function firstWhole(test: (k: number) => boolean): number {
  let [low, high] = [-MAX_WHOLE, MAX_WHOLE]
  if (test(low) || !test(high)) throw new Undecided('the whole numbers are too large')
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (test(middle)) high = middle
    else low = middle
  }
  return high
}

function fromOperation({ operator, items }: Of<'set'>): RealSet | undefined {
  const sets = items.map(realSetOf)
  if (!sets.every((set) => set !== undefined)) return undefined
  if (operator === '∪') return { intervals: sets.flatMap(({ intervals }) => intervals) }
  let result: Interval[] | undefined = sets[0]?.intervals
  for (const { intervals } of sets.slice(1)) {
    const other = operator === '∩' ? intervals : complement(intervals)
    result = result && other && intersect(result, other)
  }
  return result && { intervals: result }
}
