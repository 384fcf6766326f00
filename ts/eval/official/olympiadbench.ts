/**
 * OlympiadBench's own grading (`judge.py`): the text behind its sentence, else all boxes of the text; lists without
 * order, `\pm` doubled, numbers within a tolerance (times 100 and divided by it, too), expressions, equations up to a
 * whole factor, intervals.
 */
import { evaluate, hasDecimal, symbolsOf, valuesOf } from './evaluate.ts'
import { call, type Expr, parseLatex } from './latex.ts'
import { pyFloat } from './python.ts'

const DEFAULT_TOLERANCE = 1e-8
/** The judge's own allowance on each tolerance. */
const SLACK = 1.01
const SAME_EXPRESSION = 1e-3

const CUES = { en: /So the final answer is (.*)/g, zh: /所以最终答案是(.*)/g }
export type OlympiadLanguage = keyof typeof CUES

/** What stands behind the last "So the final answer is", in the question's language; without it the whole text. */
export function finalText(response: string, language: OlympiadLanguage = 'en'): string {
  return Array.from(response.matchAll(CUES[language])).at(-1)?.[1]?.trim() ?? response
}

/** Contents of all boxes, each with a comma behind; without one the formulas of the last line. null: braces do not fit. */
function boxedContent(text: string): string | null {
  let content = ''
  for (const { index } of text.matchAll(/\\boxed\{/g)) {
    let depth = 1
    let end = index + '\\boxed{'.length
    const start = end
    for (; end < text.length && depth > 0; end++) depth += text[end] === '{' ? 1 : text[end] === '}' ? -1 : 0
    if (depth > 0) return null
    content += `${text.slice(start, end - 1)},`
  }
  if (content !== '') return content
  const last = text.trim().split('\n').at(-1) as string
  const formulas = Array.from(last.matchAll(/\$(.*?)\$/g), (m) => `${m[1]},`)
  return formulas.length > 0 ? formulas.join('') : text
}

const SIGNS: readonly (readonly [string, string])[] = [
  ...([
    ['\\left', ''],
    ['\\right', ''],
    ['∶', ':'],
    ['，', ','],
    ['$', ''],
    ['\\approx', '='],
    ['\\simeq', '='],
  ] as const),
  ...([
    ['\\sim', '='],
    ['^\\prime', "'"],
    ['^{\\prime}', "'"],
    ['^\\circ', ''],
    ['%', ''],
  ] as const),
]
const EDGES = '\n$,.:;^_=+`!@#%&*~，。'

function stripEdges(text: string): string {
  let [from, to] = [0, text.length]
  while (from < to && EDGES.includes(text[from] as string)) from++
  while (to > from && EDGES.includes(text[to - 1] as string)) to--
  return text.slice(from, to)
}

function prepare(text: string): string | null {
  const content = boxedContent(text)
  if (content === null) return null
  const behindIn = content.includes('\\in ') ? (content.split('\\in ')[1] as string) : content
  const plain = SIGNS.reduce((t, [sign, by]) => t.replaceAll(sign, by), behindIn)
  return stripEdges(plain).replace(/\\(?:mathrm|mathbf)\{~?([^}]*)\}/g, '$1')
}

function splitAtCommas(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string
    if ('(['.includes(c)) depth++
    else if (')]'.includes(c)) depth--
    else if (c === ',' && depth === 0) {
      parts.push(text.slice(start, i).trim())
      start = i + 1
    }
  }
  if (start < text.length) parts.push(text.slice(start).trim())
  return parts
}

const listOf = (text: string) =>
  splitAtCommas(text.replace(/[\u4e00-\u9fff]+/g, '')).flatMap((part) =>
    part.includes('\\pm') ? [part.replaceAll('\\pm', '+'), part.replaceAll('\\pm', '-')] : [part],
  )

const isInterval = (text: string) => /^[([]/.test(text) && /[)\]]$/.test(text)

function sameNumbers(a: string, b: string, tolerance: number): boolean {
  const [x, y] = [pyFloat(a), pyFloat(b)]
  if (x === undefined || y === undefined) return false
  return [x / 100, x, x * 100].some((item) => Math.abs(item - y) <= tolerance * SLACK)
}

/** Numbers but for `pi`. */
const isConstant = (expr: Expr) => [...symbolsOf(expr)].every((name) => name === 'pi')
const value = (expr: Expr) => evaluate(expr, () => Math.PI)
const rightOf = (text: string) => (text.includes('=') ? (text.split('=')[1] as string) : text).trim()

