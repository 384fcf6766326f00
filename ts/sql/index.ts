/** Text-to-SQL: queries of models run on SQLite files, as a verifier and before a scorer. */
export { type ObserveOptions, observation, observingScorer } from './observe.ts'
export { databaseOf, type QueryResult, runQueries, SQL_LIMITS, type SqlLimits } from './queries.ts'
export { type SqlVerifierOptions, sqlVerifier } from './verifier.ts'
