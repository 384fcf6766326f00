/**
 * ActPRM on sums: an ensemble that has learnt a few labels scores more solutions; those of which its heads are not sure are labelled by
 * the truth, and an ensemble learns them too. The plain side learns as many labels of solutions drawn by lot: what is compared is the
 * choice of what to label.
 */
import { seededRandom } from '../../ts/contracts/random.ts'
import { stepsRow } from '../../ts/dataset/formats/steps.ts'
import { dataset, type FirstErrorJudge } from '../../ts/index.ts'
import { accuracies, chosenBy, compare, costOf } from './compare.ts'
import type { StepTokens } from './cost.ts'
import type { Truths } from './judged.ts'
import { openPrm, rules } from './models.ts'
import { PLAN } from './plan.ts'
import { type Pupils, pupils } from './pupils.ts'
import type { Comparison } from './results.ts'
import { type Found, type FoundRun, found, rightAboveWrong, searched } from './runs.ts'
import { languageModel, rewardModel, rowsFile } from './text-models.ts'

type Row = Parameters<typeof stepsRow>[0]

/** WHY not ActPRM's own 0.01 and 0.9: heads this small, after so few labels, are never as sure. */
const KNOWN = { maxStd: 0.05, sure: 0.85 } as const
/** An answer is as right as the steps before it, and labels behind an error there are none. */
const CHOICE = 'min'
const ENSEMBLE = { kind: 'ensemble', heads: 8, width: 32 } as const

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

/** Labels of `count` solutions by lot. */
async function labelsByLot(list: readonly Found[], truths: Truths, count: number): Promise<Row[]> {
  const { rows } = await labelled(drawnByLot(list, count), truths, { maxStd: 0, sure: 1, budget: count })
  return rows
}

export async function actPrm(
  tokens: StepTokens,
  plan: { readonly [key in keyof typeof PLAN.active]: number } = PLAN.active,
): Promise<Comparison[]> {
  const { first, more, labels, problems: count, pool: size, epochs } = plan
  const init = await languageModel()
  const learnt = async (name: string, rows: readonly Row[]) =>
    rewardModel(`active-${name}`, {
      init,
      data: await rowsFile(`active-${name}`, rows.map(stepsRow)),
      head: ENSEMBLE,
      loss: 'bce',
      epochs,
    })
  /** Best-of-n; solutions are the same whoever scores them. */
  const solved = async ({ problems, policy }: Pupils, name: string, n: number, prm?: string): Promise<FoundRun> => {
    await using scorer = prm === undefined ? undefined : await openPrm(prm)
    const asked = { strategy: 'best-of-n', options: { n }, seed: PLAN.seed, verifier: rules, ...(scorer && { scorer }) }
    return found(await searched({ ...asked, problems, policy, name: `active/${name}` }), problems, tokens)
  }
  const [shown, open, asked] = [pupils('first', first, tokens), pupils('more', more, tokens), pupils('asked', count, tokens)]
  const begun = await labelsByLot((await solved(shown, 'first', plan.n)).problems, shown.truths, first * plan.n)
  const scored = await solved(open, 'more', plan.n, await learnt('first', begun))
  const unsure = await labelled(scored.problems, open.truths, { ...KNOWN, budget: labels })
  const { seen, known, asked: budget } = unsure.counts
  const lot = await labelsByLot(scored.problems, open.truths, budget)
  const own = await solved(asked, 'unsure', size / 2, await learnt('unsure', [...begun, ...unsure.rows]))
  const plain = await solved(asked, 'lot', size, await learnt('lot', [...begun, ...lot]))
  const figures = {
    'share known, not labelled': known / seen,
    'right above wrong solutions': rightAboveWrong(own, CHOICE),
    'by lot': rightAboveWrong(plain, CHOICE),
    'before both': rightAboveWrong(scored, CHOICE),
  }
  const comparison = compare(
    {
      ...{ system: 'ActPRM', what: `best of ${size / 2} by an ensemble that learnt ${budget} labels of what it was unsure of` },
      judge: `an ensemble of ${ENSEMBLE.heads} heads, ${begun.length} labels before; Best-of-N has one that learnt as many by lot`,
      ...{ policy: 'scripted pupils', seeds: 1, accuracies: accuracies(own, chosenBy(CHOICE)), cost: costOf(own), more: figures },
    },
    { run: plain, size, tokens },
    chosenBy(CHOICE),
  )
  return [comparison]
}
