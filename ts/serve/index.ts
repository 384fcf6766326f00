/** An OpenAI-compatible server over the package's own engine, with step scores. */

import { invalidArgument } from '../contracts/errors.ts'
import { validate } from '../contracts/validate.ts'
import type { App } from './app.ts'
import { type ServeOptions, serveSchema } from './options.ts'

export type { ServeOptions } from './options.ts'

const IDLE_MS = 100

export interface Server extends AsyncDisposable {
  /** `http://HOST:PORT` */
  readonly url: string
  /** Takes no more requests and waits for those under way, as long as `drainSeconds`. The engines stay open. Idempotent. */
  close(): Promise<void>
}

/**
 * Serves open engines, which stay the caller's to close.
 * @throws EngineError INVALID_ARGUMENT: neither model, an address that cannot be listened on
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const settings = validate(serveSchema, options, 'serve')
  if (!settings.policy && !settings.prm) throw invalidArgument('serve: a policy or a process reward model is needed')
  // WHY here: what imports the package for its verifier loads no web server, and a bundler's output can do without one.
  const { App } = await import('./app.ts')
  const app = new App(settings)
  const { host, port } = settings
  const url = await app.http.listen({ host, port }).catch((error: Error) => {
    throw invalidArgument(`serve: cannot listen on ${host}:${port}: ${error.message}`, error)
  })
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= drain(app, settings.drainSeconds)
    return closing
  }
  return { url, close, [Symbol.asyncDispose]: close }
}

async function drain(app: App, seconds: number): Promise<void> {
  const late = setTimeout(() => {
    app.abort()
    app.http.server.closeAllConnections()
  }, seconds * 1000)
  // A connection whose last answer has just been sent would be kept alive for the next.
  const idle = setInterval(() => app.http.server.closeIdleConnections(), IDLE_MS)
  try {
    await app.http.close()
  } finally {
    clearTimeout(late)
    clearInterval(idle)
  }
}
