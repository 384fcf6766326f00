/**
 * MathVision's own grading (`evaluate.py`): a box, a letter or what follows "the answer is"; equal as text, or as
 * values rounded to two decimals.
 */
import { evaluate, symbolsOf } from './evaluate.ts'
import { type Expr, parseLatex } from './latex.ts'
import { pyFloat, pyFloatText, pyRound } from './python.ts'

const LETTERS = 'ABCDE'
const CUES = ['the final answer is', 'the answer is', 'the correct answer is', 'the answer should be']
const behind = (text: string, mark: string) => text.slice(text.lastIndexOf(mark) + (text.includes(mark) ? mark.length : 1))

const isNumber = (text: string) => pyFloat(text) !== undefined || /^[\p{N}]$/u.test(text)

function letterOf(text: string): string | undefined {
  return [...LETTERS].find(
    (c) =>
      [` ${c}.`, ` (${c}).`].some((end) => text.endsWith(end)) || [`${c}\n`, `(${c})\n`].some((start) => text.startsWith(start)),
  )
}

function withoutCue(text: string): string {
  let answer = text
  for (const cue of CUES.flatMap((c) => [c, c.replace('the', 'The')])) {
    if (!answer.includes(cue)) continue
    answer = (behind(answer, cue).trim().split('\n')[0] as string).split('. ')[0] as string
  }
  return answer.trim()
}

/** The last answer of a solution, cleaned; possibly empty. */
export function extractMathVision(response: string): string {
  let answer = response.trim()
  answer = letterOf(answer) ?? answer
  const last = answer.split('is ').at(-1)?.replace(/\.+$/, '') as string
  if (isNumber(last)) answer = last
  if (!answer.includes('oxed{')) answer = withoutCue(answer)
  else if (answer.split('oxed{').length > 2) answer = `\\boxed{${behind(answer, 'oxed{')}`
  const cleaned = clean(answer).replace(/[({]([a-e])[)}]/g, '$1')
  return cleaned.replace(/\.+$/, '').replace(/^:+/, '').trim()
}

const DROPPED = [' ', '\\,', '\n', '\\text', '\\mbox', '\\left', '\\right', '^{\\circ}', '^\\circ', '{m}^3', 'm^3']
const UNITS = ['{units}', 'units', '{km}', 'km']

function clean(response: string): string {
  const text = response.toLowerCase().replaceAll('{}', '')
  let answer = /oxed\{([\s\S]*)\}/.exec(text)?.[1] ?? text
  const [open, close] = [answer.indexOf('{'), answer.indexOf('}')]
  if (close >= 0 && (open < 0 || close < open)) answer = answer.slice(0, close)
  answer = behind(behind(answer, '='), '\\approx').replaceAll('∞', '\\infty').replaceAll('+\\infty', '\\infty')
  answer = answer.replaceAll('\\\\', '\\').replaceAll('bmatrix', 'pmatrix')
  for (const text of [...DROPPED, ...UNITS]) answer = answer.replaceAll(text, '')
  return strip(answer)
}

function strip(text: string): string {
  let s = text.replaceAll('\\!', '').replaceAll('tfrac', 'frac').replaceAll('dfrac', 'frac')
  s = s.replace(/\\?\$/g, '').replaceAll('\\%', '').replaceAll('%', '').replaceAll(' .', ' 0.').replaceAll('{.', '{0.')
  if (s.startsWith('.')) s = `0${s}`
  if (s === '0.5') return '\\frac{1}{2}'
  const slash = /^(-?\d+)\/(-?\d+)$/.exec(s)
  return slash ? `\\frac{${slash[1]}}{${slash[2]}}` : s
}

const BARE = { whole: true, bareFractions: false, bareRoots: true }
const WHOLE = new Set(['+', '*', 'neg'])

/** Whether Python would compute the formula in whole numbers. */
function isWhole(expr: Expr): boolean {
  if (expr.kind === 'number') return Number.isInteger(expr.value)
  return expr.kind === 'call' && WHOLE.has(expr.name) && expr.args.every(isWhole)
}

/** Rounded to two decimals; undefined where the formula has no value. */
function rounded(latex: string): { value: number; text: string } | undefined {
  const expr = parseLatex(latex, BARE)
  if (!expr || [...symbolsOf(expr)].some((name) => name !== 'pi')) return undefined
  const value = evaluate(expr, () => Math.PI)
  if (!Number.isFinite(value)) return undefined
  return isWhole(expr) ? { value, text: String(value) } : { value: pyRound(value, 2), text: pyFloatText(pyRound(value, 2)) }
}

/** Each part of a tuple or list rounded, where all have a value. */
function evaluatedTuple(text: string): string {
  const brackets = /^([([])(.*)([)\]])$/s.exec(text)
  const parts = brackets?.[2]?.split(',') ?? []
  if (!brackets || parts.length < 2 || `${brackets[1]}${brackets[3]}`.match(/^(\(\)|\[\])$/) === null) return text
  const values = parts.map((part) => (part.includes('infty') || part === 'a' || part === '-a' ? part : rounded(part)?.text))
  return values.includes(undefined) ? text : `${brackets[1]}${values.join(',')}${brackets[3]}`
}

export function isEqual(gold: string, answer: string): boolean {
  const [a, b] = [gold.toLowerCase(), answer.toLowerCase()]
  if (a.replaceAll(' ', '') === '' || b.replaceAll(' ', '') === '') return false
  if (a.trim() === b.trim()) return true
  const [x, y] = [evaluatedTuple(a), evaluatedTuple(b)]
  if (x === y) return true
  const [v, w] = [rounded(x), rounded(y)]
  return v !== undefined && w !== undefined && v.value === w.value
}

export function gradeMathVision(response: string, answer: string, options: readonly string[]): boolean {
  const extracted = extractMathVision(response)
  const content = options.length > 0 ? (options[answer.charCodeAt(0) - 65] ?? '') : ''
  return isEqual(answer, extracted) || isEqual(content, extracted)
}
