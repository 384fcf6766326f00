/** Equality of two parsed answers. `gold` and `pred` are not interchangeable: see relations, sets and per cent. */
import { sameIntervals } from './intervals.ts'
import { columnOf, radians, rowsOf, withDeterminants } from './matrices.ts'
import { isInequality, type RealSet, realSetOf } from './real-sets.ts'
import { compareAssignments, compareRelations, isAssignmentList } from './relations.ts'
import { isWholeNumber, sameExpression } from './same.ts'
import { difference, type Node, negative, number, operation, renamed, replaced, some, symbolsOf } from './tree.ts'
import type { Answer, Value } from './value.ts'
import { sameWords } from './words.ts'

export interface CompareOptions {
  /** Significant digits that a decimal must have to stand for a value that it rounds. */
  precision: number
  /** Names of unknowns count, and a point is no set. */
  strict: boolean
  /** A relation as prediction may stand for a set as gold: x ≥ 1 for [1, ∞). The other way round always holds. */
  allowSetRelation: boolean
  /** A letter that stands for any whole number on both sides. */
  parameter?: string
}

export type Of<K extends Value['kind']> = Extract<Value, { kind: K }>
/** How two answers were found equal. */
export type Method = 'numeric' | 'symbolic' | 'units' | 'list' | 'tuple' | 'interval' | 'relation' | 'ratio' | 'matrix' | 'words'

/** @throws Undecided */
export function compareAnswers(gold: Answer, pred: Answer, o: CompareOptions): Method | null {
  const aligned = withParameters(gold, pred)
  const [parameter] = gold.parameters.size === 1 && pred.parameters.size === 1 ? gold.parameters : []
  return compareValues(gold.value, aligned, parameter === undefined ? o : { ...o, parameter })
}

/** A letter that stands for any whole number may be another one. */
function withParameters(gold: Answer, pred: Answer): Value {
  const [from, to] = [[...pred.parameters], [...gold.parameters]]
  if (from.length === 0 || from.length !== to.length) return pred.value
  const names = new Map(from.map((name, i) => [name, to[i] as string]))
  return mapNodes(pred.value, (node) => renamed(node, names))
}

/** With every expression of the value changed. */
function mapNodes(value: Value, change: (node: Node) => Node): Value {
  if (value.kind === 'expression')
    return { ...value, node: change(value.node), ...(value.also && { also: mapNodes(value.also, change) }) }
  if (value.kind === 'relation') return { ...value, sides: value.sides.map((side) => mapNodes(side, change)) }
  if (value.kind === 'builder') return { ...value, condition: mapNodes(value.condition, change) }
  if (value.kind === 'ratio') return { ...value, parts: value.parts.map(change) }
  if (value.kind === 'list') return { ...value, items: value.items.map((item) => mapNodes(item, change)) }
  if (value.kind === 'tuple') return { ...value, items: value.items.map((item) => mapNodes(item, change)) }
  if (value.kind === 'set') return { ...value, items: value.items.map((item) => mapNodes(item, change)) }
  return value
}

/** @throws Undecided */
export function compareValues(gold: Value, pred: Value, o: CompareOptions): Method | null {
  if (gold.kind === 'words' || pred.kind === 'words') {
    return gold.kind === 'words' && pred.kind === 'words' && sameWords(gold.text, pred.text) ? 'words' : null
  }
  if (gold.kind === 'expression' && pred.kind === 'expression') return compareExpressions(gold, pred, o)
  // {x | x = kπ} is x = kπ.
  if (gold.kind === 'builder' && isEquationIn(gold)) return compareValues(gold.condition, pred, o)
  if (pred.kind === 'builder' && isEquationIn(pred)) return compareValues(gold, pred.condition, o)
  if (isAssignmentList(gold) || isAssignmentList(pred)) return compareAssignments(gold, pred, o)
  if (gold.kind === 'relation' || pred.kind === 'relation') {
    return compareRelations(gold, pred, o) ?? compareSets(gold, pred, o)
  }
  if (gold.kind === 'ratio' || pred.kind === 'ratio') return compareRatios(gold, pred, o)
  if (gold.kind === 'tuple' && pred.kind === 'tuple') return compareTuples(gold, pred, o)
  if (gold.kind === 'list' && pred.kind === 'list' && isSet(gold) && isSet(pred)) {
    const [g, p] = [realSetOf(gold), realSetOf(pred)]
    if (g && p) return sameName(g, p, o) && sameIntervals(g.intervals, p.intervals, o.precision) ? 'interval' : null
  }
  return compareMatrices(gold, pred, o) ?? compareLists(gold, pred, o) ?? compareSets(gold, pred, o)
}

