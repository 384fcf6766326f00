/** The public surface of the package. */
import { openTrainable } from './engine/trainable.ts'
import { runTraining, type TrainOptions, type TrainResult } from './train/index.ts'

export { EngineError, ERROR_CODES, type ErrorCode } from './contracts/errors.ts'
export type { SearchEvent, StopReason } from './contracts/events.ts'
export type { Policy, Rollout, RolloutRequest, Sampling } from './contracts/policy.ts'
export type { Problem } from './contracts/problem.ts'
export type { ProblemTree, TreeNode } from './contracts/records.ts'
export type { ScoreRequest, StepScorer, StepScores } from './contracts/scorer.ts'
export type { Verdict, Verifier } from './contracts/verifier.ts'
export type { Completion, Finish } from './engine/completion.ts'
export { Engine, type EngineInfo, type EngineStats, type ScoredSteps } from './engine/engine.ts'
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
export { initModel } from './engine/trainable.ts'
export * as select from './select/index.ts'
export type { Dataset, TrainOptions, TrainProgress, TrainResult } from './train/index.ts'
export * as verify from './verify/index.ts'

/**
 * Trains a policy or a process reward model.
 * @throws EngineError INVALID_ARGUMENT, INVALID_MODEL, UNSUPPORTED_MODEL, TRAINING, STORE, ABORTED
 */
export function train(options: TrainOptions): Promise<TrainResult> {
  return runTraining(options, openTrainable)
}
