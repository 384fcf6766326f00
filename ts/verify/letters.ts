/** Letters of multiple-choice answers: (B), "B. 12 cm", "Option B", 故选B, "A and C". */

export interface Choice {
  /** In the order they are written. */
  letters: string
  /** As a list: A, C. Without, AC may as well be a name. */
  isList: boolean
  /** What stands behind the letter. */
  content?: string
}

const LETTER = '[A-K]'

/** Without marks of LaTeX, of emphasis and of quotation. */
function withoutMarks(text: string): string {
  return text
    .replace(/\\(?:text|textbf|textrm|textit|mathrm|mathbf|mbox|boxed|fbox|operatorname|boldsymbol|rm|bf)\b\s*/g, '')
    .replace(/\\(?:quad|qquad|left|right|,|;|:|!| )/g, ' ')
    .replace(/[{}$`"“”~]|\*\*|\\[()[\]]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

const ALONE = new RegExp(`^[([]?\\s*(${LETTER})\\s*[)\\]]?[\\s.。．:：,，]*$`)
const SAID =
  /^(?:[a-z]+,\s+)?(?:(?:the\s+)?(?:option|choice|answer)\s+)?\(?([A-K])\)?\s+is\s+(?:the\s+)?(?:correct|right|answer|best)|^I(?:\s+would)?\s+(?:choose|pick|select)\s+\(?([A-K])\)?(?![a-zA-Z])/i
const SMALL = /^\(?\s*([a-k])\s*\)?[.)]?$/
const NAMED =
  /^(?:the\s+)?(?:correct\s+)?(?:(?:first|second|third|fourth|fifth|last)\s+)?(?:answer|option|choice|选项?|应选|故选|答案[是为]?)\s*(?:is\s*)?[:：]?\s*\(?\s*([A-K])\s*\)?(?![a-zA-Z])[.。．]?\s*$/i
const WITH_CONTENT = new RegExp(
  `^\\(\\s*(${LETTER})\\s*\\)\\s*[.:：、,]?\\s*(\\S[\\s\\S]*)$|^(${LETTER})\\s*[.:：、．)]\\s*(\\S[\\s\\S]*)$`,
)
const LIST = new RegExp(`^\\(?${LETTER}\\)?(?:\\s*(?:,|，|、|;|and|or|&|和|与|,\\s*and)\\s*\\(?${LETTER}\\)?)+[.。]?$`)
const RUN = new RegExp(`^${LETTER}{2,6}$`)

/** The choice that an answer names; undefined where it names none. */
export function readChoice(text: string): Choice | undefined {
  if (text.length > 500) return undefined
  const plain = withoutMarks(text)
  const said = SAID.exec(plain)
  const alone = ALONE.exec(plain)?.[1] ?? NAMED.exec(plain)?.[1] ?? said?.[1] ?? said?.[2]
  if (alone && /[A-K]/.test(alone)) return { letters: alone, isList: false }
  if (LIST.test(plain)) return { letters: plain.replace(/and|or|[^A-K]/g, ''), isList: true }
  if (RUN.test(plain)) return { letters: plain, isList: false }
  const content = WITH_CONTENT.exec(plain.replace(/^(?:option|choice|answer|选项?)\s*/i, ''))
  if (!content) return undefined
  // From the text itself: what is formula must stay one.
  const letter = (content[1] ?? content[3]) as string
  const inner = contentBehind(text, letter)
  return { letters: letter, isList: false, content: inner ?? ((content[2] ?? content[4]) as string) }
}

function contentBehind(text: string, letter: string): string | undefined {
  const at = text.indexOf(letter)
  const rest = text
    .slice(at + 1)
    .replace(/^[\s)\]}.:：、．,]+/, '')
    .replace(/^(?:\\[ ,;:!]|~|\\q?quad)+/, '')
  return rest.trim() === '' ? undefined : rest.trim()
}

/** A small letter for the choice of that name. */
export const smallChoice = (text: string): string | undefined => SMALL.exec(withoutMarks(text))?.[1]?.toUpperCase()

/** Each letter once, in order: a set of choices. */
export const asSet = (letters: string): string => [...new Set(letters)].sort().join('')

/** ① ③ and their like, as a set; undefined where the text is anything else. */
function readCircled(text: string): string | undefined {
  const plain = withoutMarks(text).replace(/[\s,，、;()（）和与and]+/g, '')
  return /^[\u2460-\u2473]+$/.test(plain) ? asSet(plain) : undefined
}

/** 3 or (3), where the other side is ③. */
function circledNumber(text: string): string | undefined {
  const number = /^\(?([1-9]|1\d|20)\)?$/.exec(withoutMarks(text).trim())?.[1]
  return number === undefined ? undefined : String.fromCodePoint(0x245f + Number(number))
}

/** Whether both name the same circled numbers; undefined where neither does, or one is something else. */
export function sameCircled(gold: string, pred: string): boolean | undefined {
  const [g, p] = [readCircled(gold), readCircled(pred)]
  if (g === undefined && p === undefined) return undefined
  const [x, y] = [g ?? circledNumber(gold), p ?? circledNumber(pred)]
  return x === undefined || y === undefined ? undefined : x === y
}
