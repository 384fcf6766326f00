/**
 * Monte Carlo evaluation of prefixes: samples rollouts, has each distinct answer judged once, counts. What an
 * interrupted search already knows is taken from there, so that a resume is a replay.
 */
import { EngineError, policyError } from '../contracts/errors.ts'
import type { SearchEvent } from '../contracts/events.ts'
import type { Rollout, RolloutRequest } from '../contracts/policy.ts'
import type { Problem } from '../contracts/problem.ts'
import type { Counts, EvaluationRecord, RolloutRecord, VerdictRecord } from '../contracts/records.ts'
import { answerText, UNDECIDED } from '../contracts/verifier.ts'
import type { Emit } from './channel.ts'
import type { SearchContext } from './strategy.ts'

export interface Judgement {
  readonly answer: string | null
  /** null: not judged. */
  readonly correct: boolean | null
}

export interface EvaluateOptions {
  readonly numRollouts: number
  /** More rollouts, doubling, while this says that the counts do not tell enough. */
  readonly undecided?: (counts: Counts) => boolean
  readonly occurrence?: number
  /** Rollouts end after so many steps. */
  readonly maxSteps?: number
  /** The problem as the policy is asked it, where that is in other words; the verdict is on the run's own. */
  readonly asked?: Problem
  readonly judge?: (rollout: Rollout) => Promise<Judgement>
}

const UNJUDGED: Judgement = { answer: null, correct: null }
const keyOf = (prefix: readonly string[], occurrence: number) => JSON.stringify([prefix, occurrence])

export class Evaluator {
  readonly #context: SearchContext
  readonly #emit: Emit<SearchEvent>
  readonly #signal: AbortSignal
  readonly #known: Map<string, EvaluationRecord>
  readonly #verdicts = new Map<string, Promise<VerdictRecord>>()

  constructor(context: SearchContext, emit: Emit<SearchEvent>, signal: AbortSignal) {
    this.#context = context
    this.#emit = emit
    this.#signal = signal
    this.#known = new Map(context.known.evaluations.map((e) => [keyOf(e.prefix, e.occurrence), e]))
    for (const verdict of context.known.verdicts) this.#verdicts.set(verdict.answer, Promise.resolve(verdict))
  }

  /** Evaluates one prefix; resolves when its record is durable. */
  async evaluate(prefix: readonly string[], options: EvaluateOptions): Promise<EvaluationRecord> {
    const { numRollouts, occurrence = 0, maxSteps, asked, judge = (rollout) => this.judge(prefix, rollout) } = options
    const known = this.#known.get(keyOf(prefix, occurrence))
    if (known) return known
    const seed = this.#context.rng(prefix, occurrence)
    const start = performance.now()
    const rollouts: RolloutRecord[] = []
    let counts: Counts
    do {
      const from = rollouts.length
      const request = { prefix, seed, from, count: from || numRollouts, ...(maxSteps && { maxSteps }) }
      const [sampled] = await this.sample([request], asked)
      const judged = (sampled ?? []).map(async (rollout, i) => toRecord(rollout, from + i, await judge(rollout)))
      rollouts.push(...(await Promise.all(judged)))
      counts = countOutcomes(rollouts)
    } while (options.undecided?.(counts))
    const evaluation = { problemId: this.#context.problem.id, prefix, occurrence, seed, counts, rollouts }
    await this.#emit({ type: 'evaluated', evaluation, elapsedMs: performance.now() - start })
    return evaluation
  }

  /** Rollouts of several prefixes in one call; a policy that gives another number of them is an error. */
  async sample(requests: readonly Omit<RolloutRequest, 'problem'>[], asked = this.#context.problem): Promise<Rollout[][]> {
    const { problem, policy } = this.#context
    const results = await policy.rollouts(
      requests.map((request) => ({ problem: asked, ...request })),
      this.#signal,
    )
    for (const [i, { count }] of requests.entries()) {
      const given = results[i]?.length ?? 0
      if (given !== count)
        throw policyError(`problem "${problem.id}": ${count} rollouts were asked for, the policy gave ${given}`)
    }
    return results
  }

  /** Only a complete rollout has an answer; anything else is not "wrong". */
  async judge(prefix: readonly string[], { outcome, steps }: Rollout): Promise<Judgement> {
    return outcome === 'complete' ? this.verdictOn([...prefix, ...steps]) : UNJUDGED
  }

  /** The verdict on a whole solution's answer, asked for once per distinct answer. */
  async verdictOn(steps: readonly string[]): Promise<Judgement> {
    const { verifier } = this.#context
    const answer = verifier.extract(answerText(verifier, steps))
    if (answer === null) return UNJUDGED
    let verdict = this.#verdicts.get(answer)
    if (!verdict) {
      verdict = this.#ask(answer)
      this.#verdicts.set(answer, verdict)
    }
    const { match, method } = await verdict
    // No verdict is no "wrong" either.
    return { answer, correct: method === UNDECIDED ? null : match }
  }

  async #ask(answer: string): Promise<VerdictRecord> {
    const { problem, verifier } = this.#context
    const given = await verifier.verify(problem, answer, this.#signal).catch((error) => {
      if (error instanceof EngineError) throw error
      // Whatever a verifier breaks on is an answer of this problem: the others go on.
      throw policyError(`problem "${problem.id}": the verifier failed: ${(error as Error).message}`, error)
    })
    const verdict = { problemId: problem.id, answer, ...given }
    await this.#emit({ type: 'verdict', verdict })
    return verdict
  }
}

/** A complete rollout without an answer to extract could not be parsed after all. */
export function toRecord(rollout: Rollout, index: number, { answer, correct }: Judgement): RolloutRecord {
  const outcome = rollout.outcome === 'complete' && correct === null ? 'unparsed' : rollout.outcome
  return {
    index,
    outcome,
    steps: rollout.steps,
    ...(outcome !== 'complete' && { text: rollout.text }),
    answer,
    correct,
    ...(rollout.numTokens !== undefined && { numTokens: rollout.numTokens }),
  }
}

function countOutcomes(rollouts: readonly RolloutRecord[]): Counts {
  const counts = { correct: 0, total: 0, unparsed: 0, truncated: 0 }
  for (const { outcome, correct } of rollouts) {
    if (correct !== null) counts.total++
    if (correct) counts.correct++
    if (outcome === 'unparsed') counts.unparsed++
    if (outcome === 'truncated') counts.truncated++
  }
  return counts
}
