/** What went wrong with a request, as HTTP and OpenAI's clients put it. */
import { EngineError } from '../contracts/errors.ts'

export class HttpFault extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

const STATUS_OF: Readonly<Record<string, number>> = {
  ERR_ENGINE_INVALID_ARGUMENT: 400,
  ERR_ENGINE_UNSUPPORTED_MODEL: 400,
  ERR_ENGINE_OUT_OF_MEMORY: 503,
  ERR_ENGINE_CLOSED: 503,
  ERR_ENGINE_ABORTED: 503,
}

/** What is no one's business but the operator's is not told. */
const INTERNAL = 'the server failed; its log says why'

export interface Told {
  status: number
  headers: Readonly<Record<string, string>>
  body: { error: { message: string; type: string; param: null; code: string | number } }
  /** Whether the operator should hear of it. */
  isOurs: boolean
}

/** An error of any kind, of the framework too. */
export function told(error: unknown): Told {
  const { statusCode, message } = error as { statusCode?: number; message: string }
  const status =
    error instanceof HttpFault
      ? error.status
      : error instanceof EngineError
        ? (STATUS_OF[error.code] ?? 500)
        : (statusCode ?? 500)
  const headers = error instanceof HttpFault ? error.headers : status === 503 ? { 'retry-after': '5' } : {}
  const code = error instanceof EngineError ? error.code : status
  const type =
    status === 429
      ? 'rate_limit_error'
      : status === 401
        ? 'authentication_error'
        : status < 500
          ? 'invalid_request_error'
          : 'server_error'
  const text = status === 500 ? INTERNAL : message
  return { status, headers, body: { error: { message: text, type, param: null, code } }, isOurs: status === 500 }
}
