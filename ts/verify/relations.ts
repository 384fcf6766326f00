/** Equations, inequalities, and names that are given a value. */
import { type CompareOptions, compareSets, compareValues, type Method, type Of, sameMultiset, sameSequence } from './compare.ts'
import { isInequality, isUnknown } from './real-sets.ts'
import { type Equation, proportion, sameEquation, sameExpression } from './same.ts'
import { call, symbolsOf } from './tree.ts'
import type { Value } from './value.ts'

type Relation = Of<'relation'>

const NAME = String.raw`(?:\\arrow\.[\w']+\.[\w']+|\\?[a-zA-Z]+)(?:\s*_(?:\s*\{[^{}]*\}|\s*\w))?′*`
const NAMES = String.raw`${NAME}(?:\s*[,;]\s*${NAME})*`
/** A name for the value: x, x_1, f(x), (p, q), V_1 : V_2. */
const IS_NAME = new RegExp(String.raw`^(?:${NAME}(?:\s*(?:\(\s*${NAMES}\s*\)))?|\(\s*${NAMES}\s*\)|${NAME}(?:\s*:\s*${NAME})+)$`)
const isName = (text: string): boolean => text.length < 80 && IS_NAME.test(text.trim())

interface Reduced {
  /** The name a value is given to, if it is. */
  name?: string
  value?: Value
  equation?: Equation
}

/** x = 5+5+1 = 11 says x = 11; x ∈ A is A. */
function reduce(r: Relation): Reduced {
  const last = r.sides.at(-1) as Value
  const first = r.sides[0] as Value
  if (r.signs.every((s) => s === '=')) {
    const plain = r.left.replace(/[\s{}]/g, '')
    if (isName(r.left)) return { name: plain, value: last, ...equationOf(first, last) }
    if (r.signs.length > 1) return { value: last }
    // 2 = x
    if (isSingle(last) && first.kind === 'expression' && symbolsOf(first.node).size === 0) {
      return { name: (last.node as { name: string }).name, value: first, ...equationOf(first, last) }
    }
    const isValue = first.kind === 'expression' && symbolsOf(first.node).size === 0
    return { ...((isUnknown(first) || isValue) && { name: isValue ? '' : plain, value: last }), ...equationOf(first, last) }
  }
  if (r.signs.length === 1 && r.signs[0] === '∈') return { name: r.left.replace(/[\s{}]/g, ''), value: last }
  return {}
}

const isSingle = (v: Value): v is Of<'expression'> => v.kind === 'expression' && v.node.op === 'symbol'

/** AB = AC is no value of AB. */
const isSegment = (v: Value): boolean => v.kind === 'expression' && v.node.op === 'symbol' && /^[A-Z]{2}/.test(v.node.name)

function equationOf(left: Value, right: Value): Reduced {
  return left.kind === 'expression' && right.kind === 'expression' ? { equation: { left: left.node, right: right.node } } : {}
}

/** At least one of both is a relation. */
export function compareRelations(gold: Value, pred: Value, o: CompareOptions): Method | null {
  if (gold.kind === 'relation' && pred.kind === 'relation') return compareTwo(gold, pred, o)
  const relation = (gold.kind === 'relation' ? gold : pred) as Relation
  const other = gold.kind === 'relation' ? pred : gold
  const reduced = reduce(relation)
  // x + y = 5 as gold is a line; as prediction it may say what x + y is.
  const isLine = gold === relation && /[+-]/.test(reduced.name ?? '')
  if (!reduced.value || isLine || relation.sides.every(isSegment)) return null
  const same = gold === relation ? compareValues(reduced.value, other, o) : compareValues(other, reduced.value, o)
  return same && 'relation'
}

