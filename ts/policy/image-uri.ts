/** A problem's image as a data URI. */
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'
import { type EncodedImage, imageDataUri, withEncoded, withPixels } from '../images/index.ts'

type Pictured = { readonly id: string; readonly image?: Problem['image'] | undefined }

/** Problems whose image was found whole: it is sent with each of many requests, and looked at once. */
const whole = new WeakSet<Pictured>()

async function checkWhole(problem: Pictured, encoded: EncodedImage, signal: AbortSignal | undefined): Promise<void> {
  if (whole.has(problem)) return
  await withPixels(encoded, { signal }, async () => {})
  whole.add(problem)
}

/**
 * What the package's own engine would refuse is not sent to a server either. Undefined without an image.
 * @throws EngineError INVALID_ARGUMENT naming the problem and what is wrong with its image; ABORTED
 */
export async function imageUri(problem: Pictured, signal?: AbortSignal): Promise<string | undefined> {
  if (problem.image === undefined) return undefined
  try {
    return await withEncoded(problem.image, { signal }, async (encoded) => {
      await checkWhole(problem, encoded, signal)
      return imageDataUri(encoded.bytes)
    })
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'ERR_ENGINE_INVALID_ARGUMENT') throw error
    throw invalidArgument(`problem "${problem.id}": ${error.message}`, error)
  }
}
