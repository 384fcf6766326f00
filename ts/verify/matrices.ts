/** Vectors and matrices: worked out where they are sums and products, and read from every usual notation. */

import { rationalRatio } from './forms.ts'
import { spend, Undecided, Undefined } from './limits.ts'
import { Normalizer } from './normal.ts'
import { call, type Node, negative, number, operation, some } from './tree.ts'
import type { Value } from './value.ts'

type Rows = Node[][]

/** The matrix that an expression comes to; undefined where it is a number, or the shapes do not fit. */
function matrixOf(node: Node): Rows | undefined {
  if (node.op === 'matrix') return node.rows.map((row) => row.map(settled))
  if (!some(node, (n) => n.op === 'matrix')) return undefined
  if (node.op === 'add') return node.args.map(matrixOf).reduce((a, b) => a && b && addRows(a, b))
  if (node.op === 'multiply') return node.args.map(factorOf).reduce(multiplied)?.rows
  if (node.op === 'divide') {
    const [rows, by] = [matrixOf(node.args[0] as Node), node.args[1] as Node]
    return rows && mapped(rows, (cell) => operation('divide', [cell, by]))
  }
  if (node.op === 'call' && node.name === 'transpose') return transposed(matrixOf(node.args[0] as Node))
  if (node.op === 'power') return powerOf(matrixOf(node.args[0] as Node), node.args[1] as Node)
  return undefined
}

/** A number without unknowns at once: products of products would grow without end. */
function settled(node: Node): Node {
  if (node.op === 'number') return node
  try {
    const value = rationalRatio(new Normalizer().ratio(node))
    return value ? { op: 'number', value } : node
  } catch (error) {
    if (error instanceof Undefined || error instanceof Undecided) return node
    throw error
  }
}

const mapped = (rows: Rows, to: (cell: Node) => Node): Rows => rows.map((row) => row.map((cell) => settled(to(cell))))

function addRows(a: Rows, b: Rows): Rows | undefined {
  if (a.length !== b.length || a[0]?.length !== b[0]?.length) return undefined
  return a.map((row, i) => row.map((cell, j) => settled(operation('add', [cell, b[i]?.[j] as Node]))))
}

interface Factor {
  rows?: Rows
  scalar?: Node
}

const factorOf = (node: Node): Factor | undefined => {
  if (!some(node, (n) => n.op === 'matrix')) return { scalar: node }
  const rows = matrixOf(node)
  return rows && { rows }
}

function multiplied(a: Factor | undefined, b: Factor | undefined): Factor | undefined {
  if (!a || !b) return undefined
  if (a.rows && b.rows) {
    const rows = product(a.rows, b.rows)
    return rows && { rows }
  }
  if (a.scalar && b.scalar) return { scalar: operation('multiply', [a.scalar, b.scalar]) }
  const [rows, scalar] = [(a.rows ?? b.rows) as Rows, (a.scalar ?? b.scalar) as Node]
  return { rows: mapped(rows, (cell) => operation('multiply', [scalar, cell])) }
}

function product(a: Rows, b: Rows): Rows | undefined {
  if (a[0]?.length !== b.length) return undefined
  spend(a.length * b.length * (b[0]?.length ?? 0) * 200)
  const columns = transposed(b) as Rows
  return a.map((row) =>
    columns.map((column) =>
      settled(
        operation(
          'add',
          row.map((cell, k) => operation('multiply', [cell, column[k] as Node])),
        ),
      ),
    ),
  )
}

const transposed = (rows: Rows | undefined): Rows | undefined => rows?.[0]?.map((_, j) => rows.map((row) => row[j] as Node))

