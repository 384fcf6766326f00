/** Pictures in requests: data URIs alone, so that nothing that a client names is ever opened or fetched. */
import { invalidArgument } from '../contracts/errors.ts'

/** @throws EngineError INVALID_ARGUMENT for a path or URL */
export function dataUri(image: string): string {
  if (/^data:/i.test(image)) return image
  const shown = image.length > 60 ? `${image.slice(0, 60)}…` : image
  throw invalidArgument(
    `image ${JSON.stringify(shown)}: must be a data URI (data:image/png;base64,…): this server opens no path and no URL`,
  )
}
