/** One question with its known answer: what every command of the data engine starts from. */

/** A path, a data URI, or the encoded bytes (PNG, JPEG, WebP, GIF) themselves. */
export type ProblemImage = string | Uint8Array

export interface Problem {
  /** Unique within a run; named by every error about the problem. */
  readonly id: string
  /** `<imageN>` (`<image_N>`, `<image N>`) marks the place of the N-th picture, `<image>` that of the next one; pictures without a mark go in front. */
  readonly question: string
  /** The reference answer that a verifier compares with. */
  readonly answer: string
  /** Further reference answers; each is right by itself. */
  readonly answers?: readonly string[]
  /** The only picture; short for `images` of one. */
  readonly image?: ProblemImage
  /** Several pictures, in the order of their numbers. Not beside `image`. */
  readonly images?: readonly ProblemImage[]
  /** Options of a multiple-choice question, in order from A. */
  readonly choices?: readonly string[]
  /** Of the answer, as the question has it. */
  readonly unit?: string
  /** Decimals that an answer is rounded to. */
  readonly precision?: number
  /** How far a numeric answer may be off, absolutely; of several values one for each. */
  readonly tolerance?: number | readonly number[]
  /** What the answer is, in the words of its set: `integer`, `multi_choice`, `Interval`, … */
  readonly answerType?: string
  /** The user's own columns, carried along untouched. */
  readonly meta?: Readonly<Record<string, unknown>>
}

export type Pictured = Pick<Problem, 'image' | 'images'>

/** All pictures in the order of their numbers. */
export function picturesOf<T = ProblemImage>({
  image,
  images,
}: {
  readonly image?: T
  readonly images?: readonly T[]
}): readonly T[] {
  return images ?? (image === undefined ? [] : [image])
}

const letter = (i: number) => String.fromCharCode(65 + i)
const folded = (text: string) => text.replace(/\s+/g, '').toLowerCase()

/** Whether the options can be read in the question itself, or are the letters of drawn ones. */
function areShown(question: string, choices: readonly string[]): boolean {
  if (choices.every((choice, i) => choice.trim() === letter(i))) return true
  const text = folded(question)
  const places = choices.map((choice, i) => {
    const found = new RegExp(`(?:^|[^a-z])${letter(i).toLowerCase()}[).:、．]`).test(question.toLowerCase())
    return found && text.includes(folded(choice))
  })
  return places.every(Boolean)
}

/** The question as a model is asked it: its options below it, where its text does not name them. */
export function shownQuestion({ question, choices }: Pick<Problem, 'question' | 'choices'>): string {
  if (!choices || choices.length === 0 || areShown(question, choices)) return question
  const options = choices.map((choice, i) => `(${letter(i)}) ${choice}`)
  return `${question.trimEnd()}\nChoices:\n${options.join('\n')}`
}

/** A picture's number from 0, or text between pictures. */
export type QuestionPart = { readonly picture: number } | { readonly text: string }

const IMAGE_MARK = '<image>'
const MARK = /<image[_ ]?(\d*)>/g

/** Pictures in front of the text that has no mark for them, others at their marks; a mark without a picture is left out. */
export function placePictures(question: string, count: number): QuestionPart[] {
  if (count === 0) return question === '' ? [] : [{ text: question }]
  const parts: QuestionPart[] = []
  const placed = new Set<number>()
  let at = 0
  const say = (text: string) => {
    if (text !== '') parts.push({ text })
  }
  for (const { 0: mark, 1: named, index } of question.matchAll(MARK)) {
    say(question.slice(at, index))
    at = index + mark.length
    const next = [...Array(count).keys()].find((i) => !placed.has(i)) ?? count
    const picture = named ? Number(named) - 1 : next
    if (picture < 0 || picture >= count || placed.has(picture)) continue
    placed.add(picture)
    parts.push({ picture })
  }
  say(question.slice(at))
  const unplaced = [...Array(count).keys()].filter((i) => !placed.has(i)).map((picture) => ({ picture }))
  return [...unplaced, ...parts]
}

/** A question's words alone. */
export const withoutMarks = (question: string): string => question.replace(MARK, ' ')

/** What the package's own engine is asked. */
export interface AskedQuestion {
  /** With a mark `<image>` for each picture; with none where all stand in front, for which each model has a form of its own. */
  readonly question: string
  /** In the order of their places; absent where there is none. */
  readonly images?: ProblemImage[]
}

/** The question as a model is asked it, and its pictures where it says that they stand. */
export function askedQuestion(problem: Pictured & Pick<Problem, 'question' | 'choices'>): AskedQuestion {
  const pictures = picturesOf(problem)
  const question = shownQuestion(problem)
  if (pictures.length === 0) return { question }
  const parts = placePictures(question, pictures.length)
  const order = parts.flatMap((part) => ('picture' in part ? [part.picture] : []))
  const areInFront = pictures.every((_, i) => parts[i] !== undefined && 'picture' in parts[i] && parts[i].picture === i)
  const mark = areInFront ? '' : IMAGE_MARK
  const text = parts.map((part) => ('text' in part ? part.text : mark)).join('')
  return {
    question: areInFront && text !== question ? text.trimStart() : text,
    images: order.map((picture) => pictures[picture] as ProblemImage),
  }
}

const OPTION = /(?:^|[\s(（])([A-H])[).:、．：）]\s*/g

/** Options that a question's text lists from A on, `A. 12` or `(A) 12`; empty where it lists none. */
export function choicesIn(question: string): string[] {
  const marks: { letter: string; start: number; end: number }[] = []
  for (const found of question.matchAll(OPTION)) {
    if (found[1] === letter(marks.length))
      marks.push({ letter: found[1], start: found.index, end: found.index + found[0].length })
  }
  if (marks.length < 2) return []
  return marks.map(
    ({ end }, i) =>
      question
        .slice(end, marks[i + 1]?.start)
        .split('\n')[0]
        ?.replace(/[;；,，]\s*$/, '')
        .trim() ?? '',
  )
}
