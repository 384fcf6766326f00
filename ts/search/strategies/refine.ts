/**
 * Critics that help (GenPRM, arXiv 2504.00891): n solutions, each judged in words; one that is not trusted goes back to the
 * policy with these words, and is written anew. Candidates are what each has come to, in order.
 */
import { z } from 'zod'
import { policyError } from '../../contracts/errors.ts'
import type { SearchEvent } from '../../contracts/events.ts'
import { askedQuestion, type Problem } from '../../contracts/problem.ts'
import type { EvaluationRecord, RolloutRecord } from '../../contracts/records.ts'
import type { StepScores } from '../../contracts/scorer.ts'
import { scoreSolutions, toCandidate } from '../candidates.ts'
import { channel, type Emit } from '../channel.ts'
import { Evaluator } from '../evaluator.ts'
import { type SearchContext, type Strategy, spentOf } from '../strategy.ts'

const count = z.number().int().positive()

export const refineOptions = z.strictObject({
  /** Solutions side by side. */
  n: count.default(4),
  /** How often each may be written anew. */
  rounds: count.default(1),
  /** A solution is trusted where each of its steps scores as much. */
  trust: z.number().min(0).max(1).default(0.5),
})

type RefineOptions = z.output<typeof refineOptions>

interface Version {
  rollout: RolloutRecord
  scored: StepScores | undefined
}

/** The question as a policy is asked it that has tried before. */
export function withCritique(problem: Problem, steps: readonly string[], words: string): Problem {
  const question = [
    askedQuestion(problem).question,
    `This is an earlier attempt:\n${steps.join('\n\n')}`,
    `This is what a reviewer says of it:\n${words.trim()}`,
    'Solve the problem again, without the mistakes that the reviewer is right about.',
  ].join('\n\n')
  const { choices: _, ...rest } = problem // they stand in the question
  return { ...rest, question }
}

class Refinement {
  readonly #context: SearchContext
  readonly #options: RefineOptions
  readonly #emit: Emit<SearchEvent>
  readonly #signal: AbortSignal
  readonly #evaluator: Evaluator
  #rollouts = 0
  #tokens = 0

  constructor(context: SearchContext, options: RefineOptions, emit: Emit<SearchEvent>, signal: AbortSignal) {
    this.#context = context
    this.#options = options
    this.#emit = emit
    this.#signal = signal
    this.#evaluator = new Evaluator(context, emit, signal)
  }

  async run(): Promise<void> {
    const { n, rounds } = this.#options
    const { rollouts } = this.#spend(await this.#evaluator.evaluate([], { numRollouts: n }))
    let versions = await this.#judged(rollouts)
    for (let round = 0; round < rounds && !this.#spent() && versions.some((v) => this.#doubts(v)); round++) {
      const written = versions.map((v, i) => (this.#doubts(v) ? this.#anew(v, 1 + round * n + i) : undefined))
      const again = await this.#judged((await Promise.all(written)).filter((r) => r !== undefined))
      versions = versions.map((v, i) => (written[i] ? (again.shift() as Version) : v))
    }
    for (const [index, { rollout, scored }] of versions.entries()) {
      await this.#emit({ type: 'candidate', candidate: toCandidate(this.#context.problem.id, index, [], rollout, scored) })
    }
    await this.#emit({ type: 'finished', reason: this.#spent() ?? 'complete', searches: 0, rollouts: this.#rollouts })
  }

  /** What cannot be read cannot be judged: it stays as it is. */
  #doubts({ scored }: Version): boolean {
    return scored?.scores.some((score) => score < this.#options.trust) ?? false
  }

  async #anew({ rollout, scored }: Version, occurrence: number): Promise<RolloutRecord> {
    const { problem, scorer } = this.#context
    if (!scored?.words) throw policyError(`problem "${problem.id}": ${scorer?.name} scores without words: refine needs a judge`)
    const asked = withCritique(problem, rollout.steps, scored.words)
    const { rollouts } = this.#spend(await this.#evaluator.evaluate([], { numRollouts: 1, occurrence, asked }))
    return rollouts[0] as RolloutRecord
  }

  async #judged(rollouts: readonly RolloutRecord[]): Promise<Version[]> {
    const complete = rollouts.filter((rollout) => rollout.outcome === 'complete')
    const scores = await scoreSolutions(
      this.#context,
      complete.map((rollout) => rollout.steps),
      this.#signal,
    )
    return rollouts.map((rollout) => ({ rollout, scored: scores[complete.indexOf(rollout)] }))
  }

  #spend(evaluation: EvaluationRecord): EvaluationRecord {
    this.#rollouts += evaluation.rollouts.length
    for (const { numTokens = 0 } of evaluation.rollouts) this.#tokens += numTokens
    return evaluation
  }

  #spent(): 'rollouts' | 'tokens' | undefined {
    return spentOf(this.#context.budget, this.#rollouts, this.#tokens)
  }
}

export const refine: Strategy<typeof refineOptions> = {
  name: 'refine',
  needsScorer: true,
  options: refineOptions,
  run(context, options) {
    return channel(context.signal, (emit, signal) => new Refinement(context, options, emit, signal).run())
  },
}
