/** Percentile bootstrap of any figure over what is independent. */
import { seededRandom } from '../contracts/random.ts'

const RESAMPLES = 1000

/**
 * 95 % interval of `figure` when its units are drawn anew; resamples without a value are left out.
 * The same seed gives the same interval.
 */
export function interval<T>(
  units: readonly T[],
  figure: (units: readonly T[]) => number | null,
  seed: string | number,
): { low: number | null; high: number | null } {
  const random = seededRandom(seed)
  const values: number[] = []
  for (let r = 0; r < RESAMPLES && units.length > 0; r++) {
    const value = figure(units.map(() => units[Math.floor(random() * units.length)] as T))
    if (value !== null) values.push(value)
  }
  values.sort((a, b) => a - b)
  const at = (q: number) => values[Math.min(values.length - 1, Math.floor(q * values.length))] ?? null
  return { low: at(0.025), high: at(0.975) }
}
