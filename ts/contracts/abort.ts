/** Work that its caller may stop. */
import { EngineError } from './errors.ts'

/** @throws EngineError ABORTED, with the signal's reason as cause */
export function throwIfAborted(signal: AbortSignal | undefined, what = 'the call'): void {
  if (signal?.aborted) throw new EngineError('ERR_ENGINE_ABORTED', `${what} was aborted`, { cause: signal.reason })
}