const isEquationIn = ({ condition }: Of<'builder'>): boolean =>
  (condition.kind === 'list' ? condition.items : [condition]).every(
    (item) => item.kind === 'relation' && item.signs.every((s) => s === '='),
  )

type Expression = Of<'expression'>

function compareExpressions(gold: Expression, pred: Expression, o: CompareOptions): Method | null {
  const readings = [[gold, pred], ...(gold.also ? [[gold.also, pred]] : []), ...(pred.also ? [[gold, pred.also]] : [])]
  if (gold.also && pred.also) readings.push([gold.also, pred.also])
  for (const [g, p] of readings as [Expression, Expression][]) {
    const method = compareReadings(g, p, o)
    if (method) return method
  }
  return null
}

function compareReadings(gold: Expression, pred: Expression, o: CompareOptions): Method | null {
  const [g, p] = [withDeterminants(gold.node), withDeterminants(pred.node)]
  if (g.op === 'matrix' || p.op === 'matrix' || some(g, isMatrix) || some(p, isMatrix)) return compareMatrices(gold, pred, o)
  if (some(g, isUnitVector) !== some(p, isUnitVector)) return null
  const hasUnits = gold.unit !== undefined || pred.unit !== undefined
  if (gold.noun && pred.noun && gold.noun !== pred.noun) return null
  if (gold.unit && pred.unit) return sameQuantity(gold, pred, o) ? 'units' : null
  if ((isInRadians(gold) && some(p, isDegrees)) || (isInRadians(pred) && some(g, isDegrees)))
    return sameExpression(radians(g), radians(p), o.precision) ? 'units' : null
  if (hasOtherKind(gold, pred, g, p)) return null
  if (sameSize(gold, pred, g, p, o))
    return hasUnits ? 'units' : symbolsOf(g).size + symbolsOf(p).size === 0 ? 'numeric' : 'symbolic'
  return null
}

/** Per cent, degrees and units exclude each other; degrees of heat may be called degrees alone. */
function hasOtherKind(gold: Expression, pred: Expression, g: Node, p: Node): boolean {
  const isHeat = (e: Expression) => /^(?:celsius|fahrenheit)\^1$/.test(e.unit?.dimension ?? '')
  const isOther = (a: Expression, b: Expression, node: Node) =>
    a.unit !== undefined && (b.isPercent === true || (some(node, isDegrees) && !isHeat(a)))
  return isOther(gold, pred, p) || isOther(pred, gold, g)
}

/** A unit without a dimension. */
const isInRadians = (e: Expression) => e.unit?.dimension === ''
const isMatrix = (n: Node) => n.op === 'matrix'
const isUnitVector = (n: Node) => n.op === 'symbol' && n.name.startsWith('\\unit-')
const isDegrees = (n: Node) => n.op === 'degrees'
const isRadians = (n: Node) => 'name' in n && /^(?:pi|arc(?:sin|cos|tan|cot))$/.test(n.name)

