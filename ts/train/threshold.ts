/** Where the scores of right steps end and those of wrong ones begin, fitted on steps that were not learnt from. */

export interface HeldOutStep {
  readonly score: number
  /** Share of what was tried from there that ended right: 0 is a wrong step, as `mm-prm dataset --label hard` has it. */
  readonly label: number
  readonly weight: number
}

/**
 * The threshold with the largest balanced accuracy, that is the mean share of right steps at or above it and of wrong steps below;
 * the middle one of equals. Right steps are many and wrong ones few, and a plain accuracy would call every step right.
 * @returns undefined where there are no steps of both kinds, or no threshold is better than none
 */
export function fitThreshold(steps: readonly HeldOutStep[]): number | undefined {
  const weightOf = (isRight: boolean) => steps.reduce((sum, s) => (s.label > 0 === isRight ? sum + s.weight : sum), 0)
  const [right, wrong] = [weightOf(true), weightOf(false)]
  if (right === 0 || wrong === 0) return undefined
  const sorted = [...steps].sort((a, b) => a.score - b.score)
  let [gain, best] = [0, 1e-9] // shares of wrong steps below, less those of right ones: 0 where every step is on one side
  let cuts: number[] = []
  for (const [i, { score, label, weight }] of sorted.entries()) {
    gain += label > 0 ? -weight / right : weight / wrong
    const next = sorted[i + 1]?.score
    if (next === undefined || next === score || gain < best - 1e-12) continue
    if (gain > best + 1e-12) [best, cuts] = [gain, []]
    cuts.push((score + next) / 2)
  }
  return cuts[(cuts.length - 1) >> 1]
}