function compareTwo(gold: Relation, pred: Relation, o: CompareOptions): Method | null {
  const [g, p] = [reduce(gold), reduce(pred)]
  if (g.value && p.value && (!o.strict || !g.name || !p.name || isSameName(g.name, p.name))) {
    if (compareValues(g.value, p.value, o)) return 'relation'
  }
  // D = (0, 1) names the set itself; x ∈ (0, 1) its members, as an inequality does.
  if (g.value && !p.value && !isMembership(gold) && compareSets(g.value, pred, o)) return 'interval'
  if (p.value && !g.value && !isMembership(pred) && compareSets(gold, p.value, o)) return 'interval'
  if (g.equation && p.equation && isEquation(g.equation) && isEquation(p.equation)) {
    return sameEquation(g.equation, p.equation) ? 'relation' : null
  }
  return compareInequalities(gold, pred) ?? compareSigns(gold, pred, o)
}

const isMembership = ({ signs }: Relation): boolean => signs[0] === '∈'

/** y is what f(x) is called where it is drawn. */
const isSameName = (a: string, b: string): boolean =>
  a === b || (a === 'y' && /^[fg]\(x\)$/.test(b)) || (b === 'y' && /^[fg]\(x\)$/.test(a))

const isEquation = ({ left, right }: Equation): boolean => symbolsOf(left).size + symbolsOf(right).size > 0

const FLIP: Record<string, string> = { '<': '>', '>': '<', '≤': '≥', '≥': '≤' }

/** One sign each: both as (left - right) < 0, proportional with a positive factor. */
function compareInequalities(gold: Relation, pred: Relation): Method | null {
  if (gold.signs.length !== 1 || pred.signs.length !== 1) return null
  const [g, p] = [gold, pred].map((r) => {
    const sign = r.signs[0] as string
    const isTurned = sign === '>' || sign === '≥'
    const sides = (isTurned ? r.sides.toReversed() : r.sides) as [Value, Value]
    return { sign: isTurned ? (FLIP[sign] as string) : sign, ...equationOf(...sides) }
  }) as [{ sign: string } & Reduced, { sign: string } & Reduced]
  if (g.sign !== p.sign || !isInequality(g.sign) || !g.equation || !p.equation) return null
  const factor = proportion(g.equation, p.equation)
  return factor > 0 || (factor < 0 && g.sign === '≠') ? 'relation' : null
}

const SYMMETRIC = new Set(['∥', '⊥', '≅', '∼'])

/** Sides that are equal one by one; of AB ∥ CD in either order. */
function compareSigns(gold: Relation, pred: Relation, o: CompareOptions): Method | null {
  if (gold.signs.join() !== pred.signs.join() || gold.signs[0] === '=' || isInequality(gold.signs[0] as string)) return null
  if (gold.signs[0] === '≡') return sameCongruence(gold.sides, pred.sides, o) ? 'relation' : null
  if (sameSequence(gold.sides, pred.sides, o)) return 'relation'
  const isTurned =
    gold.signs.length === 1 && SYMMETRIC.has(gold.signs[0] as string) && sameSequence(gold.sides, pred.sides.toReversed(), o)
  return isTurned ? 'relation' : null
}

/** x ≡ 10 (mod 7) is x ≡ 3 (mod 7). */
function sameCongruence(gold: readonly Value[], pred: readonly Value[], o: CompareOptions): boolean {
  if (sameSequence(gold, pred, o)) return true
  const [g, p] = [gold, pred].map(([, residue, modulus]) =>
    residue?.kind === 'expression' && modulus?.kind === 'expression' ? call('mod', residue.node, modulus.node) : undefined,
  )
  const isSameFrame = sameSequence([gold[0], gold[2]] as Value[], [pred[0], pred[2]] as Value[], o)
  return g !== undefined && p !== undefined && isSameFrame && sameExpression(g, p, o.precision)
}

interface Assignment {
  name: string
  value: Value
}

