/** Equality of two parsed answers. `gold` and `pred` are not interchangeable: see relations and sets. */
import type { Expression } from './expression.ts'
import { constant, type Equation, proportion, sameExpression } from './numeric.ts'
import type { Value } from './value.ts'

export interface CompareOptions {
  /** Decimal places numbers are rounded to. */
  precision: number
  /** Names of unknowns count, and a point is no set. */
  strict: boolean
  /** A relation as prediction may stand for a set as gold: x ≥ 1 for [1, ∞). The other way round always holds. */
  allowSetRelation: boolean
}

type Of<K extends Value['kind']> = Extract<Value, { kind: K }>
/** How two answers were found equal. */
export type Method = 'numeric' | 'symbolic' | 'list' | 'tuple' | 'interval' | 'relation' | 'matrix' | 'words'

export function compareValues(gold: Value, pred: Value, o: CompareOptions): Method | null {
  if (gold.kind === 'expression' && pred.kind === 'expression') return compareExpressions(gold, pred, o)
  if (gold.kind === 'words' || pred.kind === 'words') {
    return gold.kind === 'words' && pred.kind === 'words' && gold.text === pred.text ? 'words' : null
  }
  if (gold.kind === 'relation' || pred.kind === 'relation') return compareRelations(gold, pred, o)
  if (gold.kind === 'matrix' && pred.kind === 'matrix') return compareMatrices(gold, pred, o)
  if (gold.kind === 'union' && pred.kind === 'union') return sameMultiset(gold.items, pred.items, o) ? 'interval' : null
  if (gold.kind === 'tuple' && pred.kind === 'tuple') return compareTuples(gold, pred, o)
  return compareLists(gold, pred, o)
}

function compareExpressions(gold: Of<'expression'>, pred: Of<'expression'>, o: CompareOptions): Method | null {
  const method = gold.symbols.length + pred.symbols.length === 0 ? 'numeric' : 'symbolic'
  if (sameExpression(gold, pred, o.precision)) return method
  if (!o.strict && sameExpression(gold, renamed(pred, gold.symbols), o.precision)) return method
  // 28 % may be meant as 28 or as 0.28.
  if (gold.percent !== pred.percent) {
    const [percent, other] = gold.percent ? [gold, pred] : [pred, gold]
    if (sameExpression({ ...percent, code: `100*(${percent.code})` }, other, o.precision)) return method
  }
  return null
}

/** With names for its unknowns that are those of `symbols`, by position. */
function renamed<T extends Expression>(e: T, symbols: readonly string[]): T {
  if (e.symbols.length !== symbols.length) return e
  const names = new Map(e.symbols.map((name, i) => [name, symbols[i] as string]))
  return { ...e, symbols, code: e.code.replace(/\bv_\w+/g, (name) => names.get(name) ?? name) }
}

function compareMatrices(gold: Of<'matrix'>, pred: Of<'matrix'>, o: CompareOptions): Method | null {
  const same = sameSequence(gold.rows.flat(), pred.rows.flat(), o) && gold.rows.length === pred.rows.length
  return same ? 'matrix' : null
}

function compareTuples(gold: Of<'tuple'>, pred: Of<'tuple'>, o: CompareOptions): Method | null {
  if (gold.open !== pred.open || gold.close !== pred.close) return null
  return sameSequence(gold.items, pred.items, o) ? 'tuple' : null
}

/** At least one side is a list, or the kinds differ. */
function compareLists(gold: Value, pred: Value, o: CompareOptions): Method | null {
  if (gold.kind === 'list' && pred.kind === 'list') return sameMultiset(gold.items, pred.items, o) ? 'list' : null
  const [list, other] = gold.kind === 'list' ? [gold, pred] : [pred, gold]
  if (list.kind !== 'list') return null
  if (list.items.length === 1) {
    const item = list.items[0] as Value
    return gold.kind === 'list' ? compareValues(item, pred, o) : compareValues(gold, item, o)
  }
  // A point against numbers in a row: in the order they are written. A set in braces has no order.
  if (other.kind !== 'tuple' || (o.strict && list.braces)) return null
  return sameSequence(other.items, list.items, o) ? 'tuple' : null
}

