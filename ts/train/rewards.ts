/** What preference training reports: by how much more than the untrained model the trained one expects an answer. */
import { trainingError } from '../contracts/errors.ts'
import type { Preference, TrainRow } from '../contracts/trainer.ts'

/** Sums over pairs; the reward of an answer is beta · (log π − log π_ref). */
export class Rewards {
  readonly #preference: Preference | undefined
  #chosen = 0
  #rejected = 0
  #count = 0

  /** @param preference absent: rows are no pairs, and there is nothing to tell */
  constructor(preference: Preference | undefined) {
    this.#preference = preference
  }

  /**
   * @param logprobs of each row's two answers, the preferred one first
   * @throws EngineError TRAINING where a pair has no reference
   */
  add(rows: readonly TrainRow[], logprobs: readonly number[] = []): void {
    if (!this.#preference) return
    for (const [i, { sample, reference }] of rows.entries()) {
      if (!reference) throw trainingError(`sample ${sample.id}: no reward without log-probabilities of the untrained model`)
      this.#chosen += (logprobs[2 * i] as number) - reference[0]
      this.#rejected += (logprobs[2 * i + 1] as number) - reference[1]
    }
    this.#count += rows.length
  }

  /** Nothing where rows are no pairs. */
  means(): { margin?: number; chosenReward?: number; rejectedReward?: number } {
    if (!this.#preference || this.#count === 0) return {}
    const { beta } = this.#preference
    const [chosenReward, rejectedReward] = [this.#chosen, this.#rejected].map((sum) => (beta * sum) / this.#count)
    return { margin: (beta * (this.#chosen - this.#rejected)) / this.#count, chosenReward, rejectedReward } as {
      margin: number
      chosenReward: number
      rejectedReward: number
    }
  }
}