/** x = 1, y = 2; (x, y) = (1, 2) */
function assignments(value: Value): Assignment[] | undefined {
  if (value.kind === 'relation') {
    const names = /^\((.*)\)$/.exec(value.left.replace(/\s/g, ''))?.[1]?.split(/[,;]/)
    const last = value.sides.at(-1)
    if (!names || last?.kind !== 'tuple' || last.items.length !== names.length || value.signs.length !== 1) return undefined
    return names.map((name, i) => ({ name, value: last.items[i] as Value }))
  }
  if (value.kind !== 'list' || value.items.length < 2) return undefined
  const found = value.items.map((item) => {
    if (item.kind !== 'relation' || !item.signs.every((s) => s === '=')) return undefined
    const { name, value: given } = reduce(item)
    return name && given && isName(item.left) ? { name, value: given } : undefined
  })
  return found.every((a) => a !== undefined) ? found : undefined
}

/** The name without its number, where all of the names are one with different numbers: x_1 and x_2 are values of x. */
function baseOf(list: readonly Assignment[]): string | undefined {
  const bases = new Set(list.map(({ name }) => name.replace(/_?\d+$/, '')))
  return bases.size === 1 ? [...bases][0] : undefined
}

export function isAssignmentList(value: Value): boolean {
  return value.kind === 'list' && assignments(value) !== undefined
}

export function compareAssignments(gold: Value, pred: Value, o: CompareOptions): Method | null {
  const [g, p] = [assignments(gold), assignments(pred)]
  if (g && p) {
    const byName = sameMultisetOf(g, p, o)
    if (byName) return 'list'
    const isNumbered = (list: readonly Assignment[]) => list.some(({ name }) => /\d$/.test(name))
    const bases = [baseOf(g), baseOf(p)]
    const isOne =
      bases[0] !== undefined &&
      (bases[0] === bases[1] || !o.strict) &&
      (!isNumbered(g) || !isNumbered(p) || /^x_?$/.test(bases[0]))
    return isOne && sameMultiset(valuesOf(g), valuesOf(p), o) ? 'list' : null
  }
  const list = g ?? p
  if (!list) return null
  const other = g ? pred : gold
  const inOrder = (items: readonly Value[]) => {
    const values = valuesOf(alphabetical(list))
    return (g ? sameSequence(values, items, o) : sameSequence(items, values, o)) ? ('tuple' as const) : null
  }
  const names = new Set(list.map(({ name }) => name))
  if (other.kind === 'tuple' && names.size < list.length) return null
  if (other.kind === 'tuple') return other.open === '[' || other.close === ']' ? null : inOrder(other.items)
  // a = -2, 1
  if (other.kind === 'relation' && other.signs.length === 1 && baseOf(list) === other.left.replace(/\s/g, '')) {
    const value = other.sides[1] as Value
    return value.kind === 'list' ? (g ? compareAssignments(gold, value, o) : compareAssignments(value, pred, o)) : null
  }
  if (other.kind !== 'list') return null
  if (baseOf(list) !== undefined)
    return (g ? sameMultiset(valuesOf(list), other.items, o) : sameMultiset(other.items, valuesOf(list), o)) ? 'list' : null
  if (other.isBraced || other.joint === 'or') return null
  const written = g ? sameSequence(valuesOf(list), other.items, o) : sameSequence(other.items, valuesOf(list), o)
  return written ? 'list' : inOrder(other.items)
}

const valuesOf = (list: readonly Assignment[]): Value[] => list.map(({ value }) => value)

/** x, y, z have an order of their own, whichever was written first. */
const alphabetical = (list: readonly Assignment[]): readonly Assignment[] =>
  list.every(({ name }) => /^[a-z]$/.test(name)) ? list.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : list

function sameMultisetOf(gold: readonly Assignment[], pred: readonly Assignment[], o: CompareOptions): boolean {
  if (gold.length !== pred.length) return false
  const left = [...pred]
  for (const { name, value } of gold) {
    const at = left.findIndex((other) => other.name === name && compareValues(value, other.value, o) !== null)
    if (at < 0) return false
    left.splice(at, 1)
  }
  return true
}
