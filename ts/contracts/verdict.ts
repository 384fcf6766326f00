/** What the scores of a solution's steps say of them where it is known how low a right step's score may be. */
export interface StepVerdicts {
  /** How far each score falls below the one before; null where none is before. */
  readonly drop: (number | null)[]
  /** Whether the score is below the threshold. */
  readonly flagged: boolean[]
}

export function stepVerdicts(scores: readonly number[], threshold: number): StepVerdicts {
  return {
    drop: scores.map((score, i) => (i === 0 ? null : (scores[i - 1] as number) - score)),
    flagged: scores.map((score) => score < threshold),
  }
}

/** The same of several solutions, null where one has no scores; nothing where no threshold is known. */
export function verdictFields(
  scores: readonly number[] | readonly (readonly number[] | null)[] | null | undefined,
  threshold: number | undefined,
): object {
  if (threshold === undefined || !scores) return {}
  if (isOne(scores)) return { ...stepVerdicts(scores, threshold), threshold }
  const all = scores.map((own) => own && stepVerdicts(own, threshold))
  return { drop: all.map((own) => own?.drop ?? null), flagged: all.map((own) => own?.flagged ?? null), threshold }
}

/** An empty list is a solution without steps, or no solution: both have the same fields. */
const isOne = (scores: readonly number[] | readonly (readonly number[] | null)[]): scores is readonly number[] =>
  typeof scores[0] === 'number'
