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

let lastTurn = performance.now()
let turn: Promise<void> | undefined

/** The next turn of the event loop, one for all who wait. */
function nextTurn(): Promise<void> {
  turn ??= setImmediate().then(() => {
    turn = undefined
    lastTurn = performance.now()
  })
  return turn
}

/**
 * To be awaited before each piece of work on the main thread: others run first where such pieces, of whatever calls, have
 * taken long by now. @throws EngineError ABORTED
 */
export async function breathe(signal: AbortSignal | undefined): Promise<void> {
  while (performance.now() - lastTurn >= LONGEST_MS) await nextTurn()
  throwIfAborted(signal)
}
