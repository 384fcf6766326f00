/**
 * The whole loop at small scale: a policy looks at pictures, search labels its steps, a PRM is trained on the labels
 * and chooses among candidates, beside the PRM that the package ships.
 */
import { join } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import type { ProblemTree } from '../contracts/records.ts'
import type { DatasetManifest } from '../dataset/index.ts'
import { type FolderOptions, openScorer } from '../kit/index.ts'
import { AGGREGATIONS, type ScoredItem, type SelectionRow, selectBest, selectionTable, sweepN } from '../select/index.ts'
import { IN_DOMAIN } from '../tasks/index.ts'
import type { TrainResult } from '../train/index.ts'
import { type StepAccuracy, sampleCandidates, scoreCandidates, stepAccuracy, type TaskCandidates } from './candidates.ts'
import { openMiniPolicy } from './policy.ts'
import { trainMiniPrm } from './prm.ts'
import { type MiniTask, makeTasks } from './problems.ts'
import { type LabelAccuracy, labelAccuracy, miniDataset, readTrees, searchMini } from './search.ts'

export const CANDIDATES = 16
const SWEEP = [2, 4, 8, 16]
/** WHY smaller than the recipe's own: a hundred steps of few labels teach more than fifty, and cost the same. */
const BATCH_SIZE = 16

export interface LoopOptions {
  /** Checkpoint folders that the package ships. */
  policy: string
  prm: string
  out: string
  seed: number
  searchProblems: number
  /** Per searched problem. */
  rollouts: number
  testProblems: number
  /** How every model is opened. */
  engine?: Omit<FolderOptions, 'model'>
  /** Told while it goes: the stage, what it has done, and the share of it. */
  onProgress?: (stage: Stage, text: string, fraction: number) => void
}

export type Stage = 'search' | 'train' | 'sample' | 'score'

/** What one PRM does for the test problems. */
export interface Judged {
  name: string
  items: ScoredItem[]
  rows: SelectionRow[]
  sweep: { name: string; sizes: ReturnType<typeof sweepN> }[]
  steps: StepAccuracy
}

export interface LoopResult {
  trees: ProblemTree[]
  labels: LabelAccuracy
  manifest: DatasetManifest
  training: TrainResult
  curve: { step: number; loss: number }[]
  candidates: TaskCandidates[]
  judged: Judged[]
  example: WorkedExample | undefined
}

/** A candidate that the PRM chose where the first one is wrong, and that first one beside it. */
export interface WorkedExample {
  task: MiniTask
  solutions: { steps: readonly string[]; scores: readonly number[]; isRight: boolean; chosen: boolean }[]
}

export async function runLoop(o: LoopOptions): Promise<LoopResult> {
  makeFolder(o.out)
  const tell = o.onProgress ?? (() => {})
  const searched = await makeTasks(join(o.out, 'search'), IN_DOMAIN, `search/${o.seed}`, o.searchProblems, { part: 'train' })
  const test = await makeTasks(join(o.out, 'test'), IN_DOMAIN, `test/${o.seed}`, o.testProblems, { part: 'test' })
  const { trees, candidates } = await askPolicy(o, searched, test)
  const manifest = await miniDataset(trees, join(o.out, 'dataset'), { seed: o.seed })
  const curve: LoopResult['curve'] = []
  const training = await trainMiniPrm({
    ...{ init: o.policy, data: join(o.out, 'dataset', 'train.jsonl'), out: join(o.out, 'prm') },
    recipe: { seed: o.seed, batchSize: BATCH_SIZE, ...(o.engine?.cpu?.threads && { threads: o.engine.cpu.threads }) },
    onProgress: ({ step, totalSteps, loss }) => {
      curve.push({ step, loss })
      tell('train', `step ${step} of ${totalSteps}, loss ${loss.toFixed(3)}`, step / totalSteps)
    },
  })
  const judged = [
    await judgeWith('trained now', join(o.out, 'prm'), candidates, o),
    await judgeWith('shipped', o.prm, candidates, o),
  ]
  const taskOf = new Map(searched.map((task) => [task.problem.id, task]))
  const labels = labelAccuracy(trees, (id) => taskOf.get(id) as MiniTask)
  const example = workedExample(candidates, (judged[1] as Judged).items)
  return { trees, labels, manifest, training, curve, candidates, judged, example }
}

/** Everything the policy is asked; it is closed before the PRM is trained. */
async function askPolicy(o: LoopOptions, searched: readonly MiniTask[], test: readonly MiniTask[]) {
  const tell = o.onProgress ?? (() => {})
  await using policy = await openMiniPolicy(o.policy, o.engine)
  const run = join(o.out, 'search', 'run')
  await searchMini({
    ...{ policy, problems: searched.map((t) => t.problem), out: run, seed: o.seed, maxRollouts: o.rollouts },
    onProgress: ({ done, failed, rollouts }) =>
      tell('search', `${done} of ${searched.length} problems, ${rollouts} rollouts`, (done + failed) / searched.length),
  })
  const candidates = await sampleCandidates(policy, test, CANDIDATES, o.seed, (done) =>
    tell('sample', `${done} of ${test.length} problems`, done / test.length),
  )
  return { trees: await readTrees(run), candidates }
}

async function judgeWith(name: string, model: string, candidates: readonly TaskCandidates[], o: LoopOptions): Promise<Judged> {
  await using scorer = await openScorer({ model, ...o.engine })
  const items = await scoreCandidates(scorer, candidates, (done) =>
    o.onProgress?.('score', `PRM ${name}, ${done} of ${candidates.length} problems`, done / candidates.length),
  )
  return judge(name, candidates, items)
}

/** All that is said about one set of scores. */
export function judge(name: string, candidates: readonly TaskCandidates[], items: ScoredItem[]): Judged {
  return {
    ...{ name, items, rows: selectionTable(items, AGGREGATIONS) },
    sweep: AGGREGATIONS.map((aggregation) => ({ name: aggregation, sizes: sweepN(items, aggregation, SWEEP) })),
    steps: stepAccuracy(candidates, items),
  }
}

/** The first problem whose first candidate is wrong and whose chosen one is right. */
function workedExample(all: readonly TaskCandidates[], items: readonly ScoredItem[]): WorkedExample | undefined {
  for (const [p, { task, candidates }] of all.entries()) {
    const item = items[p] as ScoredItem
    const best = selectBest(item, 'mean_odds')[0] as number
    const first = candidates.findIndex((c) => c.isComplete && !c.isRight)
    if (first < 0 || !candidates[best]?.isRight) continue
    const solutions = [best, first].map((i) => {
      const { steps, isRight } = candidates[i] as TaskCandidates['candidates'][number]
      return { steps, isRight, scores: item.scores[i] as readonly number[], chosen: i === best }
    })
    return { task, solutions }
  }
  return undefined
}
