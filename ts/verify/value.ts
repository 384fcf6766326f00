/** Clean LaTeX -> what kind of answer it is: expression, list, tuple, interval, union, relation, matrix or words. */
import { type Expression, NotAnExpression, toExpression } from './expression.ts'
import { cleanLatex, foldText, plainNumber } from './latex.ts'

export type Value =
  | ({ kind: 'expression'; percent: boolean } & Expression)
  /** Written without brackets or in braces: order does not count. */
  | { kind: 'list'; items: Value[]; braces: boolean }
  /** (a, b), [a, b): a point or an interval; which one, the other side may tell. */
  | { kind: 'tuple'; open: '(' | '['; close: ')' | ']'; items: Value[] }
  | { kind: 'union'; items: Value[] }
  /** a = b = c, a < x ≤ b, x ∈ A: sides and the signs between them. */
  | { kind: 'relation'; sides: Value[]; signs: string[]; left: string }
  | { kind: 'matrix'; rows: Value[][] }
  | { kind: 'words'; text: string }

const MATRIX = /\\begin\s*\{(?:[pbvB]?matrix|array)\}(?:\s*\{[lcr|\s]*\})?([\s\S]*?)\\end\s*\{(?:[pbvB]?matrix|array)\}/g
const RELATION_SIGNS = ['=', '<', '>', '≤', '≥', '≠', '∈']

/** Splits at any of `separators` that stand outside brackets. Intervals such as [0,1) close with either bracket. */
function splitTopLevel(text: string, separators: readonly string[]): { parts: string[]; found: string[] } {
  const parts: string[] = []
  const found: string[] = []
  let depth = 0
  let from = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string
    if (c === '\\' && /[{}]/.test(text[i + 1] ?? '')) {
      depth += text[i + 1] === '{' ? 1 : -1
      i++
    } else if ('([{'.includes(c)) depth++
    else if (')]}'.includes(c)) depth--
    else if (depth === 0 && separators.includes(c)) {
      parts.push(text.slice(from, i).trim())
      found.push(c)
      from = i + 1
    }
  }
  parts.push(text.slice(from).trim())
  return { parts, found }
}

/** Whether the bracket that opens the text is closed by its last character. */
function isBracketed(text: string): boolean {
  const { parts } = splitTopLevel(text.slice(1, -1), [])
  let depth = 0
  for (const c of parts[0] as string) {
    if ('([{'.includes(c)) depth++
    else if (')]}'.includes(c) && --depth < 0) return false
  }
  return depth === 0
}

/** @param decimalComma read 1,22 as a number (plain text), not as two numbers (a formula) */
export function parseValue(text: string, decimalComma: boolean): Value {
  const clean = cleanLatex(text)
  const number = plainNumber(clean.replace(/\s*%$/, ''), decimalComma)
  if (number !== undefined) {
    const percent = clean.endsWith('%')
    return { kind: 'expression', percent, symbols: [], code: percent ? `((${number})/100)` : number }
  }
  return parseList(clean)
}

function parseList(clean: string): Value {
  const groups = splitTopLevel(clean, [';']).parts.filter((group) => group !== '')
  if (groups.length > 1 && groups.every(isAssignments)) {
    return { kind: 'list', items: groups.map(parseList), braces: false }
  }
  const { parts } = splitTopLevel(clean, [',', ';'])
  const items = parts.filter((p) => p !== '').flatMap(expandPlusMinus)
  if (items.length === 1) return parseItem(items[0] as string)
  return { kind: 'list', items: items.map(parseItem), braces: false }
}

/** p=5, q=2: one solution in several unknowns. */
function isAssignments(group: string): boolean {
  const { parts } = splitTopLevel(group, [','])
  return parts.length > 1 && parts.every((part) => part.includes('='))
}

/** a ± b is two answers. */
function expandPlusMinus(item: string): string[] {
  if (!/\\pm|±/.test(item)) return [item]
  return ['+', '-'].map((sign) => item.replace(/\\pm(?![a-zA-Z])|±/g, sign))
}

function parseItem(item: string): Value {
  const { parts, found } = splitTopLevel(item, RELATION_SIGNS)
  if (found.length > 0 && parts.every((p) => p !== '')) {
    return { kind: 'relation', sides: parts.map(parseSide), signs: found, left: parts[0] as string }
  }
  return parseSide(item)
}