function sameSequence(gold: readonly Value[], pred: readonly Value[], o: CompareOptions): boolean {
  return gold.length === pred.length && gold.every((g, i) => compareValues(g, pred[i] as Value, o) !== null)
}

function dedupe(items: readonly Value[], o: CompareOptions): Value[] {
  const out: Value[] = []
  for (const item of items) if (!out.some((other) => compareValues(other, item, o) !== null)) out.push(item)
  return out
}

const MAX_ITEMS = 64

function sameMultiset(gold: readonly Value[], pred: readonly Value[], o: CompareOptions): boolean {
  if (Math.max(gold.length, pred.length) > MAX_ITEMS) return sameSequence(gold, pred, o)
  const left = dedupe(pred, o)
  const wanted = dedupe(gold, o)
  if (left.length !== wanted.length) return false
  for (const g of wanted) {
    const at = left.findIndex((p) => compareValues(g, p, o) !== null)
    if (at < 0) return false
    left.splice(at, 1)
  }
  return true
}

/** A name for the value: x, x_1, f(x), (p, q), V_1 : V_2. */
function isName(left: string): boolean {
  const name = String.raw`\\?[a-zA-Z]+(?:_(?:\{[^{}]*\}|\w))?'?`
  const list = String.raw`${name}(?:\s*[,;]\s*${name})*`
  return new RegExp(String.raw`^(?:${name}\s*(?:\(\s*${list}\s*\))?|\(\s*${list}\s*\)|${name}(?:\s*:\s*${name})+)$`).test(
    left.trim(),
  )
}

interface Reduced {
  /** The name a value is given to, if it is. */
  name?: string
  value?: Value
  equation?: Equation
  interval?: Interval
}

/** Bounds of an unknown; missing ones are infinite. */
interface Interval {
  unknown: string
  low?: { at: Expression; closed: boolean }
  high?: { at: Expression; closed: boolean }
}

/** x = 5+5+1 = 11 says x = 11; 1 < x ≤ 2 is an interval; x ∈ A is A. */
function reduce(r: Of<'relation'>): Reduced {
  const last = r.sides.at(-1) as Value
  if (r.signs.every((s) => s === '=')) {
    if (isName(r.left)) return { name: r.left.replace(/\s/g, ''), value: last, ...equationOf(r.sides[0] as Value, last) }
    if (r.signs.length > 1) return { value: last }
    const [left] = r.sides as [Value]
    return { ...(isUnknown(left) && { name: left.code, value: last }), ...equationOf(left, last) }
  }
  if (r.signs.length === 1 && r.signs[0] === '∈') return { name: r.left, value: last }
  const interval = intervalOf(r)
  return interval ? { interval } : {}
}

function equationOf(left: Value, right: Value): Reduced {
  return left.kind === 'expression' && right.kind === 'expression' ? { equation: { left, right } } : {}
}

/** An expression of unknowns without a number: x, f(x), AB/BC. Its value is what it is said to equal. */
const isUnknown = (v: Value): v is Of<'expression'> =>
  v.kind === 'expression' && v.symbols.length > 0 && !/\d/.test(v.code.replace(/\bv_\w+/g, ''))
const FLIP: Record<string, string> = { '<': '>', '>': '<', '≤': '≥', '≥': '≤' }

function intervalOf(r: Of<'relation'>): Interval | undefined {
  const at = r.sides.findIndex(isUnknown)
  if (at < 0 || r.sides.length > 3 || r.signs.some((s) => !(s in FLIP))) return undefined
  const interval: Interval = { unknown: (r.sides[at] as Of<'expression'>).code }
  const bound = (side: Value | undefined, sign: string | undefined) => {
    if (!side || !sign) return true
    if (side.kind !== 'expression') return false
    interval[sign === '<' || sign === '≤' ? 'high' : 'low'] = { at: side, closed: sign === '≤' || sign === '≥' }
    return true
  }
  const before = r.signs[at - 1]
  if (!bound(r.sides[at - 1], before && FLIP[before]) || !bound(r.sides[at + 1], r.signs[at])) return undefined
  return r.sides.length === 2 || (interval.low && interval.high) ? interval : undefined
}

