/** Joins the events of concurrent tasks into one async generator, and holds each task until its event was consumed. */
import { EngineError } from '../contracts/errors.ts'

/** Resolves when the consumer has asked for what follows the event; rejects when it has left. */
export type Emit<E> = (event: E) => Promise<void>

interface Waiting<E> {
  event: E
  taken: () => void
  dropped: (error: Error) => void
}

/**
 * Runs `start` and yields what it emits. When the consumer leaves or `start` fails, `signal` is aborted, so that
 * every task ends before the generator does.
 */
export async function* channel<E>(
  outer: AbortSignal | undefined,
  start: (emit: Emit<E>, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<E, void, void> {
  const controller = new AbortController()
  const signal = outer ? AbortSignal.any([outer, controller.signal]) : controller.signal
  const queue: Waiting<E>[] = []
  let ended = false
  let wake = () => {}
  const emit: Emit<E> = (event) =>
    new Promise((taken, dropped) => {
      if (signal.aborted) return dropped(aborted(signal))
      queue.push({ event, taken, dropped })
      wake()
    })
  const running = start(emit, signal).finally(() => {
    ended = true
    wake()
  })
  running.catch(() => {}) // reported below, once the queue is empty
  let current: Waiting<E> | undefined
  try {
    for (;;) {
      current = queue.shift()
      if (current) {
        yield current.event
        current.taken()
      } else if (ended) {
        break
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
    await running
  } finally {
    controller.abort()
    for (const waiting of current ? [current, ...queue] : queue) waiting.dropped(aborted(signal))
    await running.catch(() => {})
  }
}

export function aborted(signal: AbortSignal): EngineError {
  return new EngineError('ERR_ENGINE_ABORTED', 'the search was aborted', { cause: signal.reason })
}
