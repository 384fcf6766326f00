/**
 * Grading of GSM8K and MATH as Qwen2.5-Math's evaluation has it: a box, "the answer is", else the last number; then
 * text, numbers within 1e-4 of each other (and as percent), tuples, matrices, expressions.
 */
import { evaluate, isIdentical, symbolsOf } from './evaluate.ts'
import { call, type Expr, parseLatex } from './latex.ts'
import { pyFloat } from './python.ts'
import { stripAnswer } from './qwen-strip.ts'

function boxed(text: string): string {
  const behind = text.slice(text.lastIndexOf('boxed') + 'boxed'.length)
  if (!behind.startsWith('{')) return (behind.split('$')[0] as string).trim()
  let depth = 1
  let end = 1
  for (; end < behind.length && depth > 0; end++) depth += behind[end] === '{' ? 1 : behind[end] === '}' ? -1 : 0
  return behind.slice(1, depth === 0 ? end - 1 : end)
}

const behindLast = (text: string, mark: string) => text.slice(text.lastIndexOf(mark) + mark.length).trim()

function answerIn(text: string): string {
  const minerva = text.indexOf('final answer is $')
  if (minerva >= 0 && text.includes('$. I hope')) {
    return (text.slice(minerva + 'final answer is $'.length).split('$. I hope')[0] as string).trim()
  }
  if (text.includes('boxed')) return boxed(text)
  for (const cue of ['he answer is', 'final answer is']) if (text.includes(cue)) return behindLast(text, cue)
  if (text.includes('答案是')) return (text.split('答案是')[1] as string).trim().split('\n\n')[0]?.trim() as string
  return (
    text
      .replaceAll(',', '')
      .match(/-?\d*\.?\d+/g)
      ?.at(-1) ?? ''
  )
}

/** The answer of a solution as it is compared; empty where there is none. */
export function extractQwen(response: string): string {
  let answer = answerIn(response.replaceAll('ки', '')).replace(/\n\s*/g, '')
  if (answer.startsWith(':')) answer = answer.slice(1)
  if (answer.endsWith('.')) answer = answer.slice(0, -1)
  if (answer.endsWith('/')) answer = answer.slice(0, -1)
  return stripAnswer(answer)
}

/** A number with commas in it, or a percentage. */
function numberOf(text: string): number | undefined {
  const plain = text.replaceAll(',', '')
  const value = pyFloat(plain)
  if (value !== undefined || !plain.endsWith('%')) return value
  const share = pyFloat(plain.slice(0, -1).replace(/\\$/, ''))
  return share === undefined ? undefined : share / 100
}

const isClose = (a: number, b: number) => a === b || Math.abs(a - b) <= 1e-4 * Math.max(Math.abs(a), Math.abs(b))

function letterIn(text: string): string {
  const plain = text
    .replace(/^\n+|\n+$/g, '')
    .replace(/\.+$/, '')
    .replace(/\/+$/, '')
    .trim()
    .replace(/^:+/, '')
  const letters = plain.toUpperCase().match(/(?<![\p{L}\p{N}_])[A-E](?![\p{L}\p{N}_])/gu)
  return (letters?.at(-1) ?? plain.trim().replace(/^\.+|\.+$/g, '')).replace(/[./]+$/, '')
}

const isBracketed = (text: string) => /^[([].+[)\]]$/s.test(text)
const parts = (text: string, separator: string) => text.split(separator).map((part) => part.trim())
const bare = (text: string) => text.replace(/^[[\]()]+|[[\]()]+$/g, '')

function sameWithoutBrackets(prediction: string, reference: string): boolean {
  let [a, b] = [prediction, reference]
  const opensAs = (text: string, open: string, close: string) => text.startsWith(open) && text.endsWith(close)
  if ((opensAs(a, '[', ']') && !b.startsWith('(')) || (opensAs(a, '(', ')') && !b.startsWith('['))) {
    a = bare(a)
    b = bare(b)
  }
  return a.replace(/[{}()]/g, '').toLowerCase() === b.replace(/[{}()]/g, '').toLowerCase()
}

