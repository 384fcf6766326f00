/** The package's own engine on a process reward model, as the scorer of a search. */
import { invalidArgument } from '../contracts/errors.ts'
import { askedQuestion, type ProblemImage } from '../contracts/problem.ts'
import type { StepScorer } from '../contracts/scorer.ts'

export interface ScoreEngine {
  info(): { scoring: string | null }
  identity(): string
  /** What its checkpoint records. */
  stepThreshold?(): number | undefined
  scoreCandidates(call: {
    question: string
    images?: ProblemImage[]
    solutions: string[][]
    returnLogits: true
    signal?: AbortSignal
  }): Promise<{
    scores: (number[] | null)[]
    logits?: (number[][] | null)[]
    std?: (number[] | null)[]
    errors: { candidate: number; message: string }[]
  }>
}

/** @param name recorded with a run, so that another model makes another run; default: its family and its identity */
export function nativeScorer(engine: ScoreEngine, name = `${engine.info().scoring}@${engine.identity()}`): StepScorer {
  const threshold = engine.stepThreshold?.()
  return {
    name,
    ...(threshold !== undefined && { threshold }),
    async score({ problem, solutions }, signal) {
      const { scores, logits, std, errors } = await engine.scoreCandidates({
        ...askedQuestion(problem),
        solutions: solutions.map((steps) => [...steps]),
        returnLogits: true,
        ...(signal && { signal }),
      })
      if (errors.length === solutions.length && errors[0]) throw invalidArgument(errors[0].message)
      const reasons = new Map(errors.map((error) => [error.candidate, error.message]))
      return scores.map((given, i) => {
        const [raw, spread, error] = [logits?.[i], std?.[i], reasons.get(i)]
        return {
          scores: given ?? [],
          ...(raw && { logits: raw }),
          ...(spread && { std: spread }),
          ...(error !== undefined && { error }),
        }
      })
    },
  }
}
