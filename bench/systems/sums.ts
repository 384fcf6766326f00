/**
 * GenPRM's check by code on sums, whose every step code can check. A policy of this size needs hours to learn them: solutions are
 * drawn by a script, half of them with a mistake, of which code sees about half.
 */
import { critics, policy as policies, sandbox } from '../../ts/index.ts'
import { sumProblem, writtenSum } from '../../ts/tasks/sums.ts'
import { accuracies, anyThatRuns, chosen, compare, costOf, type Pool } from './compare.ts'
import type { StepTokens } from './cost.ts'
import { programmedJudge } from './judges.ts'
import { rules } from './models.ts'
import { PLAN } from './plan.ts'
import type { Comparison } from './results.ts'
import { found, searched } from './runs.ts'

const SEED = 'systems'

export async function genPrmOnSums(tokens: StepTokens): Promise<Comparison> {
  const { problems: count, pool: size, n } = PLAN.sums
  const problems = Array.from({ length: count }, (_, i) => {
    const { id, question, answer } = sumProblem(SEED, i)
    return { id, question, answer }
  })
  const policy = policies.scriptedPolicy(({ problem, seed }, index) => {
    const { steps, answer } = writtenSum(SEED, Number(problem.id.split('/').at(-1)), `${seed}/${index}`)
    const whole = [...steps, answer]
    const numTokens = whole.reduce((sum, step) => sum + tokens(step), 0)
    return { outcome: 'complete', steps: whole, text: whole.join('\n'), numTokens }
  })
  const scorer = critics.criticScorer('genprm', programmedJudge(), { judgements: 1 }, await sandbox.openSandbox())
  const spec = { policy, verifier: rules, problems, strategy: 'best-of-n', seed: PLAN.seed }
  const plain = await found(await searched({ ...spec, name: 'sums/pool', options: { n: size } }), problems, tokens)
  const own = await found(await searched({ ...spec, scorer, name: 'sums/genprm', options: { n } }), problems, tokens)
  const pool: Pool = { run: plain, size, tokens }
  return compare(
    {
      ...{ system: 'GenPRM', what: `on sums, best of ${n} by code that is run`, policy: 'scripted sums', seeds: 1 },
      ...{ judge: 'programmed: copies each equation into code, which is run; Best-of-N has no judge and takes any' },
      ...{ accuracies: accuracies(own, chosen), cost: costOf(own) },
    },
    pool,
    anyThatRuns,
  )
}
