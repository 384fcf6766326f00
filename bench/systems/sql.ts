/**
 * Reward-SQL on the package's own questions to databases. No model of this size writes SQL: queries are drawn by a script from the
 * worked one and its common faults, and run, watched step by step and graded as a model's would be.
 */
import { join } from 'node:path'
import { command as tasks } from '../../ts/cli/tasks.ts'
import { cutQuery } from '../../ts/contracts/cte.ts'
import { seededRandom } from '../../ts/contracts/random.ts'
import { kit, type Problem, policy as policies, problems as reading, type StepScorer, sandbox, sql } from '../../ts/index.ts'
import { accuracies, anyThatRuns, chosen, compare, costOf, type Pool, weighted } from './compare.ts'
import type { StepTokens } from './cost.ts'
import { at, PLAN } from './plan.ts'
import type { Comparison } from './results.ts'
import { found, searched } from './runs.ts'

/** What goes wrong in a step of a query; one that has no place in it leaves it as it is. */
const FAULTS: readonly ((step: string) => string)[] = [
  (step) => step.replace(/ > | <= /, (sign) => (sign === ' > ' ? ' < ' : ' > ')),
  (step) => step.replace('SUM(', 'COUNT('),
  (step) => step.replace(/kind = '(\w+)'/, "kind = '$1s'"),
  (step) => step.replace('product_id', 'product'),
  (step) => step.replace(/ GROUP BY \w+/, ''),
  (step) => step.replace(/ WHERE [^)]*/, ''),
  (step) => step.replace('pieces', 'piece'),
]

const FAULT_RATE = 0.35

/** Solution `index` of a problem: each step goes wrong with one chance, in one of the ways that fit it. */
export function drawnQuery({ id, answer }: Pick<Problem, 'id' | 'answer'>, seed: number, index: number): string[] {
  const random = seededRandom(`${id}/${seed}/${index}`)
  return cutQuery(answer).map((step) => {
    const ways = FAULTS.map((fault) => fault(step)).filter((wrong) => wrong !== step)
    const isWrong = random() < FAULT_RATE
    return isWrong && ways.length > 0 ? (ways[Math.floor(random() * ways.length)] as string) : step
  })
}

/** Judges a step by what it gives, nothing else: an error or no row at all is a bad sign. It knows no answer. */
export const watchful: StepScorer = {
  name: 'programmed-judge-of-results',
  async score({ solutions }) {
    const scoreOf = (step: string) => {
      const seen = /<result>([\s\S]*)<\/result>$/.exec(step)?.[1] ?? ''
      return seen.includes('Execution error') ? 0.05 : seen === '{}' ? 0.2 : 0.8
    }
    return solutions.map((steps) => ({ scores: steps.map(scoreOf) }))
  },
}

/** Problems and databases as `mm-prm tasks --sql` writes them. */
async function sqlProblems(folder: string, count: number): Promise<Problem[]> {
  const status = await tasks.run(['--sql', '--out', folder, '--count', String(count), '--seed', 'systems'])
  if (status !== 0) throw new Error(`mm-prm tasks --sql ended with ${status}`)
  const list: Problem[] = []
  for await (const row of reading.readProblems(join(folder, 'problems.jsonl'))) if ('problem' in row) list.push(row.problem)
  return list
}

export async function rewardSql(tokens: StepTokens): Promise<Comparison[]> {
  const problems = await sqlProblems(at('sql'), PLAN.sql.problems)
  const databases = at('sql', 'databases')
  const policy = policies.scriptedPolicy(({ problem, seed }, index) => {
    const steps = drawnQuery(problem, seed, index)
    const numTokens = steps.reduce((sum, step) => sum + tokens(step), 0)
    return { outcome: 'complete', steps, text: steps.join('\n'), numTokens }
  })
  const runner = await sandbox.openSandbox()
  await using verifier = await kit.openVerifier({ verifier: 'sql', databases })
  const scorer = sql.observingScorer(watchful, { databases, runner })
  const spec = { policy, scorer, verifier, problems, strategy: 'best-of-n', seed: PLAN.seed }
  const run = async (n: number) => found(await searched({ ...spec, name: `sql/best-of-${n}`, options: { n } }), problems, tokens)
  const pool: Pool = { run: await run(PLAN.sql.pool), size: PLAN.sql.pool, tokens }
  const own = await run(PLAN.sql.n)
  const drops = own.problems.flatMap(({ candidates }) => candidates).filter((c) => !c.scores).length
  const measured = {
    ...{
      system: 'Reward-SQL',
      policy: 'scripted faults',
      judge: 'programmed: an error or an empty result is a bad sign; Best-of-N has no judge and takes any that runs',
    },
    ...{ seeds: 1, cost: costOf(own), more: { 'queries that do not run': drops / (own.problems.length * PLAN.sql.n) } },
  }
  const ways = { [`best of ${PLAN.sql.n} queries, each step run and watched`]: chosen, 'the same, as a weighted vote': weighted }
  return Object.entries(ways).map(([what, choose]) =>
    // The plain side has no judge that reads SQL: it takes any query that runs.
    compare({ ...measured, what, accuracies: accuracies(own, choose) }, pool, anyThatRuns),
  )
}
