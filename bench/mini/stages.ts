/** The stages that make the models. Each leaves its result in a folder of its own and goes on where it was stopped. */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { ProblemTree } from '../../ts/contracts/records.ts'
import type { DatasetOptions } from '../../ts/dataset/index.ts'
import { openScorer } from '../../ts/kit/index.ts'
import { sampleCandidates, scoreCandidates, type TaskCandidates } from '../../ts/mini/candidates.ts'
import { type Judged, judge } from '../../ts/mini/loop.ts'
import { openMiniPolicy, trainMiniPolicy } from '../../ts/mini/policy.ts'
import { EVALUATED, trainMiniPrm } from '../../ts/mini/prm.ts'
import { type MiniTask, makeTasks } from '../../ts/mini/problems.ts'
import { miniDataset, readTrees, searchMini } from '../../ts/mini/search.ts'
import type { OmegaOptions } from '../../ts/search/strategies/omega.ts'
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

export async function candidatesOf(model: string, set: ProblemSet): Promise<TaskCandidates[]> {
  const tasks = await problemsOf(set)
  await using policy = await openMiniPolicy(model)
  return await sampleCandidates(policy, tasks, PLAN.test.candidates, PLAN.seed, (done) =>
    say(`candidates of ${basename(model)}, ${set}: ${done} of ${tasks.length}`, 30),
  )
}

export async function judgeWith(prm: string, name: string, candidates: readonly TaskCandidates[]): Promise<Judged> {
  await using scorer = await openScorer({ model: prm })
  return judge(name, candidates, await scoreCandidates(scorer, candidates))
}