function sameExpressions(a: string, b: string, tolerance: number): boolean {
  const [x, y] = [parseLatex(rightOf(a)), parseLatex(rightOf(b))]
  if (!x || !y || x.kind === 'relation' || y.kind === 'relation') return false
  const [xConstant, yConstant] = [isConstant(x), isConstant(y)]
  if (xConstant !== yConstant) return false
  if (!xConstant) {
    const differences = valuesOf(x, y).map(([v, w]) => v - w)
    const [first = Number.NaN] = differences
    const isFixed = differences.every((d) => Math.abs(d - first) <= 1e-9)
    return isFixed && Math.abs(first) < SAME_EXPRESSION
  }
  const [v, w] = [value(x), value(y)]
  return v === w || Math.abs(v - w) <= tolerance * SLACK
}

/** Left side less right side; undefined for what is no equation of two readable sides. */
function balanceOf(text: string): Expr | undefined {
  const sides = text.split('=')
  const [left, right] = sides.map((side) => parseLatex(side))
  return sides.length === 2 && left && right ? call('+', left, call('neg', right)) : undefined
}

/** One is a whole multiple of the other; decimals never are. */
function sameEquations(a: string, b: string): boolean {
  const [x, y] = [balanceOf(a), balanceOf(b)]
  if (!x || !y || hasDecimal(x) || hasDecimal(y)) return false
  const ratios = valuesOf(x, y).map(([v, w]) => v / w)
  const [first = Number.NaN] = ratios
  if (!ratios.every((r) => Math.abs(r - first) <= 1e-9 * Math.abs(first))) return false
  return [first, 1 / first].some((r) => Number.isFinite(r) && Math.round(r) !== 0 && Math.abs(r - Math.round(r)) < 1e-9)
}

function sameIntervals(a: string, b: string, tolerance: number): boolean {
  const [parts, others] = [a.split('\\cup'), b.split('\\cup')]
  const bare = (text: string) => text.replace(/^[[\]()]+|[[\]()]+$/g, '').split(',')
  return (
    parts.length === others.length &&
    parts.every((part, i) => {
      const other = others[i] as string
      if (part[0] !== other[0] || part.at(-1) !== other.at(-1)) return false
      const items = bare(other)
      return bare(part).every((item, j) => items[j] === undefined || sameExpressions(item, items[j] as string, tolerance))
    })
  )
}

function isEqual(a: string, b: string, tolerance: number): boolean {
  if (a === b && a !== '') return true
  if (isInterval(a) && isInterval(b) && sameIntervals(a, b, tolerance)) return true
  if (sameNumbers(a, b, tolerance)) return true
  if (sameExpressions(a, b, tolerance) && !(a.includes('=') && b.includes('='))) return true
  return sameEquations(a, b)
}

/** Judges two texts; the n-th tolerance belongs to the first one's n-th value. */
export function judgeOlympiad(first: string, second: string, tolerances: readonly number[] = [DEFAULT_TOLERANCE]): boolean {
  const [a, b] = [prepare(first), prepare(second)]
  if (a === null || b === null) return false
  if (a === b) return true
  const [items, others] = [listOf(a), listOf(b)]
  if (items.length !== others.length) return false
  const left = tolerances.length <= 1 ? items.map(() => tolerances[0] ?? DEFAULT_TOLERANCE) : [...tolerances]
  for (let at = -1; items.length > 0; ) {
    at = (at + 1) % items.length
    const tolerance = left[at]
    if (tolerance === undefined) return false
    const match = others.findIndex((other) => isEqual(items[at] as string, other, tolerance))
    if (match < 0) return false
    items.splice(at, 1)
    others.splice(match, 1)
    left.splice(left.indexOf(tolerance), 1)
  }
  return true
}

/** The tolerances of an `error` column: `0.1,` holds one for each value, the usual one where a place is empty. */
export function tolerancesOf(error: string | number | null | undefined): number[] {
  if (error === null || error === undefined || error === '') return [DEFAULT_TOLERANCE]
  const text = String(error)
  if (!text.includes(',')) return [pyFloat(text) ?? DEFAULT_TOLERANCE]
  return text.split(',').map((part) => (part.trim() === '' ? DEFAULT_TOLERANCE : (pyFloat(part) ?? DEFAULT_TOLERANCE)))
}

export interface OlympiadQuestion {
  readonly finalAnswer: string
  readonly error?: string | number | null | undefined
  readonly language?: OlympiadLanguage
}

/** The official script hands the prediction over as the first of both; `goldFirst`, as the judge's own file has it. */
export function gradeOlympiad(response: string, { finalAnswer, error, language }: OlympiadQuestion, goldFirst = false): boolean {
  if (response === '') return false
  const [prediction, tolerances] = [finalText(response, language), tolerancesOf(error)]
  return goldFirst ? judgeOlympiad(finalAnswer, prediction, tolerances) : judgeOlympiad(prediction, finalAnswer, tolerances)
}
