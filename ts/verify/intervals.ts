/** Intervals of real numbers, whose ends are expressions without unknowns: intersected, joined, compared. */
import { order, sameExpression } from './same.ts'
import type { Node } from './tree.ts'

/** An end that is not there is infinite. */
export interface End {
  at: Node
  isClosed: boolean
}
export interface Interval {
  low?: End
  high?: End
}

export const EVERYTHING: Interval[] = [{}]

export function interval(low: End | undefined, high: End | undefined): Interval {
  return { ...(low && { low }), ...(high && { high }) }
}

export function complement(intervals: readonly Interval[]): Interval[] | undefined {
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
export function intersect(a: readonly Interval[], b: readonly Interval[]): Interval[] | undefined {
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

export function sameIntervals(a: readonly Interval[], b: readonly Interval[], digits: number): boolean {
  const [x, y] = [normalized(a), normalized(b)]
  if (x.length !== y.length) return false
  const left = [...y]
  for (const wanted of x) {
    const at = left.findIndex((other) => sameEnd(wanted.low, other.low, digits) && sameEnd(wanted.high, other.high, digits))
    if (at < 0) return false
    left.splice(at, 1)
  }
  return true
}
