/** Which samples go where: splits by problem, the data-efficiency score, balance over bins. All seeded. */
import { hash32 } from '../contracts/random.ts'
import { mcValue } from '../contracts/records.ts'
import type { Sample } from './sample.ts'

/** A number in [0, 1) that depends on seed and id alone: decisions by it need no memory. */
export function lot(seed: string | number, id: string): number {
  return hash32(`${seed}\n${id}`) / 2 ** 32
}

export interface Fractions {
  validation: number
  test: number
}

/** By problem id, so that no problem leaks from one part into another. */
export function splitOf(problemId: string, fractions: Fractions, seed: string | number): 'train' | 'validation' | 'test' {
  const at = lot(`${seed} split`, problemId)
  if (at < fractions.test) return 'test'
  return at < fractions.test + fractions.validation ? 'validation' : 'train'
}

const BIS_ALPHA = 0.05

/**
 * Balanced-information score `[p(1 - p) + α]·R`: p the share of steps with MC > 0, R the mean MC over these.
 * Samples with both right and wrong steps, and reliable right ones, teach the most per token.
 */
export function efficiencyScore(sample: Sample, alpha = BIS_ALPHA): number {
  const values = sample.steps.flatMap((s) => (s.counts ? [mcValue(s.counts)] : []))
  const positive = values.filter((v) => v > 0)
  if (values.length === 0 || positive.length === 0) return 0
  const p = positive.length / values.length
  const reliability = positive.reduce((a, b) => a + b, 0) / positive.length
  return (p * (1 - p) + alpha) * reliability
}

/** The score at and above which the best `share` of `scores` lie. */
export function scoreThreshold(scores: Float64Array, share: number): number {
  if (share >= 1 || scores.length === 0) return Number.NEGATIVE_INFINITY
  const sorted = scores.slice().sort()
  return sorted[Math.min(scores.length - 1, Math.floor((1 - share) * scores.length))] as number
}

const BINS = {
  problem: (s: Sample, _rootRate: number) => s.problem.id,
  /** Quarters of the policy's pass rate. */
  difficulty: (_: Sample, rootRate: number) => String(Math.min(3, Math.floor(rootRate * 4))),
  /** Number of steps, longer ones by twos. */
  length: (s: Sample, _rootRate: number) =>
    String(s.steps.length <= 6 ? s.steps.length : Math.min(12, 2 * Math.ceil(s.steps.length / 2))),
} as const

export type BalanceBy = keyof typeof BINS
export const BALANCE_KEYS = Object.keys(BINS) as BalanceBy[]

export function binOf(by: readonly BalanceBy[], sample: Sample, rootRate: number): string {
  return by.map((key) => BINS[key](sample, rootRate)).join('|')
}

/** Share of each bin to keep so that none outweighs the median bin. */
export function keepShares(counts: ReadonlyMap<string, number>): Map<string, number> {
  const sorted = [...counts.values()].sort((a, b) => a - b)
  const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
  return new Map([...counts].map(([bin, count]) => [bin, Math.min(1, median / count)]))
}
