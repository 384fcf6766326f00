/** DynaMath's own grading: the `short answer` of a JSON object, in the two ways that its scripts read one. */
import { pyFloat } from './python.ts'

export interface DynaMathQuestion {
  readonly ground_truth: string
  readonly answer_type: string
}

/** A JSON text read as its script does; control characters may stand in strings where it says so. undefined: no JSON. */
function readJson(text: string, allowControls: boolean): unknown {
  const escaped = allowControls ? text.replace(/[\0-\x1f]/g, (c) => (/[\n\r\t]/.test(c) ? ' ' : '')) : text
  try {
    return JSON.parse(escaped)
  } catch {
    return undefined
  }
}

/** `str(value)` of a JSON value as far as verdicts depend on it. */
function pyText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (Array.isArray(value)) return `[${value.map((v) => (typeof v === 'string' ? `'${v}'` : pyText(v))).join(', ')}]`
  return typeof value === 'number' ? String(value) : JSON.stringify(value)
}

const shortAnswer = (value: unknown) => (value as Record<string, unknown>)['short answer']
const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** As `opensource_json_eval.py`: backslashes are dropped; without JSON it is the last line less its last character. */
export function readLeniently(response: string): string {
  const text = response.replaceAll('\\', '')
  const whole = readJson(text, true)
  if (whole !== undefined && !isObject(whole)) return ''
  const inner = text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)
  const object = isObject(whole) ? whole : text.includes('{') ? readJson(inner, true) : undefined
  if (isObject(object) && 'short answer' in (object as object)) return pyText(shortAnswer(object))
  const last = text.split('\n').at(-1) as string
  return last.slice(0, -1)
}

/** As `gpt_4o_json_eval.py`: JSON or nothing; null where the script stops. */
export function readStrictly(response: string): string | null {
  const whole = readJson(response, false)
  if (whole === undefined) return ''
  if (!isObject(whole)) return null
  return 'short answer' in (whole as object) ? pyText(shortAnswer(whole)) : ''
}

function isRight(answer: string, { ground_truth, answer_type }: DynaMathQuestion): boolean {
  if (answer_type === 'multiple choice') return answer.slice(0, 3).includes(ground_truth)
  if (answer_type !== 'float') return answer.includes(ground_truth)
  const gold = pyFloat(ground_truth)
  const first = answer.split(' ')[0] as string
  const value = pyFloat(first) ?? (first.endsWith('π') ? timesPi(first.slice(0, -1)) : undefined)
  return gold !== undefined && value !== undefined && Math.abs(value - gold) <= 0.001
}

function timesPi(text: string): number | undefined {
  const factor = pyFloat(text)
  return factor === undefined ? undefined : factor * Math.PI
}

export const gradeDynaMath = (response: string, q: DynaMathQuestion) => isRight(readLeniently(response), q)

export function gradeDynaMathStrictly(response: string, q: DynaMathQuestion): boolean | null {
  const answer = readStrictly(response)
  return answer === null ? null : isRight(answer, q)
}

/** The `short answer` of the JSON object that a response holds, fenced or among words; undefined where it holds none. */
export function readShortAnswer(response: string): string | undefined {
  const inner = response.slice(response.indexOf('{'), response.lastIndexOf('}') + 1)
  const object = readJson(inner, true) ?? readJson(inner.replace(/\\(?!["\\/u])/g, '\\\\'), true)
  if (!isObject(object) || !('short answer' in (object as object))) return undefined
  return pyText(shortAnswer(object))
}
