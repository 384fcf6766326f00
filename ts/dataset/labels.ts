/** Label kinds: what evidence becomes as a training target in [0, 1]. */
import { invalidArgument } from '../contracts/errors.ts'
import { type Counts, mcValue } from '../contracts/records.ts'
import { suggest } from '../contracts/suggest.ts'

/** Evidence at a step and at the last step before it that has any. */
export interface Evidence {
  counts: Counts
  parent: Counts
}

export interface LabelOptions {
  /** `hard`: a step is right when MC > tau. Default 0. */
  tau?: number
  /** `relative`: a step is right when MC(s, a) / MC(s) ≥ epsilon. Default 0.8. */
  epsilon?: number
}

const KINDS = {
  /** MC(s, a) itself. */
  soft: ({ counts }: Evidence) => mcValue(counts),
  hard: ({ counts }: Evidence, o: LabelOptions) => (mcValue(counts) > (o.tau ?? 0) ? 1 : 0),
  /** MC(s, a) - MC(s), in [-1, 1], moved to [0, 1]: one half is no change. */
  advantage: ({ counts, parent }: Evidence) => (1 + mcValue(counts) - mcValue(parent)) / 2,
  /** Of all similar steps of one prefix together: all right 1, all wrong 0, else what their prefix is worth. */
  grouped: ({ counts, parent }: Evidence) => {
    const own = mcValue(counts)
    return own === 0 || own === 1 ? own : mcValue(parent)
  },
  relative: ({ counts, parent }: Evidence, o: LabelOptions) =>
    mcValue(counts) >= (o.epsilon ?? 0.8) * mcValue(parent) && mcValue(counts) > 0 ? 1 : 0,
} as const

export type LabelKind = keyof typeof KINDS
export const LABEL_KINDS = Object.keys(KINDS) as LabelKind[]

export function labelKind(name: string): LabelKind {
  if (Object.hasOwn(KINDS, name)) return name as LabelKind
  throw invalidArgument(`no label kind "${name}"${suggest(name, LABEL_KINDS)}`)
}

export function labelOf(kind: LabelKind, evidence: Evidence, options: LabelOptions): number {
  return KINDS[kind](evidence, options)
}
