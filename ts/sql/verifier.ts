/** Text-to-SQL: a query is right where it gives the same set of rows as the problem's own (as BIRD and Spider are graded). */
import { queryOf } from '../contracts/cte.ts'
import { invalidArgument } from '../contracts/errors.ts'
import type { Runner } from '../contracts/runner.ts'
import { UNDECIDED, type Verifier } from '../contracts/verifier.ts'
import { databaseOf, runQueries, SQL_LIMITS, type SqlLimits } from './queries.ts'

export interface SqlVerifierOptions {
  /** Where the databases lie. */
  readonly databases: string
  readonly runner: Runner
  readonly limits?: Partial<SqlLimits> | undefined
}

const STATEMENT = /^\s*(?:with|select|values)\b/i

/** @returns a verifier that reads all steps of a solution as one query; when it verifies, it throws as `Verifier.verify` does */
export function sqlVerifier({ databases, runner, limits }: SqlVerifierOptions): Verifier {
  const bounds = { ...SQL_LIMITS, ...limits }
  return {
    name: `sql+rows=${bounds.rows}+seconds=${bounds.seconds}`,
    whole: true,
    extract(text) {
      const query = queryOf(text).replace(/[;\s]+$/, '')
      return STATEMENT.test(query) ? query : null
    },
    async verify(problem, answer, signal) {
      const file = databaseOf(problem, databases)
      const [gold, given] = await runQueries(runner, file, [problem.answer, answer], bounds, signal)
      if (!gold || 'error' in gold) throw invalidArgument(`problem "${problem.id}": its own query does not run: ${gold?.error}`)
      if (!given || 'error' in given)
        return { match: false, method: given?.outOfTime ? UNDECIDED : 'sql', raw: given?.error ?? 'no result' }
      return { match: gold.set === given.set, method: 'sql' }
    },
  }
}
