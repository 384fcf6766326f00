/** Runs of many machines: PostgreSQL holds what is true, pg-boss says who works on what. */

export { splitUri } from './connection.ts'
export type { SubmittedPicture, SubmittedProblem } from './problems.ts'
export { type RunState, type RunStatus, Runs } from './runs.ts'
export { PostgresSource, type PostgresSourceOptions } from './source.ts'
