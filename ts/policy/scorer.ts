/** The package's own engine on a process reward model, as the scorer of a search. */
import { invalidArgument } from '../contracts/errors.ts'
import { type ProblemImage, picturesOf } from '../contracts/problem.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import { questionWithOnePicture } from './one-picture.ts'

export interface ScoreEngine {
  info(): { scoring: string | null }
  identity(): string
  scoreCandidates(call: {
    question: string
    image?: ProblemImage
    solutions: string[][]
    returnLogits: true
    signal?: AbortSignal
  }): Promise<{
    scores: (number[] | null)[]
    logits?: (number[][] | null)[]
    errors: { candidate: number; message: string }[]
  }>
}

/** @param name recorded with a run, so that another model makes another run; default: its family and its identity */
export function nativeScorer(engine: ScoreEngine, name = `${engine.info().scoring}@${engine.identity()}`): StepScorer {
  return {
    name,
    async score({ problem, solutions }, signal) {
      const question = questionWithOnePicture(problem)
      const [image] = picturesOf(problem)
      const { scores, logits, errors } = await engine.scoreCandidates({
        question,
        solutions: solutions.map((steps) => [...steps]),
        returnLogits: true,
        ...(image !== undefined && { image }),
        ...(signal && { signal }),
      })
      if (errors.length === solutions.length && errors[0]) throw invalidArgument(errors[0].message)
      const reasons = new Map(errors.map((error) => [error.candidate, error.message]))
      return scores.map((given, i) => {
        const [raw, error] = [logits?.[i], reasons.get(i)]
        return { scores: given ?? [], ...(raw && { logits: raw }), ...(error !== undefined && { error }) }
      })
    },
  }
}
