/** A checkpoint folder as an open engine, and what is open as something to be closed. */
import { Engine } from '../engine/engine.ts'
import { type OpenOptions, openSchema } from '../engine/options.ts'

/** How a folder is opened: everything that `Engine.open` takes, but for what makes a scorer of it. */
export type FolderOptions = Omit<OpenOptions, 'scoring' | 'reference'>
export const folderSchema = openSchema.omit({ scoring: true, reference: true })

export interface Opened extends AsyncDisposable {
  /** The engine behind it; absent where that is a server. It closes with what was opened. */
  readonly engine?: Engine
  /** Frees the model. Idempotent. */
  close(): Promise<void>
}

/** `value` itself, to be closed with its engine. */
export function opened<T extends object>(value: T, engine?: Engine): T & Opened {
  const close = async () => engine?.close()
  return Object.assign(value, { ...(engine && { engine }), close, [Symbol.asyncDispose]: close })
}

/** Opens a folder and makes something of it; the engine is closed again where that fails. */
export async function openFolder<T extends object>(options: OpenOptions, make: (engine: Engine) => T): Promise<T & Opened> {
  const engine = await Engine.open(options)
  try {
    return opened(make(engine), engine)
  } catch (error) {
    await engine.close()
    throw error
  }
}
