/** Ctrl-C: long work ends cleanly and says so; a second one finds no handler and ends the process. */
import { EngineError } from '../contracts/errors.ts'

/** The shell's word for a command that Ctrl-C ended. */
const INTERRUPTED = 130

/** Says that the work waits to be gone on with; returns the exit code. */
export function sayStopped(): number {
  process.stderr.write('mm-prm: stopped; the same command with --resume goes on\n')
  return INTERRUPTED
}

/** Runs `work` with a signal that Ctrl-C and SIGTERM abort. Resolves to undefined where they ended it. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const controller = new AbortController()
  const stop = () => controller.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    return await work(controller.signal)
  } catch (error) {
    if (controller.signal.aborted && error instanceof EngineError && error.code === 'ERR_ENGINE_ABORTED') return undefined
    throw error
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}
