/** Progress of opening, polled: no JavaScript function crosses threads. */

import type { NativeEngine, NativeOpenJob } from './native.ts'
import type { OpenProgress } from './options.ts'
import { settle } from './settle.ts'

const INTERVAL_MS = 100

/**
 * Awaits the opening job and tells `onProgress` how far it is, the whole at last. What a callback throws stops the
 * opening and rejects: from a timer it would end the process.
 */
export async function settleWithProgress(
  job: NativeOpenJob,
  signal: AbortSignal | undefined,
  onProgress: ((progress: OpenProgress) => void) | undefined,
): Promise<NativeEngine> {
  if (!onProgress) return settle(job, signal)
  const faults: unknown[] = []
  const report = () => {
    const progress = job.progress()
    if (progress.totalBytes === 0 || faults.length > 0) return
    try {
      onProgress(progress)
    } catch (error) {
      faults.push(error)
      job.abort()
    }
  }
  const timer = setInterval(report, INTERVAL_MS)
  try {
    const native = await settle(job, signal)
    report()
    if (faults.length > 0) await native.close()
    else return native
  } catch (error) {
    faults.push(error)
  } finally {
    clearInterval(timer)
  }
  throw faults[0]
}
