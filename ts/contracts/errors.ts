/**
 * The one error class of the package. Native faults are mapped to it at the addon boundary, misuse is
 * rejected with it before any work starts. `code` is a closed set: callers may switch on it.
 */
export const ERROR_CODES = [
  'ERR_ENGINE_INVALID_ARGUMENT',
  'ERR_ENGINE_INVALID_MODEL',
  'ERR_ENGINE_UNSUPPORTED_MODEL',
  'ERR_ENGINE_OUT_OF_MEMORY',
  'ERR_ENGINE_NO_DEVICE',
  'ERR_ENGINE_DEVICE_FAULT',
  'ERR_ENGINE_CLOSED',
  'ERR_ENGINE_ABORTED',
  'ERR_ENGINE_POLICY',
  'ERR_ENGINE_STORE',
  'ERR_ENGINE_TRAINING',
  'ERR_ENGINE_HUB',
  'ERR_ENGINE_INTERNAL',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** Misuse by the caller: what was wrong, where, and what would be right. */
export function invalidArgument(message: string, cause?: unknown): EngineError {
  return new EngineError('ERR_ENGINE_INVALID_ARGUMENT', message, cause === undefined ? undefined : { cause })
}

/** A checkpoint folder that cannot be opened as it stands. */
export function invalidModel(message: string, cause?: unknown): EngineError {
  return new EngineError('ERR_ENGINE_INVALID_MODEL', message, cause === undefined ? undefined : { cause })
}

/** A policy or judge that gave nothing usable, after retries. The message names the problem id. */
export function policyError(message: string, cause?: unknown): EngineError {
  return new EngineError('ERR_ENGINE_POLICY', message, cause === undefined ? undefined : { cause })
}

/** Why a server answered nothing that has to do with what it was asked: it is away, or lets nobody in. The cause of a POLICY error. */
export class Outage extends Error {}

/** Whether an error, or what caused it, is an outage. */
export function isOutage(error: unknown): boolean {
  return error instanceof Outage || (error instanceof Error && isOutage(error.cause))
}

/** A run directory that cannot be written or read as it stands: locked, of another run, full disk, corrupt. */
export function storeError(message: string, cause?: unknown): EngineError {
  return new EngineError('ERR_ENGINE_STORE', message, cause === undefined ? undefined : { cause })
}

/** Training that cannot go on: a loss or gradient that is no number. The message names the batch. */
export function trainingError(message: string, cause?: unknown): EngineError {
  return new EngineError('ERR_ENGINE_TRAINING', message, cause === undefined ? undefined : { cause })
}

/** A hub that does not give a model, or a cache that may not be filled. The message names the model and the URL, never a token. */
export function hubError(message: string, cause?: unknown): EngineError {
  return new EngineError('ERR_ENGINE_HUB', message, cause === undefined ? undefined : { cause })
}
