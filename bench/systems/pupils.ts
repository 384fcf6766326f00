/**
 * Sums as pupils work them, without a model: next steps behind any beginning, so that searches can be run. How often an operation goes
 * wrong, and in which way, is each problem's own: what most solutions say is not always right.
 */
import { seededRandom } from '../../ts/contracts/random.ts'
import { type Policy, type Problem, policy as policies } from '../../ts/index.ts'
import { checkSum, comparisonOf, type SumProblem, sumProblem } from '../../ts/tasks/sums.ts'
import type { StepTokens } from './cost.ts'
import type { Truth } from './judges.ts'

type Sign = '+' | '-' | '*'

const APPLY: Record<Sign, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
}
const MISTAKEN: Record<Sign, Sign> = { '+': '-', '-': '+', '*': '+' }

/** Chances of an operation to go wrong lie between. */
const MISTAKE_RATES = [0.1, 0.6] as const
/** Of the ways to go wrong: a carry is lost, which only arithmetic tells. The other one is a wrong sign, which the question tells. */
const CARRY_SHARE = 0.2
/** Three operations. */
const LEVEL = 2

export interface Pupils {
  readonly problems: readonly Problem[]
  readonly policy: Policy
  readonly truths: ReadonlyMap<string, Truth>
}

/** A plan's step, taken apart. */
function operationOf(step: string): { before: number; sign: Sign; by: number } {
  const [before, sign, by] = (comparisonOf(step) as string).split(' ') as [string, Sign, string]
  return { before: Number(before), sign, by: Number(by) }
}

const resultOf = (step: string) => Number(/(-?\d+)\.$/.exec(step)?.[1])

function nextStep({ id, steps: plan }: SumProblem, steps: readonly string[], random: () => number): string {
  const at = steps.length
  const { before, sign, by } = operationOf(plan[at] as string)
  const last = steps.at(-1)
  const value = last === undefined ? before : resultOf(last) // a mistake is carried on
  const habit = seededRandom(`${id}/habit/${at}`)
  const rate = MISTAKE_RATES[0] + (MISTAKE_RATES[1] - MISTAKE_RATES[0]) * habit()
  const losesCarry = habit() < CARRY_SHARE
  const isWrong = random() < rate
  const used = isWrong && !losesCarry ? MISTAKEN[sign] : sign
  const slip = isWrong && losesCarry ? (sign === '-' ? 10 : -10) : 0
  return `${value} ${used} ${by} = ${APPLY[used](value, by) + slip}.`
}

/** @param series names the problems: another one, other problems */
export function pupils(series: string, count: number, tokens: StepTokens): Pupils {
  const sums = Array.from({ length: count }, (_, i) => sumProblem(`systems/${series}`, i, [LEVEL]))
  const byId = new Map(sums.map((sum) => [sum.id, sum]))
  const policy = policies.scriptedPolicy(
    ({ problem, prefix, seed, maxSteps = Number.POSITIVE_INFINITY }, index) => {
      const sum = byId.get(problem.id)
      if (!sum) throw new Error(`pupils of ${series} were asked about ${problem.id}`)
      const random = seededRandom(`${problem.id}/${seed}/${index}`)
      const steps = [...prefix]
      const room = prefix.length + maxSteps
      while (steps.length < sum.steps.length && steps.length < room) steps.push(nextStep(sum, steps, random))
      const isWhole = steps.length < room
      if (isWhole) steps.push(String(resultOf(steps.at(-1) as string)))
      const own = steps.slice(prefix.length)
      const numTokens = own.reduce((total, step) => total + tokens(step), 0)
      return { outcome: isWhole ? 'complete' : 'stopped', steps: own, text: own.join('\n'), numTokens }
    },
    { model: 'pupils' },
  )
  const problems = sums.map(({ id, question, answer }) => ({ id, question, answer }))
  return { problems, policy, truths: new Map(sums.map((sum) => [sum.id, (steps) => checkSum(sum, steps)])) }
}
