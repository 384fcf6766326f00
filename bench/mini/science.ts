/** What is measured with the models: every comparison of the results file, with seeds and intervals. */

import type { ProblemTree } from '../../ts/contracts/records.ts'
import type { TaskCandidates } from '../../ts/mini/candidates.ts'
import type { MiniTask } from '../../ts/mini/problems.ts'
import { countRollouts, labelAccuracy } from '../../ts/mini/search.ts'
import { AGGREGATIONS, selectionTable } from '../../ts/select/index.ts'
import { findFamily, pictureKey } from '../../ts/tasks/index.ts'
import { machine } from '../results.ts'
import { at, PLAN } from './plan.ts'
import type { Judgement, MiniResults, NoveltyRows, Variant } from './results.ts'
import {
  type Candidates,
  candidatesOf,
  judgeWith,
  makePolicies,
  makePrm,
  type PrmSpec,
  type ProblemSet,
  type SearchResult,
  say,
  search,
  stageSeconds,
  type TestSet,
  timed,
} from './stages.ts'

type AllCandidates = Record<`${'policy' | 'weak'}/${ProblemSet}`, Candidates>

const SETS: readonly ProblemSet[] = ['in-domain', 'out-of-domain', 'seen']

async function allCandidates(models: { policy: string; weak: string }): Promise<AllCandidates> {
  const all = {} as AllCandidates
  for (const policy of ['policy', 'weak'] as const) {
    for (const set of SETS) all[`${policy}/${set}`] = await candidatesOf(models[policy], set)
  }
  return all
}

function passByFamily(all: AllCandidates): MiniResults['passAt1'] {
  return Object.entries(all).flatMap(([key, { all: sets }]) => {
    const [policy, set] = key.split('/') as ['policy' | 'weak', ProblemSet]
    const families = [...new Set(sets.map(({ task }) => task.mini.family))]
    return families.map((family) => {
      const labels = sets
        .filter(({ task }) => task.mini.family === family)
        .flatMap(({ candidates }) => candidates.map((c) => c.isRight))
      return {
        ...{ policy, family, pictures: set === 'seen' ? ('seen' as const) : ('new' as const) },
        value: labels.filter(Boolean).length / labels.length,
        n: labels.length,
      }
    })
  })
}

function countPictures(all: AllCandidates): MiniResults['testPictures'] {
  const count = (set: TestSet) =>
    new Set(all[`policy/${set}`].all.map(({ task }) => pictureKey(task.mini.family, task.mini.facts))).size
  return { 'in-domain': count('in-domain'), 'out-of-domain': count('out-of-domain') }
}

const noveltyOf = ({ task }: TaskCandidates) => findFamily(task.mini.family).outOfDomain

/** Best-of-N apart for what is new in a picture and what is new altogether: one mean of both would say little. */
async function judgeByNovelty(prm: string, all: AllCandidates): Promise<NoveltyRows[]> {
  const rows: NoveltyRows[] = []
  for (const policy of ['policy', 'weak'] as const) {
    const sets = all[`${policy}/out-of-domain`]
    const { items } = await judgeWith(prm, sets)
    for (const novelty of ['pictures', 'tasks'] as const) {
      const some = items.filter((_, i) => noveltyOf(sets.all[i] as TaskCandidates) === novelty)
      rows.push({ policy, novelty, rows: selectionTable(some, AGGREGATIONS) })
    }
  }
  return rows
}

const rolloutsOf = (trees: readonly ProblemTree[]) => trees.reduce((sum, tree) => sum + countRollouts(tree.root), 0)

/** The trees of the first problems that together took at most so many rollouts. */
function upTo({ tasks, trees }: SearchResult, rollouts: number): ProblemTree[] {
  const treeOf = new Map(trees.map((tree) => [tree.problem.id, tree]))
  const first: ProblemTree[] = []
  let spent = 0
  for (const { problem } of tasks) {
    const tree = treeOf.get(problem.id)
    if (!tree) continue
    spent += rolloutsOf([tree])
    if (spent > rollouts) break
    first.push(tree)
  }
  return first
}

/** The shipped PRM; then one on fewer problems, and variants that differ from that one in one thing. */
function variantSpecs({ tasks, trees }: SearchResult): PrmSpec[] {
  const first = new Set(tasks.slice(0, PLAN.variants.problems).map((task) => task.problem.id))
  const fewer = trees.filter((tree) => first.has(tree.problem.id))
  return [
    { name: 'soft', trees },
    { name: 'soft, fewer problems', trees: fewer },
    { name: 'hard', trees: fewer, label: 'hard' },
    ...PLAN.learningRates.map((learningRate) => ({ name: `lr ${learningRate}`, trees: fewer, recipe: { learningRate } })),
    ...PLAN.paths.map((paths) => ({ name: `${paths} paths`, trees: fewer, paths })),
  ]
}

/** These meet every set; the others the one they are compared on. */
const MEET_ALL = ['soft', 'soft, fewer problems', 'hard']

async function measureVariant(spec: PrmSpec, policy: string, candidates: AllCandidates): Promise<Variant> {
  const { folder, training, samples, labels } = await makePrm(spec, policy)
  const judgements: Judgement[] = []
  for (const [key, sets] of Object.entries(candidates)) {
    const [who, set] = key.split('/') as ['policy' | 'weak', ProblemSet]
    if (set === 'seen') continue
    if (!MEET_ALL.includes(spec.name) && key !== 'policy/in-domain') continue
    const { rows, sweep, steps } = await judgeWith(folder, sets)
    judgements.push({ set, policy: who, rows, sweep, steps })
  }
  const { steps, loss, bestEvalLoss, seconds } = training
  const meanOdds = judgements[0]?.rows.find((row) => row.name === 'mean_odds')?.estimate.value ?? 0
  say(`variant ${spec.name}: ${samples} samples, eval loss ${bestEvalLoss?.toFixed(4)}, mean_odds ${(100 * meanOdds).toFixed(1)}`)
  return { name: spec.name, samples, labels, training: { steps, loss, bestEvalLoss, seconds }, judgements }
}

export async function measureAll(): Promise<MiniResults> {
  const models = await timed('policy', makePolicies)
  const candidates = await timed('candidates', () => allCandidates(models))
  const passAt1 = passByFamily(candidates)
  for (const { policy, pictures, family, value } of passAt1)
    say(`pass@1 of ${policy}, ${family}, ${pictures} pictures: ${(100 * value).toFixed(1)} %`)
  const full = await timed('search', () => search('search', models.policy, PLAN.search.problems))
  const compat = await timed('compat search', () =>
    search('search-compat', models.policy, PLAN.compare.problems, { compat: 'mm-prm' }),
  )
  const taskOf = new Map(full.tasks.map((task) => [task.problem.id, task]))
  const accuracy = (trees: SearchResult['trees']) => labelAccuracy(trees, (id) => taskOf.get(id) as MiniTask)
  const variants: Variant[] = []
  for (const spec of variantSpecs(full)) {
    const stage = spec.name === 'soft' ? 'PRM' : 'other PRMs'
    variants.push(await timed(stage, () => measureVariant(spec, models.policy, candidates)))
  }
  return {
    bench: 'mini',
    machine: machine(),
    plan: PLAN,
    testPictures: countPictures(candidates),
    passAt1,
    search: {
      default: accuracy(full.trees),
      compat: accuracy(compat.trees),
      defaultEqual: accuracy(upTo(full, rolloutsOf(compat.trees))),
    },
    variants,
    byNovelty: await judgeByNovelty(at('prm', 'soft'), candidates),
    seconds: await stageSeconds(),
  }
}
