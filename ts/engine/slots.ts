/** Limits how many requests are with the native engine at once; later callers wait their turn. */
import { EngineError } from '../contracts/errors.ts'

interface Waiter {
  start(): void
  fail(error: EngineError): void
}

export class Slots {
  #free: number
  #waiting: Waiter[] = []
  #closed = false

  constructor(count: number) {
    this.#free = count
  }

  get numWaiting(): number {
    return this.#waiting.length
  }

  /** Resolves to a function that gives the slot back, to be called once. */
  async take(signal: AbortSignal | undefined): Promise<() => void> {
    if (this.#closed) throw new EngineError('ERR_ENGINE_CLOSED', 'the engine is closed')
    if (this.#free > 0) this.#free--
    else await this.#wait(signal)
    return () => {
      const next = this.#waiting.shift()
      if (next) next.start()
      else this.#free++
    }
  }

  /** Whoever waits is rejected. */
  close(): void {
    this.#closed = true
    for (const waiter of this.#waiting.splice(0)) {
      waiter.fail(new EngineError('ERR_ENGINE_CLOSED', 'the engine was closed before the call finished'))
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(new EngineError('ERR_ENGINE_ABORTED', 'the call was aborted', { cause: signal?.reason }))
      }
      const done = <T>(settle: (value: T) => void) => {
        return (value: T) => {
          signal?.removeEventListener('abort', abort)
          settle(value)
        }
      }
      const waiter: Waiter = { start: done(resolve) as () => void, fail: done(reject) }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.push(waiter)
    })
  }
}
