/** The results file of the small-scale findings. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StepAccuracy } from '../../ts/mini/candidates.ts'
import type { LabelAccuracy } from '../../ts/mini/search.ts'
import type { Estimate, SelectionRow } from '../../ts/select/index.ts'
import type { Novelty } from '../../ts/tasks/index.ts'
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

/** What is chosen out of domain, by what is new there. */
export interface NoveltyRows {
  policy: Judgement['policy']
  novelty: Novelty
  rows: SelectionRow[]
}

export interface MiniResults {
  bench: 'mini'
  machine: Machine
  plan: typeof PLAN
  /** Different pictures among the test problems. */
  testPictures: Record<TestSet, number>
  /** On pictures that training has not seen, and on ones that it has. */
  passAt1: { policy: 'policy' | 'weak'; pictures: 'new' | 'seen'; family: string; value: number; n: number }[]
  search: { default: LabelAccuracy; compat: LabelAccuracy; defaultEqual: LabelAccuracy }
  variants: Variant[]
  /** Of the shipped PRM. */
  byNovelty: NoveltyRows[]
  /** Wall time per stage. */
  seconds: Record<string, number>
}

export const readMiniResults = (): MiniResults => JSON.parse(readFileSync(RESULTS_FILE, 'utf8'))
