/** Benchmarks from files on disk: what a process reward model is worth on steps whose truth is known. */
export { findFolder } from './files.ts'
export { findTask, STEP_TASKS } from './registry.ts'
export { type EvalResults, resultsSchema, type StepTaskResults, stepResults } from './results.ts'
export { type StepRun, type StepRunOptions, scoreItems } from './step-run.ts'
export { type LoadedTask, loadTask, type StepItem, type StepTask } from './step-task.ts'
export { resultRows, toCsv, toMarkdown } from './table.ts'
