/** Judges in words on sums: R-PRM, Self-PRM and GenPRM, beside Best-of-N with a trained PRM and majority at equal cost. */
import { critics, kit, type StepScorer, sandbox } from '../../ts/index.ts'
import type { SumProblem } from '../../ts/tasks/sums.ts'
import { accuracies, chosen, compare, costOf, type Pool } from './compare.ts'
import { readInOneCall, total } from './cost.ts'
import { type Ground, guided, poolOf } from './guided.ts'
import { programmedJudge, simulatedJudge } from './judges.ts'
import { openPrm, sumsPrm } from './models.ts'
import { PLAN } from './plan.ts'
import type { Comparison } from './results.ts'
import { type FoundRun, found, searched } from './runs.ts'

/** Of one system: Best-of-n by its judge. */
async function bestByJudge(
  ground: Ground,
  pool: Pool,
  named: { name: string; system: string; what: string; judge: string; n: number; scorer: StepScorer },
): Promise<{ comparison: Comparison; run: FoundRun }> {
  const { n, scorer, name, ...told } = named
  const options = { strategy: 'best-of-n', options: { n }, seed: PLAN.seed }
  const run = await found(await searched({ ...ground, scorer, name: `sums/${name}`, ...options }), ground.problems, ground.tokens)
  const measured = { ...told, policy: ground.policyName, seeds: 1, accuracies: accuracies(run, chosen), cost: costOf(run) }
  return { comparison: compare({ ...measured, more: { 'share of its solutions scored': shareScored(run) } }, pool), run }
}

const shareScored = ({ problems }: FoundRun) => {
  const whole = problems.flatMap(({ candidates }) => candidates.filter((c) => c.outcome === 'complete'))
  return whole.length === 0 ? 0 : whole.filter((c) => c.scores).length / whole.length
}

/** The PRM whose labels are of similar steps together; the plain side's has those of each step, from the same searches. */
export async function grouped(ground: Ground, pool: Pool): Promise<Comparison> {
  await using scorer = await openPrm(await sumsPrm('sums-prm-grouped', { label: 'grouped' }))
  const { n } = PLAN.judged
  const judge = 'a PRM trained on grouped labels of the same searches'
  const named = { system: 'GFlowNets', what: `best of ${n} by a PRM of grouped labels`, judge, n, scorer, name: 'grouped' }
  return (await bestByJudge(ground, pool, named)).comparison
}

const simulated = `simulated: right about ${100 * PLAN.judge.right} % of what it is asked`

/** Greedy search by analyses of each step, the mean of several. The plain side has the same judge. */
export async function rPrm(ground: Ground, all: readonly SumProblem[]): Promise<Comparison[]> {
  const { right, judgements } = PLAN.judge
  const comparisons: Comparison[] = []
  for (const times of [1, judgements]) {
    const scorer = critics.criticScorer('r-prm', simulatedJudge(all, right, PLAN.seed), { judgements: times })
    const judge = `${simulated}, ${times === 1 ? 'asked once' : `the mean of ${times}`} for each step`
    const judged: Ground = { ...ground, scorer, judge, name: `sums/r-prm-${times}` }
    const found = await guided(judged, await poolOf(judged), ['greedy'])
    comparisons.push(...found.map((c) => ({ ...c, what: `${c.what}, by ${times === 1 ? 'one analysis' : `${times} analyses`}` })))
  }
  return comparisons
}

/** Votes about the first wrong step, by the policy itself and by the simulated judge. */
export async function selfPrm(ground: Ground, pool: Pool, all: readonly SumProblem[], policy: kit.OpenedPolicy) {
  const { right, judgements } = PLAN.judge
  const { n } = PLAN.judged
  const judge = simulatedJudge(all, right, PLAN.seed + 1)
  const told = { system: 'Self-PRM', n }
  const { comparison: simulation } = await bestByJudge(ground, pool, {
    ...{ ...told, name: 'critique', judge: `${simulated}, ${judgements} votes on the first wrong step` },
    ...{ what: `best of ${n} by votes`, scorer: critics.criticScorer('critique', judge, { judgements }) },
  })
  if (!policy.engine) throw new Error('the policy of sums lies in a folder')
  const few = { ...ground, problems: ground.problems.slice(0, PLAN.judged.problems / 3) }
  const own = await kit.openScorer({ engine: policy.engine, scoring: 'critique', judgements: 1, judgementTokens: 128 })
  const { comparison: itself } = await bestByJudge(few, pool, {
    ...{ ...told, n: 4, name: 'critique-itself', judge: 'the policy itself, which has never seen a critique' },
    ...{ what: 'best of 4 by its own words', scorer: own },
  })
  return [simulation, itself]
}

/** Code that checks each step, run in the sandbox; then the same words sent back to the policy. */
export async function genPrm(ground: Ground, pool: Pool): Promise<Comparison[]> {
  const { n, problems } = PLAN.judged
  const few = { ...ground, problems: ground.problems.slice(0, problems) }
  const runner = await sandbox.openSandbox()
  const scorer = critics.criticScorer('genprm', programmedJudge(), { judgements: 1 }, runner)
  const judge = 'programmed: copies each equation into code, which is run'
  const best = { system: 'GenPRM', what: `best of ${n} by code that is run`, judge, n, scorer, name: 'genprm' }
  const { comparison, run } = await bestByJudge(few, pool, best)
  return [comparison, await refined(few, pool, { judge, scorer, first: run })]
}

async function refined(
  ground: Ground,
  pool: Pool,
  { judge, scorer, first }: { judge: string; scorer: StepScorer; first: FoundRun },
): Promise<Comparison> {
  const n = PLAN.judged.n / 2
  const options = { strategy: 'refine', options: { n, rounds: 1 }, seed: PLAN.seed }
  const run = await found(await searched({ ...ground, scorer, name: 'sums/refine', ...options }), ground.problems, ground.tokens)
  // The first versions are those that Best-of-N drew by the same seed; a run keeps the last ones alone.
  const before = new Map(first.problems.map(({ problem, candidates }) => [problem.id, candidates.slice(0, n)]))
  const read = run.problems.map(({ problem, candidates }) => {
    const earlier = (before.get(problem.id) ?? []).map(({ steps }) => steps)
    const anew = candidates.flatMap(({ steps, scores }, i) =>
      scores && JSON.stringify(steps) !== JSON.stringify(earlier[i]) ? [steps] : [],
    )
    return readInOneCall(earlier, ground.tokens) + readInOneCall(anew, ground.tokens)
  })
  const scored = read.reduce((sum, tokens) => sum + tokens, 0) / read.length
  const cost = { generated: costOf(run).generated, scored }
  const named = { system: 'GenPRM', what: `${n} solutions, the doubted ones written anew with its words`, judge }
  const measured = { ...named, policy: ground.policyName, seeds: 1, accuracies: accuracies(run, chosen), cost }
  return compare({ ...measured, more: { 'tokens in all': total(cost) } }, pool)
}
