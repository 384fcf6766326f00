/** Scored solutions of a problem, as Best-of-N and beam search end with them. */
import { policyError } from '../contracts/errors.ts'
import type { CandidateRecord, RolloutRecord } from '../contracts/records.ts'
import type { StepScores } from '../contracts/scorer.ts'
import type { SearchContext } from './strategy.ts'

/** One entry per solution; undefined for one that cannot be scored. Without a scorer, none has scores. */
export async function scoreSolutions(
  { problem, scorer }: SearchContext,
  solutions: readonly (readonly string[])[],
  signal: AbortSignal,
): Promise<(StepScores | undefined)[]> {
  if (!scorer || solutions.length === 0) return solutions.map(() => undefined)
  const results = await scorer.score({ problem, solutions }, signal)
  for (const [i, solution] of solutions.entries()) {
    const given = results[i]?.scores.length ?? 0
    if (given === solution.length || results[i]?.error !== undefined) continue
    throw policyError(`problem "${problem.id}": ${scorer.name} gave ${given} scores for a solution of ${solution.length} steps`)
  }
  return results.map((scored) => (scored.error === undefined ? scored : undefined))
}

export function toCandidate(
  problemId: string,
  index: number,
  prefix: readonly string[],
  { outcome, steps, answer, correct }: RolloutRecord,
  scored: StepScores | undefined,
): CandidateRecord {
  return {
    ...{ problemId, index, outcome, steps: [...prefix, ...steps], answer, correct },
    ...(scored && { scores: scored.scores }),
    ...(scored?.logits && { logits: scored.logits }),
    ...(scored?.std && { std: scored.std }),
  }
}
