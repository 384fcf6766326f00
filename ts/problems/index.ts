/** Problems: read from files, curated. */
export type { SameAnswer } from './alike.ts'
export {
  type CurateOptions,
  curate,
  type Dropped,
  type DropReason,
  QUESTION_TYPES,
  type QuestionType,
  questionType,
} from './curate.ts'
export type { PolicyFilterOptions, PolicyObjection } from './policy-filter.ts'
export { normalizeQuestion } from './question-text.ts'
export { type ProblemRow, readProblems, readQuestion } from './read.ts'
