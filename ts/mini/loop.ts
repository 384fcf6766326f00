/**
 * The whole loop at small scale: a policy looks at pictures, search labels its steps, a PRM is trained on the labels, and an
 * evaluation shows what it chooses among candidates, beside the PRM that the package ships.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import type { ProblemTree } from '../contracts/records.ts'
import type { DatasetManifest } from '../dataset/index.ts'
import type { AnswerTaskResults } from '../eval/index.ts'
import type { FolderOptions } from '../kit/index.ts'
import { type ScoredItem, selectBest } from '../select/index.ts'
import { IN_DOMAIN } from '../tasks/index.ts'
import type { TrainResult } from '../train/index.ts'
import type { StepAccuracy, TaskCandidates } from './candidates.ts'
import { openMiniPolicy } from './policy.ts'
import { trainMiniPrm } from './prm.ts'
import { type MiniTask, makeTasks, taskLine } from './problems.ts'
import { type LabelAccuracy, labelAccuracy, miniDataset, readTrees, searchMini } from './search.ts'

export const CANDIDATES = 16
/** WHY smaller than the recipe's own: a hundred steps of few labels teach more than fifty, and cost the same. */
const BATCH_SIZE = 16

export interface LearnOptions {
  /** Checkpoint folder. */
  policy: string
  out: string
  seed: number
  searchProblems: number
  /** Per searched problem. */
  rollouts: number
  /** How every model is opened. */
  engine?: Omit<FolderOptions, 'model'>
  /** Told while it goes: the stage, what it has done, and the share of it. */
  onProgress?: (stage: Stage, text: string, fraction: number) => void
}

export type Stage = 'search' | 'train'

/** What search and training left. */
export interface Learnt {
  /** Folder of the PRM. */
  prm: string
  trees: ProblemTree[]
  labels: LabelAccuracy
  manifest: DatasetManifest
  training: TrainResult
  curve: { step: number; loss: number }[]
}

/** What one PRM does for the test problems. */
export interface Judged {
  name: string
  results: AnswerTaskResults & { prm: NonNullable<AnswerTaskResults['prm']> }
  steps: StepAccuracy
}

export interface LoopResult extends Learnt {
  judged: Judged[]
  example: WorkedExample | undefined
}

/** A candidate that the PRM chose where the first one is wrong, and that first one beside it. */
export interface WorkedExample {
  task: MiniTask
  solutions: { steps: readonly string[]; scores: readonly number[]; isRight: boolean; chosen: boolean }[]
}

/** Problems that neither search nor training has seen, as a set that `mm-prm eval` reads. */
export async function makeTestSet(folder: string, seed: number, count: number): Promise<MiniTask[]> {
  makeFolder(folder)
  const tasks = await makeTasks(folder, IN_DOMAIN, `test/${seed}`, count, { part: 'test' })
  await writeFile(join(folder, 'problems.jsonl'), tasks.map(({ mini }) => `${taskLine(mini)}\n`).join(''))
  return tasks
}

/** Search, data set, training. The policy is closed before the PRM is trained. */
export async function learn(o: LearnOptions): Promise<Learnt> {
  makeFolder(o.out)
  const tell = o.onProgress ?? (() => {})
  const searched = await makeTasks(join(o.out, 'search'), IN_DOMAIN, `search/${o.seed}`, o.searchProblems, { part: 'train' })
  const trees = await search(o, searched)
  const manifest = await miniDataset(trees, join(o.out, 'dataset'), { seed: o.seed })
  const curve: Learnt['curve'] = []
  const prm = join(o.out, 'prm')
  const training = await trainMiniPrm({
    ...{ init: o.policy, data: join(o.out, 'dataset', 'train.jsonl'), out: prm },
    recipe: { seed: o.seed, batchSize: BATCH_SIZE, ...(o.engine?.cpu?.threads && { threads: o.engine.cpu.threads }) },
    onProgress: ({ step, totalSteps, loss }) => {
      curve.push({ step, loss })
      tell('train', `step ${step} of ${totalSteps}, loss ${loss.toFixed(3)}`, step / totalSteps)
    },
  })
  const taskOf = new Map(searched.map((task) => [task.problem.id, task]))
  const labels = labelAccuracy(trees, (id) => taskOf.get(id) as MiniTask)
  return { prm, trees, labels, manifest, training, curve }
}

async function search(o: LearnOptions, searched: readonly MiniTask[]): Promise<ProblemTree[]> {
  const run = join(o.out, 'search', 'run')
  await using policy = await openMiniPolicy(o.policy, o.engine)
  await searchMini({
    ...{ policy, problems: searched.map((t) => t.problem), out: run, seed: o.seed, maxRollouts: o.rollouts },
    onProgress: ({ done, failed, rollouts }) =>
      o.onProgress?.('search', `${done} of ${searched.length} problems, ${rollouts} rollouts`, (done + failed) / searched.length),
  })
  return readTrees(run)
}

/** The first problem whose first candidate is wrong and whose chosen one is right. */
export function workedExample(all: readonly TaskCandidates[], items: readonly ScoredItem[]): WorkedExample | undefined {
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
