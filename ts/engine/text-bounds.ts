/** Bounds of the work that texts make on the main thread, which others wait for. */
import { setImmediate } from 'node:timers/promises'
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument } from '../contracts/errors.ts'

/** No prose comes near it (about 4.5): texts of more do not fit, and are refused before the work of tokenising them. */
const MAX_CHARACTERS_PER_POSITION = 8
const LONGEST_MS = 10

/** @throws EngineError INVALID_ARGUMENT where texts of this length cannot fit into `positions`; `what` names them */
export function checkTextLength(texts: readonly string[], positions: number, what: string): void {
  const length = texts.reduce((sum, text) => sum + text.length, 0)
  const most = positions * MAX_CHARACTERS_PER_POSITION
  if (length <= most) return
  throw invalidArgument(
    `${what}: ${length} characters are too many; the model has ${positions} positions, at most ${most} characters`,
  )
}

/** Work in many pieces: `take` between two of them lets others run when it has been long. */
export class Breath {
  readonly #signal: AbortSignal | undefined
  #since = performance.now()

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  /** @throws EngineError ABORTED */
  async take(): Promise<void> {
    if (performance.now() - this.#since < LONGEST_MS) return
    await setImmediate()
    throwIfAborted(this.#signal)
    this.#since = performance.now()
  }
}
