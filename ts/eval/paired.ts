/** Intervals of several means at once, from the same resamples: so differences between them are paired. */
import { seededRandom } from '../contracts/random.ts'

const RESAMPLES = 2000

export interface Interval {
  readonly low: number | null
  readonly high: number | null
}

/** Units with how many rows each has, and sums over them: `sums[f][u]`. */
export interface UnitSums {
  readonly rows: Float64Array
  readonly sums: readonly Float64Array[]
}

/** Rows of one unit added up; `values[f][row]`. */
export function sumByUnit(units: readonly string[], values: readonly (readonly number[])[]): UnitSums {
  const index = new Map<string, number>()
  const unitOf = units.map((unit) => {
    const at = index.get(unit) ?? index.size
    index.set(unit, at)
    return at
  })
  const rows = new Float64Array(index.size)
  for (const unit of unitOf) rows[unit] = (rows[unit] as number) + 1
  const sums = values.map((of) => {
    const sum = new Float64Array(index.size)
    for (const [row, unit] of unitOf.entries()) sum[unit] = (sum[unit] as number) + (of[row] as number)
    return sum
  })
  return { rows, sums }
}

/**
 * 95 % percentile intervals, one for each list of sums, of its mean over rows when units are drawn anew. The same seed gives
 * the same intervals.
 */
export function pairedIntervals({ rows, sums }: UnitSums, seed: string | number): Interval[] {
  const n = rows.length
  if (n === 0) return sums.map(() => ({ low: null, high: null }))
  const random = seededRandom(seed)
  const means = sums.map(() => new Float64Array(RESAMPLES))
  const totals = new Float64Array(sums.length)
  for (let r = 0; r < RESAMPLES; r++) {
    totals.fill(0)
    let count = 0
    for (let i = 0; i < n; i++) {
      const unit = Math.floor(random() * n)
      count += rows[unit] as number
      for (let f = 0; f < sums.length; f++) totals[f] = (totals[f] as number) + ((sums[f] as Float64Array)[unit] as number)
    }
    for (let f = 0; f < sums.length; f++) (means[f] as Float64Array)[r] = (totals[f] as number) / count
  }
  return means.map((of) => {
    of.sort()
    const at = (q: number) => of[Math.min(RESAMPLES - 1, Math.floor(q * RESAMPLES))] as number
    return { low: at(0.025), high: at(0.975) }
  })
}
