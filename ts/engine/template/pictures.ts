/** Where the pictures of a prompt stand: at the marks `<image>` of the user's text, one each and in order, or before it. */
import { invalidArgument } from '../../contracts/errors.ts'

/** What a user writes where a picture belongs. Text like other text in a prompt without pictures. */
export const IMAGE_MARK = '<image>'

/**
 * How many marks the texts hold together, which is one for each picture or none.
 * @throws EngineError INVALID_ARGUMENT
 */
export function countMarks(texts: readonly string[], numPictures: number): number {
  if (numPictures === 0) return 0
  const marks = texts.reduce((n, text) => n + text.split(IMAGE_MARK).length - 1, 0)
  if (marks === 0 || marks === numPictures) return marks
  const pictures = numPictures === 1 ? 'one picture was' : `${numPictures} pictures were`
  throw invalidArgument(`the text holds ${marks} marks ${IMAGE_MARK}, but ${pictures} given: write one mark for each, or none`)
}

export interface PlacedPictures {
  /** Lines before the text. */
  lead: string
  text: string
}

/**
 * InternVL's way: a text without marks has a line for each picture before it, numbered where there are several.
 * @param pictures what stands in the prompt for each of them
 * @param guard what makes a user's text safe
 */
export function placePictures(text: string, pictures: readonly string[], guard: (text: string) => string): PlacedPictures {
  if (countMarks([text], pictures.length) === 0) {
    const lines = pictures.map((picture, i) => (pictures.length > 1 ? `Image-${i + 1}: ${picture}\n` : `${picture}\n`))
    return { lead: lines.join(''), text: guard(text) }
  }
  const parts = text.split(IMAGE_MARK).map(guard)
  return { lead: '', text: parts.map((part, i) => part + (pictures[i] ?? '')).join('') }
}
