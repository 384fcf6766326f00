/** Benchmarks from files on disk: what a policy solves, and what a process reward model adds or knows of single steps. */

export { answerResults, type JudgedItem, type ResultOptions, type Selection, type Unused } from './answer-results.ts'
export {
  type AnswerSet,
  loadAnswerSet,
} from './answer-set.ts'
export { categoryTable, choiceTable, countTable, longRows, paperTable, sweepTable, type Table } from './answer-table.ts'
export type { AnswerItem, AnswerTask, OfficialVerdict } from './answer-task.ts'
export { compareRuns, type Difference, PER_PROBLEM } from './compare.ts'
export { type GradedItem, type Grader, gradeSolutions, type JudgedLine, type Judgement } from './grade.ts'
export { LineStore } from './line-store.ts'
export { ANSWER_TASKS, findTask, isAnswerTask, STEP_TASKS } from './registry.ts'
export { enterResponses } from './responses.ts'
export { type AnswerTaskResults, type EvalResults, resultsSchema, type StepTaskResults, stepResults } from './results.ts'
export { openScores, readScores, type ScoreLine, scoreSolutions } from './scores.ts'
export {
  enterSampled,
  missingOf,
  openSolutions,
  readSolutions,
  SOLUTIONS_FILE,
  type Solution,
  type SolutionLine,
  sampleSolutions,
} from './solutions.ts'
export { type StepRun, type StepRunOptions, scoreItems } from './step-run.ts'
export { type LoadedTask, loadTask, type StepItem, type StepTask } from './step-task.ts'
export { resultRows, toCsv, toMarkdown } from './table.ts'
