/** The results file of the small-scale findings. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StepAccuracy } from '../../ts/mini/candidates.ts'
import type { LabelAccuracy } from '../../ts/mini/search.ts'
import type { Estimate, SelectionRow } from '../../ts/select/index.ts'
import type { Machine } from '../results.ts'
import type { PLAN } from './plan.ts'
import type { TestSet, TrainedPrm } from './stages.ts'

export const RESULTS_FILE = join(import.meta.dirname, '../results/mini.json')

/** Best-of-16 of one PRM on one set of candidates. */
export interface Judgement {
  set: TestSet
  policy: 'policy' | 'weak'
  rows: SelectionRow[]
  sweep: { name: string; sizes: { n: number; estimate: Estimate }[] }[]
  steps: StepAccuracy
}

export interface Variant {
  name: string
  samples: number
  labels: TrainedPrm['labels']
  training: { steps: number; loss: number; bestEvalLoss: number | null; seconds: number }
  judgements: Judgement[]
}

export interface MiniResults {
  bench: 'mini'
  machine: Machine
  plan: typeof PLAN
  passAt1: { policy: string; family: string; value: number; n: number }[]
  search: { default: LabelAccuracy; compat: LabelAccuracy; defaultEqual: LabelAccuracy }
  variants: Variant[]
  /** Wall time per stage. */
  seconds: Record<string, number>
}

export const readMiniResults = (): MiniResults => JSON.parse(readFileSync(RESULTS_FILE, 'utf8'))
