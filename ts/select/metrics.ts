/** Accuracies of choices, exact where a formula exists, and their bootstrap intervals. */
import { seededRandom } from '../contracts/random.ts'

export interface Estimate {
  /** Mean over problems, in [0, 1]. */
  value: number
  /** 95 % percentile bootstrap over problems. */
  low: number
  high: number
  /** Problems. */
  n: number
}

export const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** Expected label of a uniform choice among `indices`: how ties count. */
export function expectedLabel(labels: readonly number[], indices: readonly number[]): number {
  return indices.length === 0 ? 0 : mean(indices.map((i) => labels[i] as number))
}

/**
 * Chance that at least one of k draws without replacement is right: 1 - C(n - c, k) / C(n, k)
 * (unbiased estimator of Chen et al. 2021). k at most n.
 */
export function passAtK(labels: readonly number[], k: number): number {
  const n = labels.length
  const wrong = n - labels.reduce((a, b) => a + b, 0)
  let allWrong = 1
  for (let i = 0; i < k; i++) allWrong *= Math.max(0, wrong - i) / (n - i)
  return 1 - allWrong
}

const RESAMPLES = 2000

/** Mean of one value per problem with its interval; the same seed gives the same interval. */
export function estimate(values: readonly number[], seed: string | number = 0): Estimate {
  const random = seededRandom(seed)
  const means = new Float64Array(RESAMPLES)
  for (let r = 0; r < RESAMPLES; r++) {
    let total = 0
    for (let i = 0; i < values.length; i++) total += values[Math.floor(random() * values.length)] as number
    means[r] = total / values.length
  }
  means.sort()
  const at = (q: number) => means[Math.min(RESAMPLES - 1, Math.floor(q * RESAMPLES))] as number
  return { value: mean(values), low: at(0.025), high: at(0.975), n: values.length }
}
