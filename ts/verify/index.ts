/** Verification of answers: rules first, a judge where they cannot decide. */
import type { Problem } from '../contracts/problem.ts'
import { type AskJudge, UNDECIDED, type Verdict, type Verifier } from '../contracts/verifier.ts'
import { canDecide, type VerifyOptions, verifyAnswer } from './equivalent.ts'
import { readAnswerBlock } from './extract.ts'
import { type JudgeOptions, judge } from './judge.ts'

export { canonicalAnswers } from './canonical.ts'
export { canDecide, type VerifyOptions, verifyAnswer } from './equivalent.ts'
export { type ExtractKind, extractAnswer, readAnswerBlock } from './extract.ts'
export { firstErrorJudge, firstErrorPrompt, readFirstError, rememberingJudge } from './first-error.ts'
export { type JudgeOptions, judgePrompt, readJudgement } from './judge.ts'

export interface RuleVerifierOptions extends Omit<VerifyOptions, 'choices' | 'extract'> {
  /** Asked where the rules find no match and one side is beyond them (words, unknown commands, what is too large). */
  judge?: { ask: AskJudge } & JudgeOptions
}

/** Choices of a multiple-choice question, where the problem's own columns list them: ["12", "15"] or {"A": "12", "B": "15"}. */
function choicesOf(problem: Problem): readonly string[] | undefined {
  const given = problem.meta?.['choices'] ?? problem.meta?.['options']
  if (typeof given !== 'object' || given === null) return undefined
  const isLettered = !Array.isArray(given)
  const names = Object.keys(given).sort()
  if (isLettered && !names.every((name, i) => name === String.fromCharCode(65 + i))) return undefined
  const choices: unknown[] = isLettered ? names.map((name) => (given as Record<string, unknown>)[name]) : given
  const isPlain = choices.length > 0 && choices.every((c) => typeof c === 'string' || typeof c === 'number')
  return isPlain ? choices.map(String) : undefined
}

/** The verifier of a run: deterministic unless a judge is given. */
export function ruleVerifier(options: RuleVerifierOptions = {}): Verifier {
  const { judge: judgeOptions, ...rules } = options
  return {
    name: judgeOptions ? `rules+judge${judgeOptions.name === undefined ? '' : `:${judgeOptions.name}`}` : 'rules',
    extract: readAnswerBlock,
    async verify(problem, answer, signal): Promise<Verdict> {
      const verdict = verifyAnswer(problem.answer, answer, { ...rules, choices: choicesOf(problem) })
      const isDecided = verdict.method !== UNDECIDED && canDecide(problem.answer, answer)
      if (verdict.match || !judgeOptions || isDecided) return verdict
      return judge(judgeOptions.ask, problem, answer, judgeOptions, signal)
    },
  }
}
