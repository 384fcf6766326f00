/** A problem's pictures as data URIs, each at its place in what is asked. */
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import { type Problem, type ProblemImage, picturesOf, placePictures } from '../contracts/problem.ts'
import { type EncodedImage, imageDataUri, withEncoded, withPixels } from '../images/index.ts'
import type { ContentPart } from './openai-client.ts'

type Named = { readonly id: string }

/** Problems whose pictures were found whole: they are sent with each of many requests, and looked at once. */
const whole = new WeakSet<object>()

async function checkWhole(problem: object, encoded: EncodedImage, signal: AbortSignal | undefined): Promise<void> {
  if (whole.has(problem)) return
  await withPixels(encoded, { signal }, async () => {})
}

/**
 * What the package's own engine would refuse is not sent to a server either.
 * @throws EngineError INVALID_ARGUMENT naming the problem and what is wrong with a picture; ABORTED
 */
export async function imageUris(problem: Named, pictures: readonly ProblemImage[], signal?: AbortSignal): Promise<string[]> {
  const uris: string[] = []
  for (const picture of pictures) uris.push(await uriOf(problem, picture, signal))
  whole.add(problem)
  return uris
}

async function uriOf(problem: Named, image: ProblemImage, signal: AbortSignal | undefined): Promise<string> {
  try {
    return await withEncoded(image, { signal }, async (encoded) => {
      await checkWhole(problem, encoded, signal)
      return imageDataUri(encoded.bytes)
    })
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'ERR_ENGINE_INVALID_ARGUMENT') throw error
    throw invalidArgument(`problem "${problem.id}": ${error.message}`, error)
  }
}

/** Stands for the question while a template is rendered: no question, and no template, holds it. */
const PLACE = '\ue000question\ue001'

/**
 * The user's turn with every picture where the question marks its place; one picture without a mark goes before all.
 * @throws EngineError as `imageUris`
 */
export async function withPictures(
  problem: Problem,
  question: string,
  render: (question: string) => string,
  signal?: AbortSignal,
): Promise<string | ContentPart[]> {
  const pictures = picturesOf(problem)
  if (pictures.length === 0) return render(question)
  const uris = await imageUris(problem, pictures, signal)
  const [before = '', after = ''] = render(PLACE).split(PLACE)
  const parts: ContentPart[] = []
  const say = (text: string) => {
    const last = parts.at(-1)
    if (last?.type === 'text') last.text += text
    else if (text !== '') parts.push({ type: 'text', text })
  }
  const placed = placePictures(question, pictures.length)
  const show = (picture: number) => parts.push({ type: 'image_url', image_url: { url: uris[picture] as string } })
  const front = placed.findIndex((part) => 'text' in part)
  const leading = placed.slice(0, front < 0 ? placed.length : front)
  for (const part of leading) if ('picture' in part) show(part.picture)
  say(before)
  for (const part of placed.slice(leading.length)) 'text' in part ? say(part.text) : show(part.picture)
  say(after)
  return parts
}
