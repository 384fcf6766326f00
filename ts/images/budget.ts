/** A limit to the bytes of pictures that are in memory at once; who comes when it is reached waits in line. */
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError } from '../contracts/errors.ts'

interface Waiter {
  bytes: number
  start(): void
}

export class ByteBudget {
  readonly #most: number
  #taken = 0
  readonly #waiting: Waiter[] = []

  constructor(most: number) {
    this.#most = most
  }

  /** Runs `work` while `bytes` are held; more than the whole budget is as much as all of it. @throws EngineError ABORTED */
  async with<T>(bytes: number, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    throwIfAborted(signal)
    const held = Math.min(bytes, this.#most)
    if (this.#waiting.length > 0 || this.#taken + held > this.#most) await this.#turn(held, signal)
    else this.#taken += held
    try {
      return await work()
    } finally {
      this.#taken -= held
      this.#startNext()
    }
  }

  #startNext(): void {
    for (let next = this.#waiting[0]; next && this.#taken + next.bytes <= this.#most; next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#taken += next.bytes
      next.start()
    }
  }

  #turn(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(new EngineError('ERR_ENGINE_ABORTED', 'the call was aborted', { cause: signal?.reason }))
        this.#startNext()
      }
      const start = () => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const waiter = { bytes, start }
      signal?.addEventListener('abort', leave, { once: true })
      this.#waiting.push(waiter)
    })
  }
}