function sameSize(gold: Expression, pred: Expression, g: Node, p: Node, o: CompareOptions): boolean {
  const same = (a: Node, b: Node) => sameExpression(a, b, o.precision)
  // 35 % may be given as 35 or as 0.35; 35 as 35 % is wrong.
  if (gold.isPercent && !pred.isPercent) return same(g, p) || same(operation('multiply', [number(100), g]), p)
  // 60° is π/3 and arccos ½; 60 may be 60°, but π/3 is not (π/3)°.
  if (some(g, isDegrees) !== some(p, isDegrees) && (some(g, isRadians) || some(p, isRadians))) return same(radians(g), radians(p))
  if (same(g, p)) return true
  if (o.parameter !== undefined && sameUpToShift(g, p, o.parameter)) return true
  return !o.strict && same(g, renamedByPlace(p, g))
}

/** a + bk and a + 7b - bk are the same numbers, where k is any whole number. */
function sameUpToShift(g: Node, p: Node, parameter: string): boolean {
  const at = (node: Node, k: number) => replaced(node, parameter, number(k))
  const [a, c] = [at(g, 0), at(p, 0)]
  const [step, other] = [difference(at(g, 1), a), difference(at(p, 1), c)]
  const line = (from: Node, by: Node) => operation('add', [from, operation('multiply', [by, { op: 'symbol', name: parameter }])])
  const isLinear = sameExpression(g, line(a, step), 6) && sameExpression(p, line(c, other), 6)
  if (!isLinear || sameExpression(step, number(0), 6)) return false
  if (!sameExpression(step, other, 6) && !sameExpression(step, negative(other), 6)) return false
  return isWholeNumber(operation('divide', [difference(a, c), step]))
}

/** With names for its unknowns that are those of the other, by their order. */
function renamedByPlace(node: Node, other: Node): Node {
  const [from, to] = [[...symbolsOf(node)].sort(), [...symbolsOf(other)].sort()]
  return from.length === to.length ? renamed(node, new Map(from.map((name, i) => [name, to[i] as string]))) : node
}

function sameQuantity(gold: Expression, pred: Expression, o: CompareOptions): boolean {
  const [g, p] = [gold.unit, pred.unit]
  if (!g || !p || g.dimension !== p.dimension) return false
  if (g.factor.n === p.factor.n && g.factor.d === p.factor.d) return sameExpression(gold.node, pred.node, o.precision)
  const inBase = (node: Node, unit: typeof g) => operation('multiply', [node, { op: 'number', value: unit.factor }])
  return sameExpression(inBase(gold.node, g), inBase(pred.node, p), o.precision)
}

function compareRatios(gold: Value, pred: Value, o: CompareOptions): Method | null {
  const [g, p] = [partsOf(gold), partsOf(pred)]
  if (!g || !p || g.length !== p.length) return null
  const [g0, p0] = [g[0] as Node, p[0] as Node]
  const isSame = g.every((part, i) =>
    sameExpression(operation('multiply', [part, p0]), operation('multiply', [p[i] as Node, g0]), o.precision),
  )
  const isNothing = (node: Node) => sameExpression(node, number(0), o.precision)
  return isSame && !isNothing(g0) && !isNothing(p0) ? 'ratio' : null
}

/** 3 : 4 is three quarters. */
function partsOf(value: Value): Node[] | undefined {
  if (value.kind === 'ratio') return value.parts
  return value.kind === 'expression' && value.unit === undefined ? [value.node, number(1)] : undefined
}

function compareTuples(gold: Of<'tuple'>, pred: Of<'tuple'>, o: CompareOptions): Method | null {
  const isVector = gold.open === '⟨' || pred.open === '⟨'
  const isSameBracket = gold.open === pred.open && gold.close === pred.close
  if (!isSameBracket && !isVector) return compareMatrices(gold, pred, o)
  return sameSequence(gold.items, pred.items, o) ? 'tuple' : null
}