function parseSide(side: string): Value {
  const union = splitTopLevel(side, ['∪']).parts
  if (union.length > 1) return { kind: 'union', items: union.map(parseSide) }
  const set = /^\\\{([\s\S]*)\\\}$/.exec(side)
  if (set) return braced(set[1] as string)
  if (side.startsWith('{') && side.endsWith('}') && isBracketed(side)) return parseList(side.slice(1, -1))
  const matrix = parseMatrix(side)
  if (matrix) return matrix
  if (/^[([]/.test(side) && /[)\]]$/.test(side) && isBracketed(side)) {
    const inner = side.slice(1, -1)
    const items = splitTopLevel(inner, [',', ';']).parts
    if (items.length > 1) {
      return { kind: 'tuple', open: side[0] as '(', close: side.at(-1) as ')', items: items.map(parseSide) }
    }
    if (!/[=<>≤≥≠∈∪]/.test(inner)) return parseSide(inner.trim())
  }
  return parseExpression(side)
}

function braced(inner: string): Value {
  const items = splitTopLevel(inner, [',', ';']).parts.filter((p) => p !== '')
  return { kind: 'list', items: items.flatMap(expandPlusMinus).map(parseItem), braces: true }
}

/** One matrix, perhaps in brackets, or sums of products of matrices. */
function parseMatrix(side: string): Value | undefined {
  const between = side.replace(MATRIX, '\0').replace(/[\s()[\]]|\\cdot|\\times/g, '')
  if (!/^\0+(?:[+-]\0+)*$/.test(between)) return undefined
  const matrices = [...side.matchAll(MATRIX)].map((m) => parseRows(m[1] as string))
  let total: Value[][] | undefined
  for (const [, sign, factors] of between.matchAll(/([+-]?)(\0+)/g)) {
    const product = matrices.splice(0, (factors as string).length).reduce(multiply)
    total = total ? add(total, product, sign as string) : product
  }
  return { kind: 'matrix', rows: total as Value[][] }
}

function parseRows(text: string): Value[][] {
  const rows = text.split(/\\\\/).map((row) => row.split('&').map((cell) => cell.trim()))
  return rows.filter((row) => row.some((cell) => cell !== '')).map((row) => row.map(parseSide))
}

const add = (a: Value[][], b: Value[][], sign: string): Value[][] =>
  a.map((row, i) => row.map((cell, j) => combined([[cell, b[i]?.[j]]], sign)))

const multiply = (a: Value[][], b: Value[][]): Value[][] =>
  a.map((row) =>
    (b[0] ?? []).map((_, j) =>
      combined(
        row.map((cell, k) => [cell, b[k]?.[j]]),
        '*',
      ),
    ),
  )

/** x ∘ y of each pair, added up; no value where one of them is no expression. */
function combined(pairs: readonly (readonly [Value, Value | undefined])[], operator: string): Value {
  if (!pairs.every(([x, y]) => x.kind === 'expression' && y?.kind === 'expression')) return { kind: 'words', text: 'matrix' }
  const terms = pairs as readonly (readonly [Expression, Expression])[]
  const symbols = [...new Set(terms.flatMap(([x, y]) => [...x.symbols, ...y.symbols]))].sort()
  const code = terms.map(([x, y]) => `(${x.code})${operator}(${y.code})`).join('+')
  return { kind: 'expression', percent: false, symbols, code }
}

/** Words of a language rather than a product of letters: a long one, or several in a row. */
const WORDS =
  /(?<![\\a-zA-Z])(?!(?:arcsin|arccos|arctan|sqrt|sinh|cosh|tanh)\b)[a-zA-Z]{4,}|(?<![\\a-zA-Z])[a-zA-Z]{2,} [a-zA-Z]{2,}(?![a-zA-Z])/

function parseExpression(side: string): Value {
  if (WORDS.test(side.replace(/\\[a-zA-Z]+/g, ' \\ '))) return { kind: 'words', text: foldText(side) }
  try {
    return { kind: 'expression', percent: side.endsWith('%'), ...toExpression(side) }
  } catch (error) {
    if (!(error instanceof NotAnExpression)) throw error
    return { kind: 'words', text: foldText(side) }
  }
}
