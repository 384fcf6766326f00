/**
 * Inequalities in one real unknown, solved: polynomials, their quotients and absolute values. Exact: signs change at roots,
 * which are fractions or of quadratic parts; what has other roots is not solved.
 */
import { type Interval, intersect, interval } from './intervals.ts'
import { isNothing, type Polynomial, type Quotient, quotientOf, rootsOf } from './polynomials.ts'
import { order } from './same.ts'
import { difference, type Node, negative, number, symbolsOf } from './tree.ts'

/** Each doubles the work. */
const MAX_ABSOLUTES = 4

export type Sign = '<' | '>' | '≤' | '≥' | '≠'

/** Where `left sign right` holds for a real `name`; undefined where that is not found. @throws Undecided */
export function solve(left: Node, sign: Sign, right: Node, name: string): Interval[] | undefined {
  return solveBelow(difference(left, right), sign, name, MAX_ABSOLUTES)
}

/** `node sign 0`, with each absolute value as what it is on either side of its zeros. */
function solveBelow(node: Node, sign: Sign, name: string, absolutes: number): Interval[] | undefined {
  const inner = innermostAbsolute(node, name)
  if (!inner) {
    const quotient = quotientOf(node, name)
    return quotient && signs(quotient, sign)
  }
  if (absolutes === 0) return undefined
  const parts = (['≥', '<'] as const).map((side) => {
    const where = solveBelow(inner.args[0] as Node, side, name, absolutes - 1)
    const arg = inner.args[0] as Node
    const there = solveBelow(exchanged(node, inner, side === '<' ? negative(arg) : arg), sign, name, absolutes - 1)
    return where && there && intersect(where, there)
  })
  return parts.every((part) => part !== undefined) ? parts.flat() : undefined
}

type Call = Extract<Node, { args: Node[] }>

function innermostAbsolute(node: Node, name: string): Call | undefined {
  if (!('args' in node)) return undefined
  for (const arg of node.args) {
    const found = innermostAbsolute(arg, name)
    if (found) return found
  }
  return node.op === 'call' && node.name === 'abs' && symbolsOf(node).has(name) ? node : undefined
}

const exchanged = (node: Node, from: Node, to: Node): Node =>
  node === from ? to : 'args' in node ? { ...node, args: node.args.map((arg) => exchanged(arg, from, to)) } : node

/** A root of what is above or below the line. */
interface Root {
  at: Node
  /** How often it is one of either: the sign changes at odd ones. */
  times: number
  isPole: boolean
}

/** Where a quotient has such a sign: between its roots it keeps one, from the right inwards. */
function signs({ over, under }: Quotient, sign: Sign): Interval[] | undefined {
  if (under.some(isNothing)) return []
  const isZero = over.some(isNothing)
  const factors = isZero ? under : [...over, ...under]
  const roots = sorted(factors, new Set(under))
  if (!roots) return undefined
  let here = isZero ? 0 : factors.reduce((s, p) => s * (order(p.at(-1) as Node, number(0)) as number), 1)
  const result: Interval[] = []
  for (const [i, root] of [...roots, undefined].entries()) {
    const right = roots[i - 1]
    if (holds(here, sign))
      result.push(interval(root && { at: root.at, isClosed: false }, right && { at: right.at, isClosed: false }))
    if (root && !root.isPole && holds(0, sign)) {
      const end = { at: root.at, isClosed: true }
      result.push(interval(end, end))
    }
    if (root && root.times % 2 === 1) here = -here
  }
  return result
}

const holds = (value: number, sign: Sign): boolean =>
  ({ '<': value < 0, '>': value > 0, '≤': value <= 0, '≥': value >= 0, '≠': value !== 0 })[sign]

/** All roots, the largest first; undefined where one is not found, or two have no order. */
function sorted(factors: readonly Polynomial[], poles: ReadonlySet<Polynomial>): Root[] | undefined {
  const roots: Root[] = []
  for (const factor of factors) {
    const found = rootsOf(factor)
    if (!found) return undefined
    for (const at of found) {
      const orders = roots.map((root) => order(root.at, at))
      if (orders.includes(undefined)) return undefined
      const [known, isPole] = [roots[orders.indexOf(0)], poles.has(factor)]
      if (known) {
        known.times++
        known.isPole ||= isPole
      } else roots.splice(orders.filter((o) => o === 1).length, 0, { at, times: 1, isPole })
    }
  }
  return roots
}
