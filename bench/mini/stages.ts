/** The stages that make the models. Each leaves its result in a folder of its own and goes on where it was stopped. */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { makeFolder } from '../../ts/contracts/folders.ts'
import type { ProblemTree } from '../../ts/contracts/records.ts'
import type { DatasetOptions } from '../../ts/dataset/index.ts'
import { type AnswerItem, openScores, openSolutions, sampleSolutions, scoreSolutions } from '../../ts/eval/index.ts'
import { openScorer } from '../../ts/kit/index.ts'
import { readCandidates, readItems, type StepAccuracy, stepAccuracy, type TaskCandidates } from '../../ts/mini/candidates.ts'
import { openMiniPolicy, trainMiniPolicy } from '../../ts/mini/policy.ts'
import { EVALUATED, trainMiniPrm } from '../../ts/mini/prm.ts'
import { type MiniTask, makeTasks } from '../../ts/mini/problems.ts'
import { miniDataset, readTrees, searchMini } from '../../ts/mini/search.ts'
import type { OmegaOptions } from '../../ts/search/strategies/omega.ts'
import { AGGREGATIONS, type ScoredItem, type SelectionRow, selectionTable, sweepN } from '../../ts/select/index.ts'
import { IN_DOMAIN, OUT_OF_DOMAIN } from '../../ts/tasks/index.ts'
import type { Recipe, TrainProgress, TrainResult } from '../../ts/train/index.ts'
import { at, PLAN, POLICY_FOLDERS } from './plan.ts'

const start = performance.now()
let spoken = 0

/** A line now and then, with the time since the start. */
export function say(text: string, everySeconds = 0): void {
  const now = performance.now()
  if (now - spoken < 1000 * everySeconds) return
  spoken = now
  const minutes = ((now - start) / 60_000).toFixed(1).padStart(6)
  process.stderr.write(`${minutes} min  ${text}\n`)
}

/** Wall time of every stage, summed over the calls that it took; what a call did before it was killed is not in it. */
export async function timed<T>(stage: string, work: () => Promise<T>): Promise<T> {
  const begin = performance.now()
  try {
    return await work()
  } finally {
    const times = await stageSeconds()
    times[stage] = Math.round((times[stage] ?? 0) + (performance.now() - begin) / 1000)
    await writeFile(at('seconds.json'), JSON.stringify(times))
  }
}

export async function stageSeconds(): Promise<Record<string, number>> {
  return existsSync(at('seconds.json')) ? JSON.parse(await readFile(at('seconds.json'), 'utf8')) : {}
}

const training = (what: string) => (p: TrainProgress) => {
  const rest = `loss ${p.loss.toFixed(4)}, eval ${p.evalLoss?.toFixed(4) ?? '-'}, ${p.samplesPerSecond.toFixed(0)} samples/s`
  say(`${what}: step ${p.step} of ${p.totalSteps}, ${rest}`, 30)
}

/** The policy and its weaker self. */
export async function makePolicies(): Promise<{ policy: string; weak: string }> {
  const { seed } = PLAN
  for (const [i, out] of POLICY_FOLDERS.entries()) {
    if (existsSync(join(out, 'model.safetensors'))) continue
    const from = POLICY_FOLDERS[i - 1]
    const series = `policy/${seed}${'/on'.repeat(i)}`
    const samples = PLAN.policy.samples[i] as number
    await trainMiniPolicy({ out, samples, seed, series, ...(from && { from }), onProgress: training(basename(out)) })
  }
  return { policy: POLICY_FOLDERS.at(-1) as string, weak: POLICY_FOLDERS[0] as string }
}

export interface SearchResult {
  tasks: MiniTask[]
  trees: ProblemTree[]
}

/** Trees of `problems` problems, with the default search or another one. */
export async function search(
  name: string,
  model: string,
  problems: number,
  options: Partial<OmegaOptions> = {},
): Promise<SearchResult> {
  const tasks = await makeTasks(at('search-problems'), IN_DOMAIN, 'search/reproduce', problems, { part: 'train' })
  const out = at(name)
  await using policy = await openMiniPolicy(model)
  await searchMini({
    ...{ policy, problems: tasks.map((t) => t.problem), out, seed: PLAN.seed, options },
    maxRollouts: PLAN.search.rollouts,
    onProgress: ({ done, skipped, rollouts }) => say(`${name}: ${done + skipped} of ${problems}, ${rollouts} rollouts`, 30),
  })
  return { tasks, trees: await readTrees(out) }
}

