/**
 * What a run keeps, and what the dataset builder, selection and reports read back. Records are plain data: a
 * run's content is a function of problems, options and seed, and timings are kept apart from it.
 */
import type { Outcome } from './policy.ts'
import type { Problem } from './problem.ts'

/** Monte Carlo evidence at a node. Unparsed and truncated rollouts are not in `total` (in compat trees they are). */
export interface Counts {
  readonly correct: number
  /** Correct and wrong ones together. */
  readonly total: number
  readonly unparsed: number
  readonly truncated: number
}

/** MC(s) = correct / total; 0 where `total` is 0: no rollout could be judged, so there is no label. */
export function mcValue(counts: Counts): number {
  return counts.total > 0 ? counts.correct / counts.total : 0
}

export interface RolloutRecord {
  /** Index in the node's stream of seeds. */
  readonly index: number
  readonly outcome: Outcome
  readonly steps: readonly string[]
  /** Raw text; kept only where it differs from what `steps` say (unparsed and truncated ones). */
  readonly text?: string
  /** As extracted by the verifier; null where none was found. */
  readonly answer: string | null
  /** Verdict on the answer; null for unparsed and truncated ones. */
  readonly correct: boolean | null
  readonly numTokens?: number
}

/** One evaluated prefix: the unit that is made durable. */
export interface EvaluationRecord {
  readonly problemId: string
  /** All steps from the question to this node. */
  readonly prefix: readonly string[]
  /** Number of earlier evaluations of the same prefix: always 0, but in compat trees, which evaluate anew. */
  readonly occurrence: number
  /** Key of the random stream its rollouts come from. */
  readonly seed: number
  readonly counts: Counts
  /** Empty where the verdict on the final answer itself is the evidence (a terminal node). */
  readonly rollouts: readonly RolloutRecord[]
}

/** A verdict as stored: one per distinct answer of a problem. */
export interface VerdictRecord {
  readonly problemId: string
  readonly answer: string
  readonly match: boolean
  readonly method: string
  readonly raw?: string
}

/** A complete solution that was scored: what Best-of-N and beam search end with. */
export interface CandidateRecord {
  readonly problemId: string
  readonly index: number
  readonly outcome: Outcome
  readonly steps: readonly string[]
  readonly answer: string | null
  readonly correct: boolean | null
  /** Per step; absent where no scorer was given. */
  readonly scores?: readonly number[]
  readonly logits?: readonly (readonly number[])[]
  /** Spread of an ensemble or of repeated judgements, per step. */
  readonly std?: readonly number[]
}

/** Next steps of one prefix, as a scorer rated them beside each other. */
export interface SiblingScores {
  readonly problemId: string
  readonly prefix: readonly string[]
  readonly steps: readonly string[]
  /** Of each step, behind the prefix. */
  readonly scores: readonly number[]
  readonly logits?: readonly (readonly number[])[]
  readonly std?: readonly number[]
}

/** A search tree. One step per node, but in compat trees a node adds several steps under one label. */
export interface TreeNode {
  /** Steps that this node adds to its parent's; empty at the root. */
  readonly steps: readonly string[]
  /** null: never evaluated, hence without a label. */
  readonly counts: Counts | null
  /** The search took this step for the first error of its path. */
  readonly firstError: boolean
  /** The node ends in a final answer: its counts are the verdict (0/1 or 1/1), not an estimate. */
  readonly terminal: boolean
  /** N(s): how often the search selected it. */
  readonly visits: number
  readonly rollouts: readonly RolloutRecord[]
  /** Which evaluation of its prefix the rollouts are from, where a compat tree has several. */
  readonly occurrence?: number
  readonly children: readonly TreeNode[]
}

export interface ProblemTree {
  readonly problem: Problem
  readonly root: TreeNode
}

/** Why a problem's search ended; `failed` ones are unfinished and are taken up again by a resume. */
export type SearchStatus = 'running' | 'done' | 'failed'
