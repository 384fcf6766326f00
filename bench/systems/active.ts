/**
 * ActPRM on sums: an ensemble says which solutions it is not sure of, and a judge labels these. The plain side has as many labels,
 * of solutions drawn by lot. The judge is the generator's truth: what is compared is the choice of what to ask it about.
 */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../../ts/contracts/folders.ts'
import { seededRandom } from '../../ts/contracts/random.ts'
import { stepsRow } from '../../ts/dataset/formats/steps.ts'
import { type CandidateRecord, dataset, type FirstErrorJudge, type Problem, type StepScorer } from '../../ts/index.ts'
import { trainMiniPrm } from '../../ts/mini/prm.ts'
import { checkSum, type SumProblem } from '../../ts/tasks/sums.ts'
import { accuracies, chosen, compare, costOf } from './compare.ts'
import type { Ground } from './guided.ts'
import { openPrm, sums, sumsPolicy, toProblem } from './models.ts'
import { at, PLAN } from './plan.ts'
import type { Comparison } from './results.ts'
import { type Found, found, searched } from './runs.ts'

type Row = Parameters<typeof stepsRow>[0]

/** How sure an ensemble of models trained apart has to be. WHY more than heads of one model: these differ more. */
const SURE = { maxStd: 0.05, sure: 0.9 } as const

/** Mean and spread of several PRMs, as the heads of an ensemble give them. */
export function ensembleOf(members: readonly StepScorer[]): StepScorer {
  return {
    name: `ensemble of ${members.map(({ name }) => name).join(', ')}`,
    async score(request, signal) {
      const all = await Promise.all(members.map((member) => member.score(request, signal)))
      return request.solutions.map((steps, solution) => {
        const given = all.map((scores) => scores[solution])
        const failed = given.find((scored) => scored?.error !== undefined)
        if (failed) return failed
        const columns = steps.map((_, step) => given.map((scored) => scored?.scores[step] as number))
        const means = columns.map((column) => column.reduce((sum, p) => sum + p, 0) / column.length)
        const spread = (column: number[], mean: number) =>
          Math.sqrt(column.reduce((sum, p) => sum + (p - mean) ** 2, 0) / Math.max(1, column.length - 1))
        return { scores: means, std: columns.map((column, step) => spread(column, means[step] as number)) }
      })
    },
  }
}

function truthOf(all: readonly SumProblem[]): FirstErrorJudge {
  const of = new Map(all.map((problem) => [problem.id, problem]))
  return async ({ id }, steps) => {
    const firstWrong = checkSum(of.get(id) as SumProblem, steps).indexOf(false)
    return firstWrong < 0 ? null : firstWrong
  }
}

async function* each(list: readonly { problem: Problem; candidates: readonly CandidateRecord[] }[]) {
  yield* list
}

async function labelled(
  list: readonly Found[],
  judge: FirstErrorJudge,
  options: { maxStd: number; sure?: number; budget: number },
) {
  const counts = dataset.noActiveCounts()
  const rows: Row[] = []
  const sources = { candidates: each(list), judge, counts }
  for await (const row of dataset.activeSamples(sources, { ...SURE, ...options })) rows.push(row)
  return { rows, counts }
}

/** WHY below 0: no spread is so small, so nothing is known and all are labelled. */
const NOTHING_KNOWN = { maxStd: 0, sure: 1 }

async function prmOf(name: string, rows: readonly Row[], seed: number): Promise<string> {
  const out = at('models', name)
  if (existsSync(join(out, 'model.safetensors'))) return out
  makeFolder(at('data', name))
  const data = at('data', name, 'train.jsonl')
  await writeFile(data, rows.map((row) => `${JSON.stringify(stepsRow(row))}\n`).join(''))
  const recipe = { seed, batchSize: 16, threads: 1, microBatchTokens: 8192 }
  await trainMiniPrm({ init: await sumsPolicy(), data, out, recipe })
  return out
}

/** As many of all solutions, by lot, each problem's own kept together. */
function drawnByLot(list: readonly Found[], count: number): Found[] {
  const random = seededRandom('active/lot')
  const all = list.flatMap(({ problem, candidates }) =>
    candidates.filter((c) => c.outcome === 'complete').map((candidate) => ({ problem, candidate, lot: random() })),
  )
  const taken = new Set(
    all
      .sort((a, b) => a.lot - b.lot)
      .slice(0, count)
      .map(({ candidate }) => candidate),
  )
  return list.map((one) => ({ ...one, candidates: one.candidates.filter((c) => taken.has(c)) }))
}

/** Solutions of fresh problems with the scores of `scorer`. */
async function solutionsOf(ground: Ground, name: string, all: readonly SumProblem[], scorer: StepScorer) {
  const problems = all.map(toProblem)
  const options = { strategy: 'best-of-n', options: { n: PLAN.active.n }, seed: PLAN.seed }
  return found(await searched({ ...ground, problems, scorer, name: `sums/${name}`, ...options }), problems, ground.tokens)
}

/** Labels of the judge on all solutions of the first problems, and members that are trained on them by different seeds. */
async function firstRound(ground: Ground): Promise<{ rows: Row[]; members: string[] }> {
  const all = sums('active-first', PLAN.active.firstProblems)
  const unsure: StepScorer = {
    name: 'not-sure-of-anything',
    score: async ({ solutions }) => solutions.map((s) => ({ scores: s.map(() => 0.5), std: s.map(() => 0.5) })),
  }
  const { problems } = await solutionsOf(ground, 'active-first', all, unsure)
  const { rows } = await labelled(problems, truthOf(all), { ...NOTHING_KNOWN, budget: Number.MAX_SAFE_INTEGER })
  const members: string[] = []
  for (let seed = 0; seed < PLAN.active.members; seed++) members.push(await prmOf(`active-member-${seed}`, rows, seed))
  return { rows, members }
}

export async function actPrm(ground: Ground): Promise<Comparison[]> {
  const { budget, poolProblems, n } = PLAN.active
  const { rows: first, members } = await firstRound(ground)
  const all = sums('active-pool', poolProblems)
  const scorers = await Promise.all(members.map(openPrm))
  const { problems } = await solutionsOf(ground, 'active-pool', all, ensembleOf(scorers))
  for (const scorer of scorers) await scorer.close()
  const judge = truthOf(all)
  const unsure = await labelled(problems, judge, { maxStd: SURE.maxStd, budget })
  const random = await labelled(drawnByLot(problems, unsure.counts.asked), judge, { ...NOTHING_KNOWN, budget })
  const measured = async (name: string, rows: readonly Row[], size: number) => {
    await using scorer = await openPrm(await prmOf(`active-${name}`, [...first, ...rows], PLAN.seed))
    const spec = { ...ground, scorer, name: `sums/active-${name}`, strategy: 'best-of-n', options: { n: size }, seed: PLAN.seed }
    return found(await searched(spec), ground.problems, ground.tokens)
  }
  const own = await measured('unsure', unsure.rows, n)
  const plain = { run: await measured('random', random.rows, 2 * n), size: 2 * n, tokens: ground.tokens }
  const { seen, known, asked } = unsure.counts
  const comparison = compare(
    {
      ...{ system: 'ActPRM', what: `best of ${n}; its PRM learnt ${asked} labels that the ensemble chose`, seeds: 1 },
      ...{ judge: 'the truth labels; Best-of-N has a PRM with as many labels by lot', policy: ground.policyName },
      ...{ accuracies: accuracies(own, chosen), cost: costOf(own), more: { 'share known, not asked about': known / seen } },
    },
    plain,
  )
  return [comparison]
}
