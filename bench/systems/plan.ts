/** What `bench:systems` does, in numbers. A run goes on from what lies in its folder: a larger count only adds to it. */
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

export const PLAN = {
  seed: 0,
  /** Of every search that is held against Best-of-N. */
  searchSeeds: [1, 2],
  /** Solutions of a problem that plain choices are made among. */
  pool: 48,
  pictures: { problems: 100 },
  /** Flawless solutions that the second policy is shown. */
  taught: { samples: 960, learningRate: 3e-4 },
  /** How often the simulated judge is right about a step, and how often it is asked. */
  judge: { right: 0.8, judgements: 4 },
  /** Of judges in words; the `slow` ones run code, or write a critique themselves. */
  judged: { problems: 60, slow: 48, n: 4, pool: 24 },
  sums: { problems: 80, pool: 16, n: 4 },
  sql: { problems: 80, pool: 16, n: 6 },
  /** Worked sums that it reads, each once. */
  languageModel: { samples: 32_000, learningRate: 2e-3 },
  rewardModels: { learningRate: 1e-3 },
  /** Problems with n solutions each: all of the first are labelled, and as many solutions as `labels` of the others. */
  active: { first: 60, more: 240, n: 8, labels: 384, epochs: 10, problems: 400, pool: 16 },
  ranked: { learnt: 400, siblings: { branch: 4, numRollouts: 8 }, epochs: 4, problems: 400, pool: 24, n: 8 },
} as const

/** Everything under one folder, named from the repository's root so that records hold no machine's paths. */
export const at = (...parts: string[]) => join('build/systems', ...parts)

export const POLICY = 'models/mini-policy'
export const PRM = 'models/mini-prm'