export interface PrmSpec {
  name: string
  trees: readonly ProblemTree[]
  label?: DatasetOptions['label']
  /** Paths of a problem that are kept; all where absent. */
  paths?: number
  recipe?: Recipe
}

export interface TrainedPrm {
  folder: string
  training: TrainResult
  samples: number
  labels: { count: number; mean: number; histogram: number[] }
}

/** Data set and PRM of one variant; the policy is its beginning. */
export async function makePrm(spec: PrmSpec, policy: string): Promise<TrainedPrm> {
  const folder = at('prm', spec.name)
  const manifest = await miniDataset(spec.trees, at('data', spec.name), {
    seed: PLAN.seed,
    ...(spec.label && { label: spec.label }),
    ...(spec.paths && { maxPaths: spec.paths }),
  })
  const data = at('data', spec.name, 'train.jsonl')
  const recipe = { seed: PLAN.seed, ...EVALUATED, ...spec.recipe }
  const result = await trainMiniPrm({ init: policy, data, out: folder, recipe, onProgress: training(`prm ${spec.name}`) })
  return { folder, training: result, samples: manifest.samples.train, labels: manifest.labels }
}

export type TestSet = 'in-domain' | 'out-of-domain'
/** What policies solve. `seen`: problems of the training part, many known word for word, for the difference alone. */
export type ProblemSet = TestSet | 'seen'

async function problemsOf(set: ProblemSet): Promise<MiniTask[]> {
  const { inDomain, outOfDomain } = PLAN.test
  const folder = at('test-problems')
  if (set === 'out-of-domain') return makeTasks(folder, OUT_OF_DOMAIN, 'test/reproduce', outOfDomain)
  return makeTasks(folder, IN_DOMAIN, 'test/reproduce', inDomain, { part: set === 'seen' ? 'train' : 'test' })
}

/** A set's problems with their candidates, and the folder of an evaluation that these lie in. */
export interface Candidates {
  folder: string
  all: TaskCandidates[]
}

const itemsOf = (tasks: readonly MiniTask[]) =>
  tasks.map(({ problem }): AnswerItem => ({ problem, unit: problem.id, categories: {}, official: () => null }))

export async function candidatesOf(model: string, set: ProblemSet): Promise<Candidates> {
  const tasks = await problemsOf(set)
  const folder = at('candidates', `${basename(model)}-${set}`)
  makeFolder(folder)
  const { candidates: n } = PLAN.test
  {
    await using policy = await openMiniPolicy(model)
    await using store = await openSolutions(folder)
    await sampleSolutions(store, {
      ...{ items: itemsOf(tasks), hashes: tasks.map(({ problem }) => problem.id), policy, n, seed: PLAN.seed },
      inFlight: policy.inFlight,
      onProgress: (done) => say(`candidates of ${basename(model)}, ${set}: ${done} of ${tasks.length}`, 30),
    })
  }
  return { folder, all: await readCandidates(folder, tasks, n) }
}

/** What one PRM does for a set's candidates. */
export interface Judged {
  items: ScoredItem[]
  rows: SelectionRow[]
  sweep: { name: string; sizes: ReturnType<typeof sweepN> }[]
  steps: StepAccuracy
}

const SWEEP = [2, 4, 8, 16]

export async function judgeWith(prm: string, { folder, all }: Candidates): Promise<Judged> {
  await using scorer = await openScorer({ model: prm })
  {
    await using solutions = await openSolutions(folder)
    await using scores = await openScores(folder, scorer.name)
    const items = itemsOf(all.map(({ task }) => task))
    await scoreSolutions(solutions, scores, { items, scorer, n: PLAN.test.candidates })
  }
  const items = await readItems(folder, scorer.name, all)
  return {
    ...{ items, rows: selectionTable(items, AGGREGATIONS), steps: stepAccuracy(all, items) },
    sweep: AGGREGATIONS.map((name) => ({ name, sizes: sweepN(items, name, SWEEP) })),
  }
}
