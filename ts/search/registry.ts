/** Every search strategy, one line each. */
import { invalidArgument } from '../contracts/errors.ts'
import { suggest } from '../contracts/suggest.ts'
import { beam } from './strategies/beam.ts'
import { bestOfN } from './strategies/best-of-n.ts'
import { omega } from './strategies/omega.ts'
import { refine } from './strategies/refine.ts'
import { siblings } from './strategies/siblings.ts'
import { solutions } from './strategies/solutions.ts'
import type { Strategy } from './strategy.ts'

export const STRATEGIES: readonly Strategy[] = [omega, bestOfN, beam, siblings, refine, solutions]

/** @throws EngineError INVALID_ARGUMENT with the nearest name */
export function findStrategy(name: string): Strategy {
  const found = STRATEGIES.find((strategy) => strategy.name === name)
  if (found) return found
  const names = STRATEGIES.map((strategy) => strategy.name)
  throw invalidArgument(`no search strategy "${name}"${suggest(name, names)}`)
}
