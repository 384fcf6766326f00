/** What `reproduce:mini` does, in numbers. A changed number is another result: the shipped models were made with these. */
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

export const PLAN = {
  seed: 0,
  policy: { samples: 84_000 },
  /** The policy's own state at this step: a weaker one, whose mistakes the PRM has not seen. */
  weakStep: 1500,
  search: { problems: 10_000, rollouts: 64 },
  /** Both kinds of search on the same problems, at the same rollouts each. */
  compare: { problems: 240 },
  test: { inDomain: 300, outOfDomain: 200, candidates: 16 },
  /** Settings are compared on the trees of so many problems. */
  variants: { problems: 2400 },
  learningRates: [1e-4, 1.5e-3],
  /** Paths of each problem that are kept. */
  paths: [2, 4],
} as const

/** Everything under one folder, named from the repository's root so that records hold no machine's paths. */
export const FOLDER = 'build/mini'
export const at = (...parts: string[]) => join(FOLDER, ...parts)