const MATRIX = /^\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}$/s

function sameMatrices(prediction: string, reference: string): boolean {
  const [a, b] = [MATRIX.exec(prediction)?.[1], MATRIX.exec(reference)?.[1]]
  if (a === undefined || b === undefined) return false
  const rows = (text: string) =>
    parts(text, '\\\\')
      .filter((row) => row !== '')
      .map((row) => row.split('&'))
  const [x, y] = [rows(a), rows(b)]
  return (
    x.length === y.length &&
    x.every((row, i) => row.length === y[i]?.length && row.every((cell, j) => isQwenEqual(cell, y[i]?.[j] as string)))
  )
}

const number = (expr: Expr) => (symbolsOf(expr).size === 0 ? evaluate(expr, () => Number.NaN) : Number.NaN)
const balance = (e: Expr): Expr => (e.kind === 'relation' ? call('+', e.left, call('neg', e.right)) : e)

function sameFormulas(a: string, b: string): boolean {
  const [x, y] = [parseLatex(a.replaceAll('\\\\', '\\')), parseLatex(b.replaceAll('\\\\', '\\'))]
  if (!x || !y) return a === b
  if (x.kind === 'relation' || y.kind === 'relation') {
    if (x.kind !== 'relation' || y.kind !== 'relation' || x.name !== y.name) return false
    const [p, q] = [balance(x), balance(y)]
    return isIdentical(p, q) || (x.name === '=' && isIdentical(p, call('neg', q)))
  }
  return isIdentical(x, y) || isClose(number(x), number(y))
}

const count = (text: string, mark: string) => text.split(mark).length - 1
const isShortName = (text: string) => (text.split('=')[0] as string).trim().length <= 2

function sameEquations(prediction: string, reference: string): boolean {
  const [a, b] = [count(prediction, '='), count(reference, '=')]
  const rightOf = (text: string) => text.split('=')[1] as string
  if (a === 1 && b === 1) {
    const asZero = (text: string) => `${parts(text, '=')[0]} - (${parts(text, '=')[1]})`
    return sameFormulas(asZero(prediction), asZero(reference)) || sameFormulas(`-(${asZero(prediction)})`, asZero(reference))
  }
  if (a === 1 && isShortName(prediction) && b === 0) return isQwenEqual(rightOf(prediction), reference)
  if (b === 1 && isShortName(reference) && a === 0) return isQwenEqual(prediction, rightOf(reference))
  return false
}

/** Whether two answers are equal; both as `stripAnswer` leaves them. */
export function isQwenEqual(prediction: string, reference: string): boolean {
  if (prediction.trim().toLowerCase() === reference.trim().toLowerCase()) return true
  if (/^[A-E]$/.test(reference) && letterIn(prediction) === reference) return true
  const [x, y] = [numberOf(prediction), numberOf(reference)]
  if (x !== undefined && y !== undefined) return [y / 100, y, y * 100].some((gold) => isClose(x, gold))
  if (prediction === '') return false
  const [a, b] = [prediction.trim(), reference.trim()]
  if (sameWithoutBrackets(a, b)) return true
  if (isBracketed(a) && isBracketed(b)) {
    const [p, q] = [a.slice(1, -1).split(','), b.slice(1, -1).split(',')]
    if (p.length === q.length && p.every((part, i) => isQwenEqual(part, q[i] as string))) return true
  }
  return sameMatrices(a, b) || sameEquations(a, b) || sameFormulas(a, b)
}

/**
 * @param gold the answer column, or what stands behind `####`. WHY stripped once more: removed blanks bring `x\\in` to light.
 */
export const gradeQwen = (response: string, gold: string) => isQwenEqual(stripAnswer(extractQwen(response)), stripAnswer(gold))
