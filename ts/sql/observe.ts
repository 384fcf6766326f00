/**
 * Reward-SQL (arXiv 2505.04671): what each step of a query gives stands behind it before a PRM scores it, and a query that does
 * not run is not scored at all.
 */
import { cutQuery, tableOf } from '../contracts/cte.ts'
import type { Problem } from '../contracts/problem.ts'
import type { Runner } from '../contracts/runner.ts'
import type { StepScorer, StepScores } from '../contracts/scorer.ts'
import { databaseOf, type QueryResult, runQueries, SQL_LIMITS } from './queries.ts'

export interface ObserveOptions {
  readonly databases: string
  readonly runner: Runner
}

const OBSERVED_ROWS = 50

/** The query that shows what a step has come to: the steps so far, and all rows of the table that it defines. */
export function observation(steps: readonly string[], upTo: number): string {
  const soFar = steps.slice(0, upTo + 1).join('\n')
  const table = tableOf(steps[upTo] ?? '')
  return table === undefined ? soFar : `${soFar.replace(/,\s*$/, '')}\nSELECT * FROM ${table} LIMIT ${OBSERVED_ROWS}`
}

/** As the published code writes it. */
const shown = (result: QueryResult) => ('error' in result ? `Total SQL result:0, Execution error: ${result.error}` : result.shown)

export function observingScorer(scorer: StepScorer, { databases, runner }: ObserveOptions): StepScorer {
  const observe = async (problem: Problem, steps: readonly string[], signal?: AbortSignal) => {
    if (steps.length === 0) return { seen: [], error: undefined }
    const queries = steps.map((_, i) => observation(steps, i))
    const results = await runQueries(runner, databaseOf(problem, databases), queries, SQL_LIMITS, signal)
    const seen = steps.map((step, i) => `${step}<result>${shown(results[i] as QueryResult)}</result>`)
    const last = results.at(-1) as QueryResult
    const isWhole = cutQuery(steps.join('\n')).length === steps.length && tableOf(steps.at(-1) ?? '') === undefined
    return { seen, error: isWhole && 'error' in last ? `the query does not run: ${last.error}` : undefined }
  }
  return {
    name: `${scorer.name}+observed`,
    ...(scorer.threshold !== undefined && { threshold: scorer.threshold }),
    async score({ problem, solutions }, signal): Promise<StepScores[]> {
      const observed = await Promise.all(solutions.map((steps) => observe(problem, steps, signal)))
      const runnable = observed.flatMap(({ seen, error }) => (error === undefined ? [seen] : []))
      const scored = runnable.length > 0 ? await scorer.score({ problem, solutions: runnable }, signal) : []
      return observed.map(({ error }) => (error === undefined ? (scored.shift() as StepScores) : { scores: [], error }))
    },
  }
}
