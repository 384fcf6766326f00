/** What a generative judge is: which words it is asked in, and where its judgement of a step is read. */
import type { Choice, Critic, CriticSampling } from '../contracts/critic.ts'
import type { ProblemImage } from '../contracts/problem.ts'
import type { Runner } from '../contracts/runner.ts'

export interface Judged {
  question: string
  images: readonly ProblemImage[]
  steps: readonly string[]
}

/** One of the independent judgements of a solution. */
export interface Asking {
  critic: Critic
  sampling: CriticSampling
  /** Its number, from 0. */
  sample: number
  signal: AbortSignal | undefined
  /** Runs the code that a judge writes; absent: none is run. */
  runner: Runner | undefined
  /** The judge solves the problem first, and has its own solution beside the one that it judges. */
  ownSolution: boolean
}

export interface Judgement {
  /** The probability that each is right; null where the judge's words do not tell. */
  readonly steps: readonly (number | null)[]
  /** What it wrote about the solution, or about each step of it. */
  readonly words: string
}

/** One file per form exports one of these; index.ts lists them. */
export interface CriticForm {
  readonly name: string
  readonly showsPictures: boolean
  /** Whether it can be shown a solution of its own. */
  readonly takesOwnSolution?: true
  /** Whether it writes code to be run. */
  readonly writesCode?: true
  readonly defaults: Omit<CriticSampling, 'seed'> & { judgements: number }
  /** @throws EngineError POLICY, INVALID_ARGUMENT, ABORTED */
  judge(judged: Judged, asking: Asking): Promise<Judgement>
}

/** p(first) against p(second), the rest of the vocabulary left out; null where the model tells neither. */
export function shareOfFirst([first, second]: readonly Choice[]): number | null {
  if (!first || !second || (first.isBound && second.isBound)) return null
  return 1 / (1 + Math.exp(second.logprob - first.logprob))
}
