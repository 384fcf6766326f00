/** The package's own engine on a process reward model, as the scorer of a search. */
import type { ProblemImage } from '../contracts/problem.ts'
import type { StepScorer } from '../contracts/scorer.ts'

export interface ScoreEngine {
  info(): { scoring: string | null }
  identity(): string
  scoreSteps(call: {
    question: string
    image?: ProblemImage
    solutions: string[][]
    returnLogits: true
    signal?: AbortSignal
  }): Promise<{ scores: number[]; logits: number[][] }[]>
}

/** @param name recorded with a run, so that another model makes another run; default: its family and its identity */
export function nativeScorer(engine: ScoreEngine, name = `${engine.info().scoring}@${engine.identity()}`): StepScorer {
  return {
    name,
    score({ problem, solutions }, signal) {
      return engine.scoreSteps({
        question: problem.question,
        solutions: solutions.map((steps) => [...steps]),
        returnLogits: true,
        ...(problem.image !== undefined && { image: problem.image }),
        ...(signal && { signal }),
      })
    },
  }
}
