/** The results file of the systems. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Interval } from '../../ts/eval/paired.ts'
import { type Machine, machine } from '../results.ts'
import type { Cost } from './cost.ts'

const FILE = join(import.meta.dirname, '../results/systems.json')

export interface Figure extends Interval {
  /** A mean over problems, in [0, 1]; of a gain their difference. */
  readonly value: number
}

/** A plain choice among so many solutions. */
export interface Plain {
  readonly n: number
  /** The pool holds fewer solutions than the same cost would buy. */
  readonly isWholePool: boolean
  readonly accuracy: Figure
  readonly cost: Cost
}

/** One system, or one way of it, beside plain choices at equal cost. Intervals are 95 %, over problems, paired. */
export interface Comparison {
  readonly system: string
  /** What was run. */
  readonly what: string
  /** Who judged steps in it; a simulated or programmed judge is named so. */
  readonly judge: string
  readonly policy: string
  readonly problems: number
  readonly seeds: number
  readonly accuracy: Figure
  readonly cost: Cost
  readonly bestOfN: Plain
  readonly majority: Plain
  readonly gain: { readonly overBestOfN: Figure; readonly overMajority: Figure }
  /** Further figures of this system. */
  readonly more?: Readonly<Record<string, number>>
}

export interface SystemResults {
  readonly bench: 'systems'
  readonly machine: Machine
  readonly plan: Readonly<Record<string, unknown>>
  readonly comparisons: readonly (Comparison & { readonly stage: string })[]
}

export const readSystemResults = (): SystemResults => JSON.parse(readFileSync(FILE, 'utf8'))

/** What a stage measured now takes the place of all that it measured before; the order is that of `stages`. */
export function writeComparisons(
  plan: Readonly<Record<string, unknown>>,
  { stages, stage, now }: { stages: readonly string[]; stage: string; now: readonly Comparison[] },
): void {
  const before = existsSync(FILE) ? readSystemResults().comparisons : []
  const all = [...before.filter((comparison) => comparison.stage !== stage), ...now.map((one) => ({ stage, ...one }))]
  const comparisons = stages.flatMap((name) => all.filter((comparison) => comparison.stage === name))
  const results: SystemResults = { bench: 'systems', machine: machine(), plan, comparisons }
  writeFileSync(FILE, `${JSON.stringify(results, null, 1)}\n`)
}
