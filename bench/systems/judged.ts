/** Judges in words: R-PRM, Self-PRM and GenPRM, beside plain Best-of-N and majority at equal cost. */
import { critics, kit, type StepScorer, sandbox } from '../../ts/index.ts'
import { accuracies, chosen, compare, costOf, type Pool } from './compare.ts'
import { readInOneCall } from './cost.ts'
import { type Ground, guided, poolOf } from './guided.ts'
import { inWords, programmedJudge, simulatedJudge, type Truth } from './judges.ts'
import { PLAN } from './plan.ts'
import type { Comparison } from './results.ts'
import { type FoundRun, found, searched } from './runs.ts'

export type Truths = ReadonlyMap<string, Truth>

interface Judged {
  /** Ends the name of its run. */
  name: string
  system: string
  what: string
  judge: string
  n: number
  scorer: StepScorer
}

const shareScored = ({ problems }: FoundRun) => {
  const whole = problems.flatMap(({ candidates }) => candidates.filter((c) => c.outcome === 'complete'))
  return whole.length === 0 ? 0 : whole.filter((c) => c.scores).length / whole.length
}

/** A judge that trusts all of them, or none, chooses by lot. */
const shareTrusted = ({ problems }: FoundRun) => {
  const scored = problems.flatMap(({ candidates }) => candidates.flatMap(({ scores }) => (scores ? [scores] : [])))
  return scored.length === 0 ? 0 : scored.filter((scores) => scores.every((score) => score >= 0.5)).length / scored.length
}

/** Of one system: Best-of-n by its judge. */
async function bestByJudge(ground: Ground, pool: Pool, judged: Judged): Promise<{ comparison: Comparison; run: FoundRun }> {
  const { n, scorer, name, ...told } = judged
  const asked = { ...ground, scorer, name: `${ground.name}/${name}`, strategy: 'best-of-n', options: { n }, seed: PLAN.seed }
  const run = await found(await searched(asked), ground.problems, ground.tokens)
  const measured = { ...told, policy: ground.policyName, seeds: 1, accuracies: accuracies(run, chosen), cost: costOf(run) }
  const more = { 'share of solutions scored': shareScored(run), 'trusted at every step, of these': shareTrusted(run) }
  return { comparison: compare({ ...measured, more }, pool), run }
}

const PLAIN = 'Best-of-N has the shipped PRM'

const simulated = `simulated: right about ${100 * PLAN.judge.right} % of what it is asked`

/** Greedy search by analyses of each step, one or the mean of several; the plain side has the PRM of the pool, and then the same judge. */
export async function rPrm(ground: Ground, pool: Pool, truths: Truths): Promise<Comparison[]> {
  const { right, judgements } = PLAN.judge
  const comparisons: Comparison[] = []
  for (const times of [1, judgements]) {
    const analyses = times === 1 ? 'one analysis' : `${times} analyses`
    const scorer = inWords(critics.criticScorer('r-prm', simulatedJudge(truths, right, PLAN.seed), { judgements: times }))
    const judged: Ground = {
      ...ground,
      scorer,
      judge: `${simulated}, ${analyses} of each step`,
      name: `${ground.name}/r-prm-${times}`,
    }
    const greedy = await guided(judged, pool, ['greedy'])
    const what = `greedy search by ${analyses}`
    comparisons.push(...greedy.map((c) => ({ ...c, what, judge: `${c.judge}; ${PLAIN}` })))
    if (times === 1) continue
    const beside = await guided(judged, await poolOf(judged, PLAN.judged.pool), ['greedy'])
    comparisons.push(...beside.map((c) => ({ ...c, what: `${what}, beside Best-of-N by the same` })))
  }
  return comparisons
}

/** Votes about the first wrong step, by the simulated judge and by the policy itself. */
export async function selfPrm(ground: Ground, pool: Pool, truths: Truths, policy: kit.OpenedPolicy): Promise<Comparison[]> {
  const { right, judgements } = PLAN.judge
  const { n, slow } = PLAN.judged
  const votes = critics.criticScorer('critique', simulatedJudge(truths, right, PLAN.seed + 1), { judgements })
  const { comparison: simulation } = await bestByJudge(ground, pool, {
    ...{ system: 'Self-PRM', name: 'critique', what: `best of ${2 * n} by votes`, n: 2 * n, scorer: inWords(votes) },
    judge: `${simulated}, ${judgements} votes on the first wrong step; ${PLAIN}`,
  })
  if (!policy.engine) throw new Error('a policy that judges itself lies in a folder')
  const own = await kit.openScorer({ engine: policy.engine, scoring: 'critique', judgements: 1, judgementTokens: 64 })
  const { comparison: itself } = await bestByJudge({ ...ground, problems: ground.problems.slice(0, slow) }, pool, {
    ...{ system: 'Self-PRM', name: 'critique-itself', what: `best of ${n} by its own words`, n, scorer: own },
    judge: `the policy itself, which has never seen a critique; ${PLAIN}`,
  })
  return [simulation, itself]
}

/** Code that checks each step, run in the sandbox; then the same words sent back to the policy. */
export async function genPrm(ground: Ground, pool: Pool): Promise<Comparison[]> {
  const { n, slow } = PLAN.judged
  const few = { ...ground, problems: ground.problems.slice(0, slow) }
  const runner = await sandbox.openSandbox()
  const scorer = inWords(critics.criticScorer('genprm', programmedJudge(), { judgements: 1 }, runner))
  const judge = `programmed: copies each equation into code, which is run; ${PLAIN}`
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
  const asked = {
    ...ground,
    scorer,
    name: `${ground.name}/refine`,
    strategy: 'refine',
    options: { n, rounds: 1 },
    seed: PLAN.seed,
  }
  const run = await found(await searched(asked), ground.problems, ground.tokens)
  // The first versions are those that Best-of-N drew by the same seed; a run keeps the last ones alone.
  const before = new Map(first.problems.map(({ problem, candidates }) => [problem.id, candidates.slice(0, n)]))
  const read = run.problems.map(({ problem, candidates }) => {
    const earlier = (before.get(problem.id) ?? []).map(({ steps }) => steps)
    const anew = candidates.flatMap(({ steps, scores }, i) =>
      scores && JSON.stringify(steps) !== JSON.stringify(earlier[i]) ? [steps] : [],
    )
    return readInOneCall(earlier, ground.tokens) + readInOneCall(anew, ground.tokens)
  })
  const cost = { generated: costOf(run).generated, scored: read.reduce((sum, tokens) => sum + tokens, 0) / read.length }
  const named = { system: 'GenPRM', what: `${n} solutions, the doubted ones written anew with its words`, judge }
  return compare({ ...named, policy: ground.policyName, seeds: 1, accuracies: accuracies(run, chosen), cost }, pool)
}
