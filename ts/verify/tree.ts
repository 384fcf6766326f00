/** The tree of one expression. */
import type { Rational } from './rational.ts'

/** How a number was written, where it was a decimal: it may stand for a value that it only rounds. */
export interface Decimal {
  /** Digits behind the first one that is not 0, that one included. */
  digits: number
  /** Digits behind the point, less the power of ten it is multiplied with. */
  places: number
  /** Ends in dots: 3.14159… */
  isCut: boolean
}

export type Operator = 'add' | 'multiply' | 'divide' | 'power' | 'root' | 'call' | 'degrees' | 'sum' | 'product'

export type Node =
  | { op: 'number'; value: Rational; decimal?: Decimal }
  | { op: 'symbol'; name: string }
  | { op: 'constant'; name: 'pi' | 'e' | 'i' | 'infinity' }
  /** root: radicand and degree; call: of the function `name`; sum, product: from, to and term over the index `name`. */
  | { op: Operator; name: string; args: Node[] }
  | { op: 'matrix'; rows: Node[][] }

export const operation = (op: Operator, args: Node[], name = ''): Node => ({ op, name, args })
export const call = (name: string, ...args: Node[]): Node => ({ op: 'call', name, args })
export const number = (n: bigint | number): Node => ({ op: 'number', value: { n: BigInt(n), d: 1n } })
export const negative = (a: Node): Node => operation('multiply', [number(-1), a])
export const difference = (a: Node, b: Node): Node => operation('add', [a, negative(b)])

/** Walks the tree; `visit` says whether to go on below. */
function walk(node: Node, visit: (node: Node) => boolean): void {
  if (!visit(node)) return
  const below = node.op === 'matrix' ? node.rows.flat() : 'args' in node ? node.args : []
  for (const child of below) walk(child, visit)
}

/** Names of unknowns. The index of a sum is none. */
export function symbolsOf(node: Node): Set<string> {
  const found = new Set<string>()
  const bound = new Set<string>()
  walk(node, (n) => {
    if (n.op === 'symbol') found.add(n.name)
    if (n.op === 'sum' || n.op === 'product') bound.add(n.name)
    return true
  })
  for (const name of bound) found.delete(name)
  return found
}

export function some(node: Node, test: (node: Node) => boolean): boolean {
  let found = false
  walk(node, (n) => {
    found ||= test(n)
    return !found
  })
  return found
}

/** With other names for its unknowns. */
export function renamed(node: Node, names: ReadonlyMap<string, string>): Node {
  if (node.op === 'symbol') return { op: 'symbol', name: names.get(node.name) ?? node.name }
  if (node.op === 'matrix') return { op: 'matrix', rows: node.rows.map((row) => row.map((cell) => renamed(cell, names))) }
  return 'args' in node ? { ...node, args: node.args.map((arg) => renamed(arg, names)) } : node
}

/** With another expression for one of its unknowns. */
export function replaced(node: Node, name: string, by: Node): Node {
  if (node.op === 'symbol') return node.name === name ? by : node
  if (node.op === 'matrix') return { op: 'matrix', rows: node.rows.map((row) => row.map((cell) => replaced(cell, name, by))) }
  return 'args' in node ? { ...node, args: node.args.map((arg) => replaced(arg, name, by)) } : node
}

/** The value of a number, perhaps with a sign or a power of ten, and how it was written. */
export function literal(node: Node): { node: Node; decimal: Decimal | undefined } | undefined {
  if (node.op === 'number') return { node, decimal: node.decimal }
  if (node.op !== 'multiply' || node.args.length !== 2) return undefined
  const [left, right] = node.args as [Node, Node]
  if (left.op === 'number' && left.value.n === -1n && left.value.d === 1n) {
    const inner = literal(right)
    return inner && { node, decimal: inner.decimal }
  }
  const inner = literal(left)
  const exponent = powerOfTen(right)
  if (!inner || exponent === undefined) return undefined
  return { node, decimal: inner.decimal && { ...inner.decimal, places: inner.decimal.places - exponent } }
}

function powerOfTen(node: Node): number | undefined {
  if (node.op !== 'power') return undefined
  const [base, exponent] = node.args as [Node, Node]
  if (base.op !== 'number' || base.value.n !== 10n || base.value.d !== 1n) return undefined
  const value = literal(exponent)
  const [sign, n] = exponent.op === 'number' ? [1, exponent] : [-1, (value?.node as { args?: Node[] } | undefined)?.args?.[1]]
  return n?.op === 'number' && n.value.d === 1n && n.value.n < 100_000n ? sign * Number(n.value.n) : undefined
}
