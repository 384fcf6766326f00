/**
 * MathVista's own grading: an answer is extracted by rules, else by a model; it is brought into the form of the
 * question's type, and compared as text. An unreadable choice becomes the nearest option.
 */
import { pyFloat, pyFloatText, pyInt, pyRound } from './python.ts'

export interface MathVistaQuestion {
  readonly answer: string
  readonly question_type: string
  readonly answer_type: string
  readonly choices?: readonly string[] | null | undefined
  readonly precision?: number | null | undefined
}

/** What the rules alone read out of a response; null where a model would be asked. */
export function extractByRules(response: string, q: MathVistaQuestion): string | null {
  if (response === '') return ''
  if (q.question_type === 'multi_choice' && q.choices?.includes(response)) return response
  if (q.answer_type === 'integer') {
    const whole = pyInt(response)
    if (whole !== undefined) return whole
  }
  if (q.answer_type === 'float') {
    const value = pyFloat(response)
    if (value !== undefined) return pyFloatText(value)
  }
  return /The answer is "(.*)"\./.exec(response)?.[1] ?? null
}

/** Number of characters to insert, delete or replace. */
export function editDistance(a: string, b: string): number {
  const [x, y] = [[...a], [...b]]
  let row = Array.from({ length: y.length + 1 }, (_, j) => j)
  for (let i = 1; i <= x.length; i++) {
    const next = [i]
    for (let j = 1; j <= y.length; j++) {
      const change = (row[j - 1] as number) + (x[i - 1] === y[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[y.length] as number
}

function nearest(text: string, choices: readonly string[]): string | null {
  const distances = choices.map((choice) => editDistance(text, choice))
  return choices[distances.indexOf(Math.min(...distances))] ?? null
}

const MAX_COMPARED = 4000

function normalizeChoice(extraction: string, choices: readonly string[]): string | null {
  const trimmed = extraction.trim().slice(0, MAX_COMPARED)
  const letter = /\(([a-zA-Z])\)/.exec(trimmed)?.[1]?.toUpperCase() ?? trimmed
  const index = letter.length === 1 ? letter.charCodeAt(0) - 65 : -1
  return choices[index] ?? nearest(letter, choices)
}

/** The extraction in the form that the gold answer has; null where it cannot be brought into it. */
export function normalizeExtraction(extraction: string, q: MathVistaQuestion): string | null {
  if (q.question_type === 'multi_choice') return normalizeChoice(extraction, q.choices ?? [])
  if (q.answer_type === 'integer') {
    const value = pyFloat(extraction)
    if (value === undefined || !Number.isFinite(value)) return null
    const whole = Math.trunc(value)
    return whole === 0 ? '0' : BigInt(whole).toString()
  }
  if (q.answer_type === 'float') {
    const value = pyFloat(extraction)
    if (value === undefined || q.precision === null || q.precision === undefined) return null
    return pyFloatText(pyRound(value, Math.trunc(q.precision)))
  }
  return extraction
}

/** @param extraction what a model read, asked where the rules find nothing; absent: it is not asked, and there is no verdict */
export function gradeMathVista(response: string, q: MathVistaQuestion, extraction?: string | null): boolean | null {
  const extracted = extractByRules(response, q) ?? (extraction === undefined ? null : (extraction ?? ''))
  return extracted === null ? null : normalizeExtraction(extracted, q) === q.answer
}
