/**
 * One process per card, each with the same options but for the card. One that crashes is started again, since the others and the
 * database know nothing of it; one that ends by itself, well or not, has its reason, and the others go on.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT } from './command.ts'
import { warn } from './hub-model.ts'

/** Crashes of one process, each soon after its start, before it is given up. */
const MAX_CRASHES = 5
/** A process that has worked for so long does not crash because of how it was started. */
const STEADY_MS = 60_000
const FIRST_WAIT_MS = 1000

/** How a process came to its end; `code` is null where that was none of its own. */
interface Ended {
  readonly code: number | null
  readonly how: string
}

/**
 * Resolves to the worst exit code, when all have ended.
 * @param argv of the command, its name first
 * @param firstWaitMs before a second start; doubles
 */
export async function supervise(
  argv: readonly string[],
  devices: readonly string[],
  firstWaitMs = FIRST_WAIT_MS,
): Promise<number> {
  const main = process.argv[1] as string
  const stopping = new AbortController()
  const children = new Set<ChildProcess>()
  const stop = () => {
    stopping.abort()
    for (const child of children) child.kill('SIGTERM')
  }
  const started = async (device: string): Promise<Ended> => {
    const args = [...process.execArgv, main, ...argv, '--device', device]
    let child: ChildProcess | undefined
    try {
      child = spawn(process.execPath, args, { stdio: 'inherit' })
      children.add(child)
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
      return { code, how: `was ended by ${signal}` }
    } catch (error) {
      // Memory or processes may be short for a while.
      return { code: null, how: `could not be started (${(error as Error).message})` }
    } finally {
      if (child) children.delete(child)
    }
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    const codes = await Promise.all(devices.map((device) => keepAlive(device, started, firstWaitMs, stopping.signal)))
    return Math.max(...codes)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}

/** Resolves to the exit code with which the device's last process ended. */
async function keepAlive(
  device: string,
  start: (device: string) => Promise<Ended>,
  firstWaitMs: number,
  stopping: AbortSignal,
): Promise<number> {
  for (let crashes = 0; ; ) {
    const began = performance.now()
    const { code, how } = await start(device)
    if (stopping.aborted) return code ?? EXIT.ok // one that was still starting gives nothing back
    if (code !== null) {
      if (code !== EXIT.ok) warn(`the worker on ${device} has ended with exit code ${code}`)
      return code
    }
    crashes = performance.now() - began > STEADY_MS ? 1 : crashes + 1
    if (crashes > MAX_CRASHES) {
      warn(`the worker on ${device} ${how} again and again: given up`)
      return EXIT.failed
    }
    const wait = firstWaitMs * 2 ** (crashes - 1)
    warn(`the worker on ${device} ${how}; it is started again in ${wait / 1000} s`)
    await sleep(wait, undefined, { signal: stopping }).catch(() => {})
    if (stopping.aborted) return EXIT.ok
  }
}
