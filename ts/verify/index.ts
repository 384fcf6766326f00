/** Verification of answers: rules first, a judge where they cannot decide. */
import type { AskJudge, Verdict, Verifier } from '../contracts/verifier.ts'
import type { VerifyOptions } from './equivalent.ts'
import { readAnswerBlock } from './extract.ts'
import { type JudgeOptions, judge } from './judge.ts'
import { verifyProblem } from './solution.ts'

export { canonicalAnswers } from './canonical.ts'
export { canDecide, type VerifyOptions, verifyAnswer } from './equivalent.ts'
export { type ExtractKind, extractAnswer, readAnswerBlock } from './extract.ts'
export { firstErrorJudge, firstErrorPrompt, readFirstError, rememberingJudge } from './first-error.ts'
export { type JudgeOptions, judge, judgePrompt, readJudgement } from './judge.ts'
export { choicesOf, verifyProblem } from './solution.ts'

export interface RuleVerifierOptions extends Omit<VerifyOptions, 'choices' | 'extract'> {
  /** Asked where the rules find no match and one side is beyond them (words, unknown commands, what is too large). */
  judge?: { ask: AskJudge } & JudgeOptions
}

/** The verifier of a run: deterministic unless a judge is given. */
export function ruleVerifier(options: RuleVerifierOptions = {}): Verifier {
  const { judge: judgeOptions, ...rules } = options
  return {
    name: judgeOptions ? `rules+judge${judgeOptions.name === undefined ? '' : `:${judgeOptions.name}`}` : 'rules',
    extract: readAnswerBlock,
    async verify(problem, answer, signal): Promise<Verdict> {
      const { isDecided, ...verdict } = verifyProblem(problem, answer, rules)
      if (verdict.match || !judgeOptions || isDecided) return verdict
      return judge(judgeOptions.ask, problem, answer, judgeOptions, signal)
    },
  }
}
