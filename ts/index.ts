/**
 * The public surface of the package: the engine, and around it a namespace for each part of the data engine.
 */
import { openTrainable } from './engine/trainable.ts'
import { runTraining, type TrainOptions, type TrainResult } from './train/index.ts'

export type { Choice, Critic, CriticMessage, CriticRequest, CriticSampling, WriteRequest } from './contracts/critic.ts'
export { EngineError, ERROR_CODES, type ErrorCode } from './contracts/errors.ts'
export type { SearchEvent, StopReason } from './contracts/events.ts'
export type { Outcome, Policy, PolicyIdentity, Rollout, RolloutRequest, Sampling } from './contracts/policy.ts'
export type { Problem, ProblemImage } from './contracts/problem.ts'
export type {
  CandidateRecord,
  Counts,
  EvaluationRecord,
  ProblemTree,
  RolloutRecord,
  TreeNode,
  VerdictRecord,
} from './contracts/records.ts'
export type { KnownWork, RunIdentity, RunReader, RunStore, RunSummary } from './contracts/run-store.ts'
export type { RunLimits, Runner, RunRequest, RunResult } from './contracts/runner.ts'
export type { ScoreRequest, StepScorer, StepScores } from './contracts/scorer.ts'
export type { AskJudge, FirstError, FirstErrorJudge, Verdict, Verifier } from './contracts/verifier.ts'
export * as critics from './critics/index.ts'
export * as dataset from './dataset/index.ts'
export { checkpointHash } from './engine/checkpoint-hash.ts'
export type { Completion, Finish } from './engine/completion.ts'
export { Engine, type EngineInfo, type EngineStats } from './engine/engine.ts'
export type { GenerateRequest, SamplingOptions } from './engine/generate-options.ts'
export type { StreamEvent } from './engine/generation.ts'
export type {
  EmbedImageRequest,
  LogitsRequest,
  OpenOptions,
  OpenProgress,
  ScoreManyRequest,
  ScoreOneRequest,
} from './engine/options.ts'
export type { CandidateError, ScoredCandidates, ScoredSteps } from './engine/scorer.ts'
export { initModel } from './engine/trainable.ts'
export * as evaluation from './eval/index.ts'
export * as hub from './hub/index.ts'
export * as kit from './kit/index.ts'
export * as policy from './policy/index.ts'
export * as problems from './problems/index.ts'
export * as sandbox from './sandbox/index.ts'
export * as search from './search/index.ts'
export * as select from './select/index.ts'
export { type ServeOptions, type Server, serve } from './serve/index.ts'
export * as sql from './sql/index.ts'
export * as store from './store/index.ts'
export type { Dataset, TrainOptions, TrainProgress, TrainResult } from './train/index.ts'
export * as verify from './verify/index.ts'

/**
 * Trains a policy or a process reward model.
 * @throws EngineError INVALID_ARGUMENT, INVALID_MODEL, UNSUPPORTED_MODEL, TRAINING, STORE, ABORTED
 */
export function train(options: TrainOptions): Promise<TrainResult> {
  return runTraining(options, openTrainable)
}
