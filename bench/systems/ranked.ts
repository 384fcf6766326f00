/**
 * PRM-BAS's training on sums: next steps of one prefix, valued by rollouts, from which one PRM learns values alone and another their
 * order too. Each guides the beam that narrows, beside Best-of-N by itself; then Best-of-N by one is held against that by the other.
 */
import { dataset, store as stores } from '../../ts/index.ts'
import { accuracies, chosenBy, compare, costOf, type Pool } from './compare.ts'
import type { StepTokens } from './cost.ts'
import { type Ground, guided, poolOf } from './guided.ts'
import { openPrm, rules } from './models.ts'
import { at, PLAN } from './plan.ts'
import { pupils } from './pupils.ts'
import type { Comparison } from './results.ts'
import { found, rightAboveWrong, searched } from './runs.ts'
import { languageModel, rewardModel } from './text-models.ts'

/** WHY not the mean: of solutions that went wrong the searches leave no answer to learn from. */
const CHOICE = 'min'

const LOSSES = { bce: 'values alone', rank: 'values and their order' } as const
type Loss = keyof typeof LOSSES

/** Siblings side by side, and paths for the answers, which have no siblings. */
async function trainingFiles(tokens: StepTokens, count: number, options: Record<string, unknown>): Promise<string[]> {
  const { policy, problems } = pupils('siblings', count, tokens)
  const run = await searched({
    ...{ name: 'ranked/siblings', strategy: 'siblings', options, seed: PLAN.seed },
    ...{ policy, problems, verifier: rules },
  })
  const reader = stores.openRun(run)
  try {
    const trees = () => reader.trees()
    const [groups, paths] = [at('data', 'ranked-groups'), at('data', 'ranked-paths')]
    await dataset.buildDataset({ trees, out: groups, samples: 'groups', formats: ['groups'] })
    await dataset.buildDataset({ trees, out: paths, balance: 'none', maxShortWords: 0 }) // an equation is five words
    return [groups, paths].map((folder) => `${folder}/train.jsonl`)
  } finally {
    reader.close()
  }
}

type Plan = { readonly [key in Exclude<keyof typeof PLAN.ranked, 'siblings'>]: number }

export async function prmBas(
  tokens: StepTokens,
  { siblings, ...plan }: Plan & { siblings: Record<string, unknown> } = PLAN.ranked,
): Promise<Comparison[]> {
  const { learnt, problems: count, pool: size, n, epochs } = plan
  const init = await languageModel()
  const data = await trainingFiles(tokens, learnt, siblings)
  const asked = pupils('asked', count, tokens)
  const shared = { ...asked, verifier: rules, tokens, policyName: 'scripted pupils' }
  /** What is measured of the PRM with this loss. */
  const measured = async (loss: Loss) => {
    await using scorer = await openPrm(await rewardModel(`ranked-${loss}`, { init, data, head: 'value', loss, epochs }))
    const judge = `a value head that learnt ${LOSSES[loss]}`
    const ground: Ground = { ...shared, scorer, judge, name: `ranked/${loss}` }
    const pool = await poolOf(ground, size)
    const more = { 'right above wrong solutions': rightAboveWrong(pool.run, CHOICE) }
    const beams = await guided(ground, pool, ['narrowing'], CHOICE)
    const few = { ...ground, name: `ranked/${loss}-${n}`, strategy: 'best-of-n', options: { n }, seed: PLAN.seed }
    const best = await found(await searched(few), asked.problems, tokens)
    return { best, pool, beams: beams.map((c) => ({ ...c, what: `${c.what}, by ${judge}`, more: { ...c.more, ...more } })) }
  }
  const [ranked, valued] = [await measured('rank'), await measured('bce')]
  return [...ranked.beams, ...valued.beams, beside(ranked.best, valued.pool, n)]
}

function beside(run: Pool['run'], pool: Pool, n: number): Comparison {
  const choose = chosenBy(CHOICE)
  return compare(
    {
      ...{ system: 'PRM-BAS', what: `best of ${n} by a value head that learnt ${LOSSES.rank}`, policy: 'scripted pupils' },
      judge: `that head; Best-of-N has one that learnt ${LOSSES.bce}`,
      ...{ seeds: 1, accuracies: accuracies(run, choose), cost: costOf(run) },
    },
    pool,
    choose,
  )
}
