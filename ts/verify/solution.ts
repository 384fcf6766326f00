/** Whether a solution, or an answer, is right by what its problem says of the answer: options, tolerance, several golds. */
import type { Problem } from '../contracts/problem.ts'
import { UNDECIDED, type Verdict } from '../contracts/verifier.ts'
import { canDecide, type VerifyOptions, verifyAnswer } from './equivalent.ts'
import { extractAnswer } from './extract.ts'

/** Choices of a multiple-choice question, in a column of their own or the problem's: ["12", "15"] or {"A": "12", "B": "15"}. */
export function choicesOf(problem: Problem): readonly string[] | undefined {
  if (problem.choices) return problem.choices
  const given = problem.meta?.['choices'] ?? problem.meta?.['options']
  if (typeof given !== 'object' || given === null) return undefined
  const isLettered = !Array.isArray(given)
  const names = Object.keys(given).sort()
  if (isLettered && !names.every((name, i) => name === String.fromCharCode(65 + i))) return undefined
  const choices: unknown[] = isLettered ? names.map((name) => (given as Record<string, unknown>)[name]) : given
  const isPlain = choices.length > 0 && choices.every((c) => typeof c === 'string' || typeof c === 'number')
  return isPlain ? choices.map(String) : undefined
}

const THOUSANDS = /^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$/
const DECIMAL = /^([+-]?\d+(?:\.\d+)?)(\\pi|π)?(?=$|[^\d.e^*/+-])/

/** Decimals of a list in their order, any unit behind them left out; undefined where something else is in it. */
function decimalsOf(text: string): number[] | undefined {
  const plain = text.replace(/\\boxed\{([^{}]*)\}/g, '$1').replace(/[$\s]|\\[,;!]/g, '')
  const parts = THOUSANDS.test(plain) ? [plain.replaceAll(',', '')] : plain.split(',')
  const found = parts.map((part) => DECIMAL.exec(part))
  return found.every((match) => match !== null) ? found.map(([, digits, pi]) => Number(digits) * (pi ? Math.PI : 1)) : undefined
}

/** WHY: 5.8 is within 0.1 of 5.7, but as a number is not. */
const ROUNDING = 1e-9

/** Numbers that are as near to the gold ones as the problem allows; in any order, each tolerance its gold value's own. */
function isNear(gold: string, answer: string, { tolerance, precision }: Problem): boolean {
  if (tolerance === undefined && precision === undefined) return false
  const [golds, given] = [decimalsOf(gold), decimalsOf(answer)]
  if (!golds || !given || golds.length !== given.length) return false
  const allowed = (i: number) =>
    (typeof tolerance === 'number' ? tolerance : tolerance?.[i]) ?? (precision === undefined ? 0 : 0.5 * 10 ** -precision)
  const left = [...given]
  return golds.every((value, i) => {
    const match = left.findIndex(
      (other) => Math.abs(other - value) <= allowed(i) * (1 + ROUNDING) + Number.EPSILON * Math.abs(value),
    )
    if (match >= 0) left.splice(match, 1)
    return match >= 0
  })
}

/** By rules. `isDecided`: false where they find no match, and one side is beyond them. */
export function verifyProblem(problem: Problem, answer: string, options: VerifyOptions = {}): Verdict & { isDecided: boolean } {
  const choices = choicesOf(problem)
  let isDecided = true
  let first: Verdict | undefined
  for (const gold of [problem.answer, ...(problem.answers ?? [])]) {
    const verdict = verifyAnswer(gold, answer, { ...options, ...(choices && { choices }) })
    if (verdict.match) return { ...verdict, isDecided: true }
    if (isNear(gold, extractAnswer(answer) ?? answer, problem)) return { match: true, method: 'tolerance', isDecided: true }
    isDecided &&= verdict.method !== UNDECIDED && canDecide(gold, answer, choices)
    first ??= verdict
  }
  return { ...(first as Verdict), isDecided }
}
