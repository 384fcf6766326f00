/** Asking a server again: what may pass, with waits that double and yield to the server's own word. */
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../contracts/abort.ts'
import { Outage } from '../contracts/errors.ts'

const MAX_BACK_OFF_MS = 60_000
export const RETRIED_STATUS: ReadonlySet<number> = new Set([408, 409, 425, 429])

/** Whoever asks, and whatever: the key is wrong or used up, or nothing is behind the gateway. */
const OUTAGE_STATUS: ReadonlySet<number> = new Set([401, 429, 502, 503])

/** The cause of an error with which a server answered. */
export function causeOf(status: number): ErrorOptions | undefined {
  return OUTAGE_STATUS.has(status) ? { cause: new Outage(`status ${status}`) } : undefined
}

export interface RetryOptions {
  /** Attempts in all. */
  attempts: number
  /** Before the second one; doubles. */
  backOffMs: number
  signal?: AbortSignal | undefined
}

/** What `work` threw: whether another attempt may help, and when the server said to come again. */
export interface Failure {
  isPassing: boolean
  retryAfterMs?: number | undefined
}

/** Runs `work` until it succeeds. @throws what `work` threw last; EngineError ABORTED */
export async function retrying<T>(options: RetryOptions, work: () => Promise<T>, read: (error: Error) => Failure): Promise<T> {
  const { attempts, backOffMs, signal } = options
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(signal)
    try {
      return await work()
    } catch (error) {
      throwIfAborted(signal)
      const { isPassing, retryAfterMs } = read(error as Error)
      if (!isPassing || attempt === attempts) throw error
      const wait = retryAfterMs ?? backOffMs * 2 ** (attempt - 1)
      await sleep(Math.min(wait, MAX_BACK_OFF_MS), undefined, signal && { signal }).catch(() => throwIfAborted(signal))
    }
  }
}

/** Seconds or a date, as HTTP has it. */
export function retryAfterMs(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string') return undefined
  const ms = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}
