/** Abort signals and native jobs. */
import type { NativeJob } from './native.ts'

/** Awaits a native job; an abort stops it between two layers and rejects with ERR_ENGINE_ABORTED. */
export async function settle<T>(job: NativeJob<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return job.promise
  const abort = () => job.abort()
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await job.promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
