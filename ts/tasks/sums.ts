/**
 * Sums in words, made by seed, without a picture: every step is an equation of plain numbers, so that code can check it. What
 * code cannot see is an equation that holds and is not the one that was asked for.
 */
import { seededRandom } from '../contracts/random.ts'
import type { Level } from './family.ts'

export interface SumProblem {
  id: string
  level: Level
  question: string
  answer: string
  /** The one plan of equations; the answer is not among them. */
  steps: readonly string[]
}

type Sign = '+' | '-' | '*'

interface Operation {
  sign: Sign
  by: number
}

const WORDS: Record<Sign, readonly string[]> = {
  '+': ['Add #.', 'Then add #.'],
  '-': ['Subtract #.', 'Take # away.'],
  '*': ['Multiply by #.', 'Take it # times.'],
}
const STARTS = ['Start with #.', 'Begin with #.']

const apply: Record<Sign, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
}

/** Share of written solutions that go wrong, as a corpus of pupils' work would have it. */
const MISTAKE_RATE = 0.5
/** Beyond it nothing is multiplied. */
const MOST_MULTIPLIED = 40

const equation = (a: number, sign: Sign, b: number, result: number) => `${a} ${sign} ${b} = ${result}.`

interface Draft extends SumProblem {
  start: number
  operations: readonly Operation[]
}

function draft(seed: string | number, index: number, levels: readonly Level[]): Draft {
  const id = `sums/${seed}/${index}`
  const random = seededRandom(id)
  const int = (low: number, high: number) => low + Math.floor(random() * (high - low + 1))
  const pick = <T>(list: readonly T[]) => list[int(0, list.length - 1)] as T
  const level = pick(levels)
  const start = int(3, 30)
  const operations: Operation[] = []
  const words = [pick(STARTS).replace('#', String(start))]
  const steps: string[] = []
  let value = start
  for (let i = 0; i <= level; i++) {
    const signs: Sign[] = ['+', ...(value > 4 ? (['-'] as const) : []), ...(value <= MOST_MULTIPLIED ? (['*'] as const) : [])]
    const sign = pick(signs)
    const by = sign === '*' ? int(2, 6) : sign === '-' ? int(2, Math.min(40, value - 2)) : int(2, 40)
    const result = apply[sign](value, by)
    operations.push({ sign, by })
    words.push(pick(WORDS[sign]).replace('#', String(by)))
    steps.push(equation(value, sign, by, result))
    value = result
  }
  const question = `${words.join(' ')} What is the result?`
  return { id, level, question, answer: String(value), steps, start, operations }
}

/** Problem number `index` of a seed: of two operations at level 1, four at level 3. */
export function sumProblem(seed: string | number, index: number, levels: readonly Level[] = [1, 2, 3]): SumProblem {
  const { start: _, operations: __, ...problem } = draft(seed, index, levels)
  return problem
}

/**
 * The solution that a policy is shown. Half of them go wrong at one step: a carry is lost, which code sees, or a number is added
 * that was to be taken away (or the other way round), which it does not. What follows carries the error on.
 * @param writer another one makes other mistakes
 */
export function writtenSum(
  seed: string | number,
  index: number,
  writer: string | number = 0,
): { steps: string[]; answer: string } {
  const { id, start, operations } = draft(seed, index, [1, 2, 3])
  const random = seededRandom(`${id}/mistake/${writer}`)
  const wrongAt = random() < MISTAKE_RATE ? Math.floor(random() * operations.length) : -1
  const losesCarry = random() < 0.5
  const steps: string[] = []
  let value = start
  for (const [i, { sign, by }] of operations.entries()) {
    const isWrong = i === wrongAt
    const used = isWrong && !losesCarry && sign !== '*' ? (sign === '+' ? '-' : '+') : sign
    const slip = isWrong && used === sign ? (sign === '-' ? 10 : -10) : 0
    const result = apply[used](value, by) + slip
    steps.push(equation(value, used, by, result))
    value = result
  }
  return { steps, answer: String(value) }
}

const EQUATION = /^\D*?(-?\d+)\s*([-+*/])\s*(-?\d+)\s*=\s*(-?\d+)\.?\s*$/

/** A step as a comparison that Python, say, can evaluate: `12 * 7 == 84`; undefined for a step that is no equation. */
export function comparisonOf(step: string): string | undefined {
  const [, a, sign, b, result] = EQUATION.exec(step) ?? []
  return a === undefined ? undefined : `${a} ${sign} ${b} == ${result}`
}

/** Truth about a solution's steps, the answer being the last of them: right is what the plan says, behind right ones alone. */
export function checkSum({ steps: plan, answer }: SumProblem, steps: readonly string[]): boolean[] {
  let right = true
  return steps.map((step, i) => {
    const expected = plan[i]
    right &&= expected === undefined ? i === plan.length && step.trim() === answer : comparisonOf(step) === comparisonOf(expected)
    return right
  })
}