function compareRelations(gold: Value, pred: Value, o: CompareOptions): Method | null {
  if (gold.kind === 'relation' && pred.kind === 'relation') return compareTwoRelations(gold, pred, o)
  if (gold.kind === 'list' || pred.kind === 'list') return compareLists(gold, pred, o)
  const relation = (gold.kind === 'relation' ? gold : pred) as Of<'relation'>
  const other = gold.kind === 'relation' ? pred : gold
  const reduced = reduce(relation)
  // x + y = 5 as gold is a line; as prediction it may say what x + y is.
  const isLine = gold === relation && /[+-]/.test(reduced.name ?? '')
  if (reduced.value && !isLine) {
    const same = gold === relation ? compareValues(reduced.value, pred, o) : compareValues(gold, reduced.value, o)
    return same && 'relation'
  }
  if (!reduced.interval || (gold !== relation && !o.allowSetRelation)) return null
  return isInterval(reduced.interval, other, o) ? 'interval' : null
}

function compareTwoRelations(gold: Of<'relation'>, pred: Of<'relation'>, o: CompareOptions): Method | null {
  const [g, p] = [reduce(gold), reduce(pred)]
  if (g.interval && p.value) return isInterval(g.interval, p.value, o) ? 'interval' : null
  if (g.value && p.interval) return o.allowSetRelation && isInterval(p.interval, g.value, o) ? 'interval' : null
  if (g.interval && p.interval && sameInterval(g.interval, p.interval, o)) return 'relation'
  if (g.value && p.value && (!o.strict || g.name === undefined || p.name === undefined || g.name === p.name)) {
    if (compareValues(g.value, p.value, o)) return 'relation'
  }
  if (g.equation && p.equation) return proportion(g.equation, p.equation) === undefined ? null : 'relation'
  return compareInequalities(gold, pred)
}

/** One sign each: both as (left - right) < 0, proportional with a positive factor. */
function compareInequalities(gold: Of<'relation'>, pred: Of<'relation'>): Method | null {
  if (gold.signs.length !== 1 || pred.signs.length !== 1) return null
  const [g, p] = [gold, pred].map((r) => {
    const sign = r.signs[0] as string
    const sides = (sign === '>' || sign === '≥' ? r.sides.toReversed() : r.sides) as Value[]
    return {
      sign: sign === '>' || sign === '≥' ? (FLIP[sign] as string) : sign,
      ...equationOf(sides[0] as Value, sides[1] as Value),
    }
  }) as [{ sign: string } & Reduced, { sign: string } & Reduced]
  if (g.sign !== p.sign || !g.equation || !p.equation) return null
  const factor = proportion(g.equation, p.equation)
  return factor !== undefined && (factor > 0 || g.sign === '≠') ? 'relation' : null
}

function sameInterval(a: Interval, b: Interval, o: CompareOptions): boolean {
  if (o.strict && a.unknown !== b.unknown) return false
  const same = (x: Interval['low'], y: Interval['low']) =>
    x === undefined || y === undefined ? x === y : x.closed === y.closed && sameExpression(x.at, y.at, o.precision)
  return same(a.low, b.low) && same(a.high, b.high)
}

function isInterval(interval: Interval, value: Value, o: CompareOptions): boolean {
  if (value.kind !== 'tuple' || value.items.length !== 2) return false
  const [low, high] = value.items as [Value, Value]
  if (low.kind !== 'expression' || high.kind !== 'expression') return false
  const bound = (e: Of<'expression'>, closed: boolean) =>
    Math.abs(constant(e) ?? 0) === Number.POSITIVE_INFINITY ? undefined : { at: e, closed }
  const lowBound = bound(low, value.open === '[')
  const highBound = bound(high, value.close === ']')
  return sameInterval(
    interval,
    { unknown: interval.unknown, ...(lowBound && { low: lowBound }), ...(highBound && { high: highBound }) },
    o,
  )
}
