/**
 * A policy with known truth: every step is right or carries the mark "(!)" of an error, and an error is repaired
 * only by rare luck. Problems differ in difficulty. Rollouts depend on (seed, index, prefix) alone.
 */
import type { Rollout, RolloutRequest } from '../../ts/contracts/policy.ts'
import type { Problem } from '../../ts/contracts/problem.ts'
import { hash32, seededRandom } from '../../ts/contracts/random.ts'
import type { Verifier } from '../../ts/contracts/verifier.ts'

const WORDS = 'angle area sum side equal triangle therefore add divide measure half circle ratio point line'.split(' ')

export interface SimulationOptions {
  /** Chance that a step goes wrong: from the first to the second, by problem. */
  errorRate: [number, number]
  /** Chance that a solution with an error still ends in the right answer. */
  luck: number
  unparsed: number
  truncated: number
  /** Steps of a solution, the answer included. */
  numSteps: [number, number]
}

export const DEFAULT_SIMULATION: SimulationOptions = {
  errorRate: [0.05, 0.35],
  luck: 0.01,
  unparsed: 0.05,
  truncated: 0.02,
  numSteps: [4, 9],
}

export const isWrongStep = (step: string) => step.includes('(!)')

export function simulatedProblem(index: number): Problem {
  return { id: `sim-${index}`, question: `What is the value of x in problem ${index}?`, answer: String(100 + (index % 800)) }
}

/** What the simulated policy writes after a prefix. */
export function simulate(request: RolloutRequest, index: number, options = DEFAULT_SIMULATION): Rollout {
  const { problem, prefix } = request
  const random = seededRandom(`${request.seed}/${index}`)
  const within = ([low, high]: [number, number], x: number) => low + (high - low) * x
  const errorRate = within(options.errorRate, hash32(problem.id) / 2 ** 32)
  const length = Math.max(prefix.length + 1, Math.floor(within(options.numSteps, random()) + 0.5))
  let wrong = prefix.some(isWrongStep)
  const steps: string[] = []
  for (let i = prefix.length; i < length - 1; i++) {
    const words = Array.from({ length: 3 + Math.floor(random() * 20) }, () => WORDS[Math.floor(random() * WORDS.length)])
    const slips = random() < errorRate
    wrong ||= slips
    steps.push(`Step ${i + 1}: ${words.join(' ')} = ${Math.floor(random() * 1000)}${slips ? ' (!)' : ''}`)
    if (steps.length === request.maxSteps)
      return { outcome: 'stopped', steps, text: steps.join('\n'), numTokens: steps.length * 20 }
  }
  const fate = random()
  const numTokens = steps.length * 20
  if (fate < options.unparsed) return { outcome: 'unparsed', steps: [], text: 'I cannot tell.', numTokens }
  if (fate < options.unparsed + options.truncated) return { outcome: 'truncated', steps, text: steps.join('\n'), numTokens }
  const right = !wrong || random() < options.luck
  const value = right ? problem.answer : String(1 + Math.floor(random() * 90))
  steps.push(`The final answer is ${value}${right ? '' : ' (!)'}`)
  return { outcome: 'complete', steps, text: steps.join('\n'), numTokens }
}

export const simulatedVerifier: Verifier = {
  name: 'simulated',
  extract: (text) => /^The final answer is (\d+)/.exec(text)?.[1] ?? null,
  verify: async (problem, answer) => ({ match: answer === problem.answer, method: 'exact' }),
}