/** Small whole powers, and the inverse of two rows. */
function powerOf(rows: Rows | undefined, exponent: Node): Rows | undefined {
  if (!rows) return undefined
  const k = rationalRatio(new Normalizer().ratio(exponent))
  if (k?.d !== 1n || k.n < -1n || k.n > 64n || k.n === 0n) return undefined
  if (k.n > 0n)
    return Array.from({ length: Number(k.n) - 1 }, () => rows).reduce(
      (all: Rows | undefined, next) => all && product(all, next),
      rows,
    )
  if (rows.length !== 2 || rows[0]?.length !== 2) return undefined
  const [[a, b], [c, d]] = rows as [[Node, Node], [Node, Node]]
  const det = determinant(rows) as Node
  return mapped([[d, negative(b)], [negative(c), a]], (cell) => operation('divide', [cell, det])) // biome-ignore format: two rows
}

/** By the first row; undefined for what is no square or has more than five rows. */
function determinant(rows: Rows): Node | undefined {
  if (rows.length > 5 || rows.some((row) => row.length !== rows.length)) return undefined
  spend(100 * rows.length ** 3)
  const [first, ...rest] = rows as [Node[], ...Node[][]]
  if (rest.length === 0) return first[0]
  const terms = first.map((cell, j) => {
    const minor = determinant(rest.map((row) => row.filter((_, k) => k !== j))) as Node
    const term = operation('multiply', [cell, minor])
    return j % 2 === 0 ? term : negative(term)
  })
  return settled(operation('add', terms))
}

/** With determinants of written matrices as numbers. */
export function withDeterminants(node: Node): Node {
  if (node.op === 'call' && node.name === 'det') {
    const rows = matrixOf(node.args[0] as Node)
    return (rows && determinant(rows)) ?? node
  }
  return 'args' in node ? { ...node, args: node.args.map(withDeterminants) } : node
}

const UNITS = ['\\unit-i', '\\unit-j', '\\unit-k']

/** 2i⃗ - 3j⃗ as (2, -3). */
function componentsOf(node: Node): Node[] | undefined {
  if (!some(node, (n) => n.op === 'symbol' && UNITS.includes(n.name))) return undefined
  const isUsed = (name: string) => some(node, (n) => n.op === 'symbol' && n.name === name)
  const names = isUsed(UNITS[2] as string) ? UNITS : UNITS.slice(0, 2)
  const at = (set: string) => replaced(node, set)
  return names.map(at)
}

/** One of the unit vectors is 1, the others are 0. */
function replaced(node: Node, one: string): Node {
  if (node.op === 'symbol' && UNITS.includes(node.name)) return number(node.name === one ? 1 : 0)
  return 'args' in node ? { ...node, args: node.args.map((arg) => replaced(arg, one)) } : node
}

/** A matrix as rows, from (a, b), [[a, b], [c, d]] and ⟨a, b⟩ too; a vector is one column. */
export function rowsOf(value: Value): { rows: Rows; isMatrix: boolean } | undefined {
  if (value.kind === 'expression') {
    const rows = matrixOf(value.node)
    if (rows) return { rows, isMatrix: true }
    const components = componentsOf(value.node)
    return components && { rows: components.map((cell) => [cell]), isMatrix: false }
  }
  if (value.kind !== 'tuple') return undefined
  const cells = value.items.map((item) => (item.kind === 'expression' ? item.node : undefined))
  if (cells.every((cell) => cell !== undefined))
    return value.open === value.close ? undefined : { rows: cells.map((cell) => [cell]), isMatrix: false }
  const rows = value.items.map((item) => (item.kind === 'tuple' ? item.items : []))
  const isRectangle = rows.every(
    (row) => row.length === rows[0]?.length && row.length > 0 && row.every((cell) => cell.kind === 'expression'),
  )
  return isRectangle ? { rows: rows.map((row) => row.map((cell) => (cell as { node: Node }).node)), isMatrix: true } : undefined
}

export const columnOf = (rows: Rows): Node[] | undefined =>
  rows.every((row) => row.length === 1) ? rows.map((row) => row[0] as Node) : rows.length === 1 ? (rows[0] as Node[]) : undefined

export const radians = (node: Node): Node => call('radians', node)
