/**
 * What a choice costs: tokens that the policy generated, and tokens of steps that a scorer was given. In one call solutions that
 * begin alike are one tree, so a step that several share is read once. Prompts and pictures, which both sides share and keep in
 * the cache, are left out on both.
 */
import type { Engine } from '../../ts/index.ts'

export interface Cost {
  /** Tokens. */
  readonly generated: number
  readonly scored: number
}

export function meanCost(costs: readonly Cost[]): Cost {
  const mean = (of: (cost: Cost) => number) => costs.reduce((sum, cost) => sum + of(cost), 0) / costs.length
  return { generated: mean((cost) => cost.generated), scored: mean((cost) => cost.scored) }
}

export const total = ({ generated, scored }: Cost) => generated + scored

/** Tokens of a step, the marker behind it included. */
export type StepTokens = (step: string) => number

export function stepTokens({ tokenizer }: Pick<Engine, 'tokenizer'>): StepTokens {
  const known = new Map<string, number>()
  return (step) => {
    const found = known.get(step) ?? tokenizer.encodePlain(step).length + 1
    known.set(step, found)
    return found
  }
}

/** Tokens that one call of a scorer reads of these solutions. */
export function readInOneCall(solutions: readonly (readonly string[])[], tokens: StepTokens): number {
  const seen = new Set<string>()
  let sum = 0
  for (const steps of solutions) {
    for (const [i, step] of steps.entries()) {
      const path = JSON.stringify(steps.slice(0, i + 1))
      if (seen.has(path)) continue
      seen.add(path)
      sum += tokens(step)
    }
  }
  return sum
}
