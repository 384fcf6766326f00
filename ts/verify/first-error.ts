/**
 * A model as judge of where a solution first goes wrong: a second opinion on what search found. Consensus of both
 * is what Qwen2.5-Math-PRM (arXiv 2501.07301) filters its Monte Carlo labels with.
 */
import type { Decisions } from '../contracts/decisions.ts'
import { policyError } from '../contracts/errors.ts'
import { type Problem, picturesOf } from '../contracts/problem.ts'
import type { AskJudge, FirstError, FirstErrorJudge } from '../contracts/verifier.ts'
import { FENCE_NOTE, quoted } from './fence.ts'
import { askUntilRead, type JudgeOptions } from './judge.ts'

/** Characters that a judge is shown. */
const MAX_QUESTION = 16_000
const MAX_ANSWER = 2_000
/** Of all steps together, in equal shares where they are longer. */
const MAX_STEPS = 64_000
const MIN_STEP = 100

export function firstErrorPrompt({ question, answer }: Problem, steps: readonly string[]): string {
  const isLong = steps.reduce((sum, step) => sum + step.length, 0) > MAX_STEPS
  const most = isLong ? Math.max(MIN_STEP, Math.floor(MAX_STEPS / steps.length)) : MAX_STEPS
  return [
    'Check a solution of a maths question step by step. Later steps that only carry an earlier error on do not matter.',
    FENCE_NOTE,
    '',
    quoted('Question:', question, MAX_QUESTION),
    quoted('Reference answer:', answer, MAX_ANSWER),
    ...steps.map((text, i) => quoted(`Step ${i + 1}:`, text, most)),
    '',
    'Which step is the first wrong one? Reply with its number alone, or with None if every step is right.',
  ].join('\n')
}

/** The number alone, as it was asked for, or a sentence that says no more. */
const NAMED_STEP = /^[^\w-]*(?:step[^\w-]*)?(\d+)(?: is(?: the)?(?: first)? (?:wrong|incorrect)(?: one| step)?)?[^\w-]*$/i

/**
 * Index of the step that is named, null for none, undefined for all other words. WHY so strict: "step 2 is right" and
 * "all 3 steps are right" hold a number too.
 */
export function readFirstError(text: string, numSteps: number): number | null | undefined {
  if (/^\W*none\W*$/i.test(text)) return null
  const index = Number(NAMED_STEP.exec(text)?.[1]) - 1
  return index >= 0 && index < numSteps ? index : undefined
}

/** A judge that is not read so often in a row is no judge. */
const UNREAD_IN_A_ROW = 20

/**
 * @throws EngineError (by the function that is made) POLICY naming the problem: an outage after the last attempt, or words
 *   that could not be read for many solutions in a row; ABORTED
 */
export function firstErrorJudge(ask: AskJudge, options: JudgeOptions = {}): FirstErrorJudge {
  let unread = 0
  return async (problem, steps, signal) => {
    const question = {
      prompt: firstErrorPrompt(problem, steps),
      read: (text: string): FirstError | undefined => readFirstError(text, steps.length),
      unread: 'it named no step',
      otherwise: 'unread' as const,
      images: picturesOf(problem),
    }
    const { value, raw } = await askUntilRead<FirstError>(ask, problem, question, options, signal)
    unread = value === 'unread' ? unread + 1 : 0
    if (unread < UNREAD_IN_A_ROW) return value
    throw policyError(
      `problem ${problem.id}: the judge named no step for ${unread} solutions in a row: ${JSON.stringify(raw.slice(0, 200))}`,
    )
  }
}

/** Asks nothing that is decided already, and keeps what is decided now. */
export function rememberingJudge(judge: FirstErrorJudge, decisions: Decisions<FirstError>): FirstErrorJudge {
  return async (problem, steps, signal) => {
    const key = JSON.stringify([problem.id, steps])
    const known = decisions.find(key)
    if (known !== undefined) return known
    const found = await judge(problem, steps, signal)
    decisions.keep(key, found)
    return found
  }
}
