/**
 * ActPRM on pictures: what the scores' spread leaves unsure is labelled by a judge, and the shipped PRM learns it. The plain side
 * learns as many labels of solutions drawn by lot. The judge is the generator's truth, and the spread is of the simulated judge's
 * several judgements: what is compared is the choice of what to label.
 */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../../ts/contracts/folders.ts'
import { seededRandom } from '../../ts/contracts/random.ts'
import { stepsRow } from '../../ts/dataset/formats/steps.ts'
import { critics, dataset, type FirstErrorJudge } from '../../ts/index.ts'
import { trainMiniPrm } from '../../ts/mini/prm.ts'
import { accuracies, chosen, compare, costOf } from './compare.ts'
import type { Ground } from './guided.ts'
import type { Truths } from './judged.ts'
import { inWords, simulatedJudge, truthOfTask } from './judges.ts'
import { openPrm, pictures } from './models.ts'
import { at, PLAN, PRM } from './plan.ts'
import type { Comparison } from './results.ts'
import { type Found, found, searched } from './runs.ts'
import { say } from './say.ts'

type Row = Parameters<typeof stepsRow>[0]

/** Of a few judgements: known is what all of them agree on. */
const KNOWN = { maxStd: 0.01, sure: 0.9 } as const

async function* each(list: readonly Found[]) {
  yield* list
}

/** Samples of what is not known, as the truth labels them. */
export async function labelled(
  list: readonly Found[],
  truths: Truths,
  options: { maxStd: number; sure: number; budget: number },
) {
  const judge: FirstErrorJudge = async ({ id }, steps) => {
    const firstWrong = truths.get(id)?.(steps).indexOf(false) ?? -1
    return firstWrong < 0 ? null : firstWrong
  }
  const counts = dataset.noActiveCounts()
  const rows: Row[] = []
  for await (const row of dataset.activeSamples({ candidates: each(list), judge, counts }, options)) rows.push(row)
  return { rows, counts }
}

/** As many complete solutions by lot; nothing is known of them, so all are labelled. */
export function drawnByLot(list: readonly Found[], count: number): Found[] {
  const random = seededRandom('active/lot')
  const lots = list.flatMap(({ candidates }) =>
    candidates.filter((c) => c.outcome === 'complete').map((c) => ({ c, lot: random() })),
  )
  const taken = new Set(lots.sort((a, b) => a.lot - b.lot).slice(0, count).map(({ c }) => c)) // biome-ignore format: a chain
  const unsure = (steps: readonly string[]) => steps.map(() => 0.5)
  return list.map((one) => ({
    ...one,
    candidates: one.candidates.filter((c) => taken.has(c)).map((c) => ({ ...c, scores: unsure(c.steps), std: unsure(c.steps) })),
  }))
}

async function prmOf(name: string, rows: readonly Row[]): Promise<string> {
  const out = at('models', name)
  if (existsSync(join(out, 'model.safetensors'))) return out
  makeFolder(at('data', name))
  const data = at('data', name, 'train.jsonl')
  await writeFile(data, rows.map((row) => `${JSON.stringify(stepsRow(row))}\n`).join(''))
  const recipe = { seed: PLAN.seed, epochs: 1, batchSize: 16, threads: 1, microBatchTokens: 8192 }
  const onProgress = (p: { step: number; totalSteps: number }) => say(`${name}: step ${p.step} of ${p.totalSteps}`, 20)
  await trainMiniPrm({ init: PRM, data, out, recipe, onProgress })
  return out
}

export async function actPrm(ground: Ground): Promise<Comparison[]> {
  const { budget, problems: count, n, pool: size } = PLAN.active
  const tasks = await pictures(count, 'active', 'train')
  const truths: Truths = new Map(tasks.map((task) => [task.problem.id, truthOfTask(task)]))
  const { right, judgements } = PLAN.judge
  const scorer = inWords(critics.criticScorer('r-prm', simulatedJudge(truths, right, PLAN.seed + 2), { judgements }))
  const asked = { strategy: 'best-of-n', options: { n }, seed: PLAN.seed }
  const problems = tasks.map(({ problem }) => problem)
  const run = await searched({ ...ground, ...asked, problems, scorer, name: 'active/solutions' })
  const solutions = (await found(run, problems, ground.tokens)).problems
  const unsure = await labelled(solutions, truths, { ...KNOWN, budget })
  const random = await labelled(drawnByLot(solutions, unsure.counts.asked), truths, { maxStd: 0, sure: 1, budget })
  const measured = async (name: string, rows: readonly Row[], n: number) => {
    await using prm = await openPrm(await prmOf(`active-${name}`, rows))
    const folder = await searched({ ...ground, ...asked, scorer: prm, name: `active/${name}`, options: { n } })
    return await found(folder, ground.problems, ground.tokens)
  }
  const own = await measured('unsure', unsure.rows, size / 2)
  const plain = { run: await measured('lot', random.rows, size), size, tokens: ground.tokens }
  const { seen, known, asked: labels } = unsure.counts
  const comparison = compare(
    {
      ...{ system: 'ActPRM', what: `best of ${size / 2} by a PRM that learnt ${labels} labels of unsure solutions`, seeds: 1 },
      ...{ judge: 'the truth labels; Best-of-N has a PRM that learnt as many labels by lot', policy: ground.policyName },
      ...{ accuracies: accuracies(own, chosen), cost: costOf(own), more: { 'share known, not labelled': known / seen } },
    },
    plain,
  )
  return [comparison]
}
