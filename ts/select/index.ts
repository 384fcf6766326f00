/** Choosing among candidate solutions by their step scores. */
export {
  AGGREGATIONS,
  type Aggregation,
  aggregate,
  aggregationOf,
  bestCandidates,
  bestOf,
  choiceOf,
  type StepScores,
  WEIGHTS,
} from './aggregate.ts'
export { type Estimate, estimate, expectedLabel, mean, passAtK } from './metrics.ts'
export {
  type PrecisionRow,
  precisionByRate,
  type ScoredItem,
  type SelectionRow,
  scoresFor,
  selectBest,
  selectionTable,
  sweepN,
} from './report.ts'
export { majorityVote, type VoteWinners, weightedVote } from './vote.ts'
