/** Sets of real numbers as intervals, whatever they were written as: (a, b), x > a, unions, {x | …}, ℝ ∖ {0}. */
import { order, sameExpression } from './same.ts'
import type { Node } from './tree.ts'
import type { Value } from './value.ts'

/** An end that is not there is infinite. */
export interface End {
  at: Node
  isClosed: boolean
}
export interface Interval {
  low?: End
  high?: End
}
export interface RealSet {
  /** Of the unknown, where it has one. */
  name?: string
  intervals: Interval[]
}

type Of<K extends Value['kind']> = Extract<Value, { kind: K }>

const EVERYTHING: Interval[] = [{}]
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

function interval(low: End | undefined, high: End | undefined): Interval {
  return { ...(low && { low }), ...(high && { high }) }
}

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
    return set && { name: left, intervals: set.intervals }
  }
  if (!signs.every(isInequality) || sides.length > 3) return undefined
  const at = sides.length === 3 ? 1 : sides.findIndex(isUnknown)
  const unknown = sides[at]
  if (!isUnknown(unknown)) return undefined
  const name = JSON.stringify(unknown.node, (_, v) => (typeof v === 'bigint' ? String(v) : v))
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

function fromSign(sign: string, node: Node): Interval[] {
  const end = finite(node, sign === '≤' || sign === '≥')
  if (sign === '≠') return end ? [interval(undefined, end), interval(end, undefined)] : EVERYTHING
  return [sign === '<' || sign === '≤' ? interval(undefined, end) : interval(end, undefined)]
}

/** x < -1 or x > 2; x ≥ 2 and x ≠ 3; with a comma, both where that is possible. */
function fromConditions({ items, joint }: Of<'list'>): RealSet | undefined {
  const sets = items.map((item) =>
    item.kind === 'relation' || item.kind === 'tuple' || item.kind === 'set' ? realSetOf(item) : undefined,
  )
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

function complement(intervals: readonly Interval[]): Interval[] | undefined {
  let result: Interval[] | undefined = EVERYTHING
  for (const { low, high } of intervals) {
    const outside: Interval[] = []
    if (low) outside.push({ high: { at: low.at, isClosed: !low.isClosed } })
    if (high) outside.push({ low: { at: high.at, isClosed: !high.isClosed } })
    result = result && intersect(result, outside)
  }
  return result
}

/** undefined where the ends have no order. */
function intersect(a: readonly Interval[], b: readonly Interval[]): Interval[] | undefined {
  const result: Interval[] = []
  for (const x of a) {
    for (const y of b) {
      const low = tighter(x.low, y.low, 1)
      const high = tighter(x.high, y.high, -1)
      if (low === null || high === null) return undefined
      const filled = isFilled(low, high)
      if (filled) result.push(interval(low, high))
    }
  }
  return result
}

/** The higher of two lower ends, the lower of two upper ends; null where that cannot be told. */
function tighter(a: End | undefined, b: End | undefined, direction: 1 | -1): End | undefined | null {
  if (!a || !b) return a ?? b
  const o = order(a.at, b.at)
  if (o === undefined) return null
  if (o === 0) return { at: a.at, isClosed: a.isClosed && b.isClosed }
  return o === direction ? a : b
}

function isFilled(low: End | undefined, high: End | undefined): boolean {
  if (!low || !high) return true
  const o = order(low.at, high.at)
  return o === undefined || o < 0 || (o === 0 && low.isClosed && high.isClosed)
}

/** Sorted, and joined where they meet; as they are where their ends have no order. */
function normalized(intervals: readonly Interval[]): Interval[] {
  const filled = intervals.filter(({ low, high }) => isFilled(low, high))
  const hasOrder = filled.every((x) => filled.every((y) => !x.low || !y.low || order(x.low.at, y.low.at) !== undefined))
  if (!hasOrder || filled.length > 40) return filled
  const below = (a: Interval, b: Interval) => {
    if (!a.low || !b.low) return (a.low ? 1 : 0) - (b.low ? 1 : 0)
    return order(a.low.at, b.low.at) || Number(b.low.isClosed) - Number(a.low.isClosed)
  }
  const result: Interval[] = []
  for (const next of filled.toSorted(below)) {
    const last = result.at(-1)
    if (last && meets(last, next)) {
      const high = !last.high || !next.high ? undefined : further(last.high, next.high)
      result[result.length - 1] = interval(last.low, high)
    } else result.push(next)
  }
  return result
}

function meets({ high }: Interval, { low }: Interval): boolean {
  if (!high || !low) return true
  const o = order(low.at, high.at)
  return o === -1 || (o === 0 && (low.isClosed || high.isClosed))
}

function further(a: End, b: End): End {
  const o = order(a.at, b.at)
  return o === 0 ? { at: a.at, isClosed: a.isClosed || b.isClosed } : o === 1 ? a : b
}

const sameEnd = (a: End | undefined, b: End | undefined, digits: number): boolean =>
  a === undefined || b === undefined ? a === b : a.isClosed === b.isClosed && sameExpression(a.at, b.at, digits)

export function sameRealSet(a: RealSet, b: RealSet, digits: number): boolean {
  const [x, y] = [normalized(a.intervals), normalized(b.intervals)]
  if (x.length !== y.length) return false
  const left = [...y]
  for (const wanted of x) {
    const at = left.findIndex((other) => sameEnd(wanted.low, other.low, digits) && sameEnd(wanted.high, other.high, digits))
    if (at < 0) return false
    left.splice(at, 1)
  }
  return true
}
