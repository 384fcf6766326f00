/** What `reproduce:mini` does, in numbers. A changed number is another result: the shipped models were made with these. */
import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

export const PLAN = {
  seed: 0,
  /** Of trainings, one after the other. What the first leaves is the weaker policy, whose mistakes the PRM has not seen. */
  policy: { samples: [72_000, 64_000, 112_000] },
  search: { problems: 4000, rollouts: 96 },
  /** Problems of the search that is compared with the default one. */
  compare: { problems: 240 },
  test: { inDomain: 300, outOfDomain: 200, candidates: 16 },
  /** Settings are compared on the trees of so many problems. */
  variants: { problems: 1200 },
  learningRates: [5e-5, 5e-4, 1.5e-3],
  /** Paths of each problem that are kept. */
  paths: [2, 4],
} as const

/** Everything under one folder, named from the repository's root so that records hold no machine's paths. */
export const FOLDER = 'build/mini'
export const at = (...parts: string[]) => join(FOLDER, ...parts)

/** What each training of the policy leaves, in order. */
export const POLICY_FOLDERS = PLAN.policy.samples.map((_, i, { length }) =>
  at(i === 0 ? 'policy-weak' : i === length - 1 ? 'policy' : `policy-${i + 1}`),
)
