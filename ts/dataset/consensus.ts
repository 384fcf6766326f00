/** Consensus filtering: a sample is kept where a judge finds the same first error as the search, or none either. */
import type { FirstErrorJudge } from '../contracts/verifier.ts'
import type { Sample } from './sample.ts'

/** Index of the first step from which no rollout came right; null in a sample that ends in a right answer. */
export function firstErrorOf({ kind, steps }: Sample): number | null {
  if (kind === 'positive') return null
  return steps.findIndex(({ counts }) => counts !== null && counts.total > 0 && counts.correct === 0)
}

/** The samples that the judge agrees with; all of them without one. */
export async function consensus(
  samples: readonly Sample[],
  judge?: FirstErrorJudge,
  signal?: AbortSignal,
): Promise<readonly Sample[]> {
  if (!judge) return samples
  const texts = (sample: Sample) => sample.steps.map((step) => step.text)
  const found = await Promise.all(samples.map((sample) => judge(sample.problem, texts(sample), signal)))
  return samples.filter((sample, i) => found[i] === firstErrorOf(sample))
}
