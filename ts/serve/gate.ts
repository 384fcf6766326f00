/** How much is taken on at once. What is beyond it is refused, to be sent again: a queue without an end helps nobody. */
import { HttpFault } from './faults.ts'

/** So much of the time that a request takes is weighed in from each new one. */
const WEIGHT = 0.1
const MAX_RETRY_SECONDS = 60

export class Gate {
  readonly #maxRequests: number
  readonly #maxBytes: number
  #requests = 0
  #bytes = 0
  #meanSeconds = 1

  /** @param maxBytes of the bodies of all requests together */
  constructor(maxRequests: number, maxBytes: number) {
    this.#maxRequests = maxRequests
    this.#maxBytes = maxBytes
  }

  get requests(): number {
    return this.#requests
  }

  /** Returns what gives the place back. @throws HttpFault 429 */
  enter(bytes: number): () => void {
    if (this.#requests >= this.#maxRequests) throw this.#full(`${this.#requests} requests are being worked on`)
    if (this.#requests > 0 && this.#bytes + bytes > this.#maxBytes)
      throw this.#full(`${this.#bytes >> 20} MiB of requests are being worked on`)
    this.#requests++
    this.#bytes += bytes
    const began = performance.now()
    let isIn = true
    return () => {
      if (!isIn) return
      isIn = false
      this.#requests--
      this.#bytes -= bytes
      this.#meanSeconds += WEIGHT * ((performance.now() - began) / 1000 - this.#meanSeconds)
    }
  }

  #full(why: string): HttpFault {
    const seconds = Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil(this.#meanSeconds)))
    return new HttpFault(429, `${why}; try again in ${seconds} s`, { 'retry-after': String(seconds), connection: 'close' })
  }
}
