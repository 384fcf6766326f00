/**
 * A model as judge of where a solution first goes wrong: a second opinion on what search found. Consensus of both
 * is what Qwen2.5-Math-PRM (arXiv 2501.07301) filters its Monte Carlo labels with.
 */
import type { Decisions } from '../contracts/decisions.ts'
import type { Problem } from '../contracts/problem.ts'
import type { AskJudge, FirstErrorJudge } from '../contracts/verifier.ts'
import { askUntilRead, type JudgeOptions } from './judge.ts'

export function firstErrorPrompt({ question, answer }: Problem, steps: readonly string[]): string {
  return [
    'Check a solution of a maths question step by step. Later steps that only carry an earlier error on do not matter.',
    '',
    `Question: ${question}`,
    `Reference answer: ${answer}`,
    ...steps.map((text, i) => `Step ${i + 1}: ${text}`),
    '',
    'Which step is the first wrong one? Reply with its number alone, or with None if every step is right.',
  ].join('\n')
}

/** Index of the step that is named, null for none, undefined where the text names nothing, or several. */
export function readFirstError(text: string, numSteps: number): number | null | undefined {
  const words = new Set(text.toLowerCase().match(/\bnone\b|\d+/g) ?? [])
  const [word, ...more] = words
  if (word === undefined || more.length > 0) return undefined
  if (word === 'none') return null
  const index = Number(word) - 1
  return index >= 0 && index < numSteps ? index : undefined
}

/** @throws EngineError (by the function that is made) POLICY naming the problem after the last attempt; ABORTED */
export function firstErrorJudge(ask: AskJudge, options: JudgeOptions = {}): FirstErrorJudge {
  return async (problem, steps, signal) => {
    const question = {
      prompt: firstErrorPrompt(problem, steps),
      read: (text: string) => readFirstError(text, steps.length),
      unread: 'it named no step',
      ...(problem.image !== undefined && { image: problem.image }),
    }
    return (await askUntilRead(ask, problem, question, options, signal)).value
  }
}

/** Asks nothing that is decided already, and keeps what is decided now. */
export function rememberingJudge(judge: FirstErrorJudge, decisions: Decisions<number | null>): FirstErrorJudge {
  return async (problem, steps, signal) => {
    const key = JSON.stringify([problem.id, steps])
    const known = decisions.find(key)
    if (known !== undefined) return known
    const found = await judge(problem, steps, signal)
    decisions.keep(key, found)
    return found
  }
}