function compareMatrices(gold: Value, pred: Value, o: CompareOptions): Method | null {
  const [g, p] = [rowsOf(gold), rowsOf(pred)]
  if (!g || !p || !(g.isMatrix || p.isMatrix || isVector(gold) || isVector(pred))) return null
  const same = (a: readonly Node[], b: readonly Node[]) =>
    a.length === b.length && a.every((x, i) => sameExpression(x, b[i] as Node, o.precision))
  if (g.rows.length === p.rows.length && g.rows.every((row, i) => same(row, p.rows[i] as Node[]))) return 'matrix'
  // A vector may lie or stand where only one side is a matrix.
  const [x, y] = [columnOf(g.rows), columnOf(p.rows)]
  return x && y && g.isMatrix !== p.isMatrix && same(x, y) ? 'matrix' : null
}

const isVector = (value: Value): boolean => value.kind === 'expression' || (value.kind === 'tuple' && value.open === '⟨')

/** At least one side is a list, or the kinds differ. */
function compareLists(gold: Value, pred: Value, o: CompareOptions): Method | null {
  if (gold.kind === 'list' && pred.kind === 'list') return sameMultiset(gold.items, pred.items, o) ? 'list' : null
  const [list, other] = gold.kind === 'list' ? [gold, pred] : [pred, gold]
  if (list.kind !== 'list') return null
  if (list.items.length === 1) {
    const item = list.items[0] as Value
    // {∅} holds something.
    if (list.isBraced && item.kind === 'named-set' && item.name === 'emptyset') return null
    return gold.kind === 'list' ? compareValues(item, pred, o) : compareValues(gold, item, o)
  }
  // A point against numbers in a row: in the order they are written. A set in braces has no order.
  if (other.kind !== 'tuple' || (o.strict && list.isBraced) || list.joint === 'or') return null
  const isInterval = other.items.length === 2 && (other.open === '[' || other.close === ']')
  if (isInterval && (other === gold || other.open === '(' || other.close === ')')) return null
  return sameSequence(gold.kind === 'list' ? list.items : other.items, gold.kind === 'list' ? other.items : list.items, o)
    ? 'tuple'
    : null
}

export function sameSequence(gold: readonly Value[], pred: readonly Value[], o: CompareOptions): boolean {
  return gold.length === pred.length && gold.every((g, i) => compareValues(g, pred[i] as Value, o) !== null)
}

function dedupe(items: readonly Value[], o: CompareOptions): Value[] {
  const out: Value[] = []
  for (const item of items) if (!out.some((other) => compareValues(other, item, o) !== null)) out.push(item)
  return out
}

const MAX_UNORDERED = 64

export function sameMultiset(gold: readonly Value[], pred: readonly Value[], o: CompareOptions): boolean {
  if (Math.max(gold.length, pred.length) > MAX_UNORDERED) return sameSequence(gold, pred, o)
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

/** Both as sets of real numbers, at least one of them written as such. */
export function compareSets(gold: Value, pred: Value, o: CompareOptions): Method | null {
  if (!isSet(gold) && !isSet(pred)) return null
  if (gold.kind === 'named-set' && pred.kind === 'named-set') return gold.name === pred.name ? 'interval' : null
  const isRelation = (v: Value) => v.kind === 'relation' || (v.kind === 'list' && !v.isBraced)
  if (!o.allowSetRelation && isRelation(pred) && !isRelation(gold)) return null
  // WHY one after the other: what is no set at all is different from an inequality that is not solved.
  const p = realSetOf(pred)
  const g = p && realSetOf(gold)
  if (!g || !sameName(g, p, o)) return null
  return sameIntervals(g.intervals, p.intervals, o.precision) ? 'interval' : null
}

const sameName = (a: RealSet, b: RealSet, o: CompareOptions) =>
  !o.strict || a.name === undefined || b.name === undefined || a.name === b.name

/** Other than by being a pair of numbers, which may be a point. */
function isSet(value: Value): boolean {
  if (value.kind === 'set' || value.kind === 'named-set' || value.kind === 'builder') return true
  if (value.kind === 'relation') return value.signs.some(isInequality) || isSet(value.sides.at(-1) as Value)
  return value.kind === 'list' && value.items.length > 0 && value.items.every(isSet)
}
