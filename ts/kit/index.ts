/**
 * The one place that opens a checkpoint folder, or a model on a server, as what a run needs: policy, scorer, judge or
 * verifier, with the template it was trained with, the name a run records, and an end.
 */
export { type OpenedCritic, openCritic } from './critic.ts'
export {
  type JudgeOptions,
  type OpenedJudge,
  type OpenedVerifier,
  openJudge,
  openVerifier,
  VERIFIER_NAMES,
  type VerifierName,
  type VerifierOptions,
} from './judge.ts'
export type { FolderOptions, Opened } from './opened.ts'
export { type OpenedPolicy, openPolicy, type PolicyOptions } from './policy.ts'
export { type OpenedScorer, openObservingScorer, openScorer, type ScorerOptions } from './scorer.ts'
export { isModulePath } from './scorer-module.ts'
export type { ServerOptions } from './server.ts'
