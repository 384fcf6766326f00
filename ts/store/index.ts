/** Runs on disk: written by one process at a time, read by any. */
export { runId } from './identity.ts'
export { openRun } from './reader.ts'
export { type OpenRunOptions, SqliteRunStore } from './sqlite.ts'
