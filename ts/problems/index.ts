/** Problems: read from files, curated. */
export {
  type CurateOptions,
  curate,
  type Dropped,
  type DropReason,
  normalizeQuestion,
  QUESTION_TYPES,
  type QuestionType,
  questionType,
} from './curate.ts'
export type { PolicyFilterOptions, PolicyObjection } from './policy-filter.ts'
export { type ProblemRow, readProblems } from './read.ts'
