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

/** Choices of a multiple-choice question, where the problem's own columns list them. */
function choicesOf(problem: Problem): readonly string[] | undefined {
  const choices = problem.meta?.['choices']
  return Array.isArray(choices) && choices.every((c) => typeof c === 'string') ? choices : undefined
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
