/**
 * The text of one sample as it grows, and where it stops. What could still become a stop text is held back, so no
 * part of one is ever handed out; neither is an unfinished character.
 */
import { solutionStart } from '../contracts/reasoning.ts'
import { TokenDecoder, type Tokenizer } from './tokenizer/index.ts'

export interface StopRules {
  /** Texts that end a sample and are cut off. */
  strings: readonly string[]
  /** Ends a sample after so many closed steps, those named in its reasoning aside; the last one stays. */
  maxSteps: number | undefined
  /** The prompt has opened a block of reasoning, in which the sample begins. */
  isReasoning: boolean
}

const STEP_END = '</step>'

/** Length of the longest end of `text` that begins `stop`. */
function heldBack(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length
  }
  return 0
}

export class StopText {
  readonly #decoder: TokenDecoder
  readonly #rules: StopRules
  readonly #longest: number
  #text = ''
  #released = 0
  #numSteps = 0
  #stepsSearched = 0
  stopped: 'stop' | 'steps' | undefined

  constructor(tokenizer: Tokenizer, rules: StopRules) {
    this.#decoder = new TokenDecoder(tokenizer)
    this.#rules = rules
    this.#longest = Math.max(0, ...rules.strings.map((s) => s.length))
  }

  /** All of it so far; once stopped or finished, the final text. */
  get text(): string {
    return this.#text
  }

  /** Returns the text that may be shown now. */
  push(id: number): string {
    return this.stopped ? '' : this.#append(this.#decoder.push(id))
  }

  /** The sample has ended. Returns what was held back. */
  finish(): string {
    if (this.stopped) return ''
    const shown = this.#append(this.#decoder.finish())
    return this.stopped ? shown : shown + this.#release(this.#text.length)
  }

  #append(piece: string): string {
    if (piece === '') return ''
    const from = Math.max(0, this.#text.length - this.#longest + 1)
    this.#text += piece
    const end = this.#findEnd(from)
    if (end !== undefined) {
      this.#text = this.#text.slice(0, end)
      return this.#release(end)
    }
    const held = Math.max(0, ...this.#rules.strings.map((stop) => heldBack(this.#text, stop)))
    return this.#release(this.#text.length - held)
  }

  /** Where the text ends, if it does; whichever stop is complete first counts. */
  #findEnd(from: number): number | undefined {
    let completed = Number.POSITIVE_INFINITY
    let end: number | undefined
    for (const stop of this.#rules.strings) {
      const at = this.#text.indexOf(stop, from)
      if (at < 0 || at + stop.length > completed || (at + stop.length === completed && at >= (end ?? 0))) continue
      completed = at + stop.length
      end = at
      this.stopped = 'stop'
    }
    const steps = this.#findLastStep()
    if (steps === undefined || steps >= completed) return end
    this.stopped = 'steps'
    return steps
  }

  #findLastStep(): number | undefined {
    if (this.#rules.maxSteps === undefined) return undefined
    for (let at = this.#text.indexOf(STEP_END, this.#stepsSearched); at >= 0; ) {
      this.#stepsSearched = at + STEP_END.length
      if (!this.#isReasoning() && ++this.#numSteps === this.#rules.maxSteps) return this.#stepsSearched
      at = this.#text.indexOf(STEP_END, this.#stepsSearched)
    }
    return undefined
  }

  /** Whether the text up to where steps were searched lies in reasoning; behind a first step there is none. */
  #isReasoning(): boolean {
    const searched = this.#text.slice(0, this.#stepsSearched)
    return this.#numSteps === 0 && solutionStart(searched, this.#rules.isReasoning) === this.#stepsSearched
  }

  #release(end: number): string {
    const shown = this.#text.slice(this.#released, end)
    this.#released = Math.max(this.#released, end)
    return shown
  }
}
