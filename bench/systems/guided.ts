/**
 * Searches that a PRM guides, beside Best-of-N with the same PRM and majority: a beam of one width, PRM-BAS's that narrows,
 * R-PRM's greedy one, and one that draws what it keeps, as GFlowNet samplers do.
 */
import { diversity } from '../../ts/contracts/similar.ts'
import { type Policy, type Problem, type StepScorer, select, type Verifier } from '../../ts/index.ts'
import { accuracies, chosen, chosenBy, compare, costOf, first, meanAccuracies, type Pool } from './compare.ts'
import { meanCost, type StepTokens } from './cost.ts'
import { PLAN } from './plan.ts'
import type { Comparison } from './results.ts'
import { type FoundRun, found, searched } from './runs.ts'

interface Guided {
  system: string
  what: string
  options: Record<string, unknown>
}

export const GUIDED: Record<string, Guided> = {
  beam: { system: 'beam search', what: 'beam 4 × 4', options: { width: 4, branch: 4 } },
  narrowing: {
    system: 'PRM-BAS',
    what: 'beam 4 × 4 that halves its width with each step',
    options: { width: 4, branch: 4, schedule: 'exponential', widthDecay: 0.5 },
  },
  greedy: { system: 'R-PRM', what: 'greedy search, best of 8 next steps', options: { width: 1, branch: 8 } },
  drawn: {
    system: 'GFlowNets',
    what: 'beam 4 × 4 that draws what it keeps in proportion',
    options: { width: 4, branch: 4, keep: 'proportional' },
  },
}

/** Everything that searches of one policy have in common. */
export interface Ground {
  /** Begins the names of its runs. */
  name: string
  /** As the table calls the policy. */
  policyName: string
  judge: string
  policy: Policy & { readonly inFlight?: number }
  scorer: StepScorer
  verifier: Verifier
  problems: readonly Problem[]
  tokens: StepTokens
}

export async function poolOf(ground: Ground, n: number = PLAN.pool): Promise<Pool> {
  const { name, problems, tokens } = ground
  const run = await searched({ ...ground, name: `${name}/pool`, strategy: 'best-of-n', options: { n }, seed: PLAN.seed })
  return { run: await found(run, problems, tokens), size: n, tokens }
}

/** How different the finished solutions of a problem are, a mean over those with two or more; undefined where there are none. */
function meanDiversity(runs: readonly FoundRun[]): number | undefined {
  const all = runs.flatMap((run) => run.problems.map(({ candidates }) => diversity(candidates.map((c) => c.steps.join('\n\n')))))
  const known = all.filter((d) => d !== undefined)
  return known.length > 0 ? select.mean(known) : undefined
}

const shareWithRight = (runs: readonly FoundRun[]) =>
  select.mean(runs.flatMap((run) => run.problems.map(({ candidates }) => (candidates.some((c) => c.correct === true) ? 1 : 0))))

/** @param aggregate what a solution is worth, to the search and to plain Best-of-N; where absent each has its own default */
export async function guided(
  ground: Ground,
  pool: Pool,
  names: readonly string[] = Object.keys(GUIDED),
  aggregate?: 'min',
): Promise<Comparison[]> {
  const { policyName: policy, judge, problems, tokens } = ground
  const comparisons: Comparison[] = []
  for (const name of names) {
    const { system, what, options: own } = GUIDED[name] as Guided
    const options = { ...own, ...(aggregate && { aggregate }) }
    const runs: FoundRun[] = []
    for (const seed of PLAN.searchSeeds) {
      const run = await searched({ ...ground, name: `${ground.name}/${name}-${seed}`, strategy: 'beam', options, seed })
      runs.push(await found(run, problems, tokens))
    }
    const diverse = meanDiversity(runs)
    comparisons.push(
      compare(
        {
          ...{ system, what, judge, policy, seeds: runs.length },
          accuracies: meanAccuracies(runs.map((run) => accuracies(run, first))),
          cost: meanCost(runs.map(costOf)),
          more: {
            ...(diverse !== undefined && { 'diversity of its solutions': diverse }),
            'a right one among them': shareWithRight(runs),
          },
        },
        pool,
        aggregate ? chosenBy(aggregate) : chosen,
      ),
    )
  }
  return comparisons
}
