/**
 * Where in a text the answer stands: in an answer block, a box, behind "the answer is", or in what the last sentence
 * says. An answer that is cut off in the middle is none.
 */
import { bareFractions, boxes, endOf, FormulaFinder, type Found, formulas, numbers } from './candidates.ts'
import { MAX_ANSWER } from './limits.ts'
import { isUnitWord } from './units.ts'

export { type ExtractKind, extractCandidates } from './candidates.ts'

const ANCHOR =
  /(?:(?:final|correct|best|right)\s+(?:answer|option|choice)|the\s+(?:option|choice)(?=\s+is\s)|(?<![\w"])answers?|(?:故|最终)?答案】?|故选|应选|(?:正确)?选项(?=[是为])|(?:所以|因此|本题)?选择?(?=\s{0,4}[(（]?[A-K]{1,6}(?![a-zA-Z]))|答(?=[:：]))(?:\s+to\s+[^.:\n]{1,60}?(?=\s+is\b))?\s{0,9}\**\s{0,9}(?:(?:(?:is|are|was|must\s+be|should\s+be|would\s+be)\b|应该?[是为]|[是为=:：])\s{0,9}){0,3}\**\s{0,9}/gi
/** Without one of these behind it, "answer" is a word like any other. */
const SAYS = /(?:is|are|was|be|[是为=:：])\s*\**\s*$|故选|应选|选择?\s*$|答案】?\s*$/i
const HASHES = /^\s{0,3}#{4}\s*(\S[^\n]*)$/gm
const JSON_ANSWER = /"(?:final_?)?answer"\s{0,9}:\s{0,9}(?:"((?:[^"\\]|\\.){1,4000})"|([^,"}\s]{1,200}))/gi
const REASON = /\b(?:because|since|as shown|as required|which|due to)\b|因为|由于/i

/** The inside of the last answer block. One that is not closed counts: a policy may stop at the closing tag. */
function answerBlock(text: string): string | undefined {
  const lower = text.toLowerCase()
  const end = lower.lastIndexOf('</answer>')
  const start = lower.lastIndexOf('<answer>', end < 0 ? undefined : end)
  if (start < 0) return undefined
  return end > start ? text.slice(start + 8, end) : text.slice(start + 8)
}

/** Up to the end of a sentence: a full stop of Chinese, or one with nothing or a new sentence behind it. */
function sentenceOf(text: string): string {
  const line = text.trimStart().slice(0, 4200).split('\n', 1)[0] as string
  const end = /。|[.!?](?=\**(?:\s*$|\s+(?:[A-Z\\$"(]|I\b)))/.exec(line)
  return end ? line.slice(0, end.index) : line
}

const MARKS = '*_`"“”\'‘’'
const PUNCTUATION = '.。．,，;；:：!！ \t\r\n\u3000'

/** Without emphasis, quotes and delimiters around the whole of it, and without punctuation behind it. */
function unwrapped(text: string): string {
  let s = text.trim()
  for (let before = ''; before !== s; ) {
    before = s
    let [from, to] = [0, s.length]
    while (from < to && isMark(s, from, 1)) from++
    while (to > from && (isMark(s, to - 1, -1) || isPunctuation(s, to - 1))) to--
    s = s.slice(from, to).trim()
    const formula = new FormulaFinder(s).at(0)
    if (formula && formula.end === s.length) s = formula.inner.trim()
    else break
  }
  return s
}

/** A prime, a product's star and an index's line stay; so does what is alone. */
function isMark(s: string, at: number, direction: 1 | -1): boolean {
  const c = s[at] as string
  if (!MARKS.includes(c) || s.length === 1) return false
  if (c === '*' || c === '_')
    return s[at + direction] === c || s[at - direction] === c || (direction === 1 ? s.endsWith(c) : s.startsWith(c))
  return direction === 1 || (c !== "'" && c !== '’') || s[0] === c || !/[\w\d)}]/.test(s[at - 1] ?? '')
}

/** A factorial and dots of a repeating decimal are none, nor is what a backslash stands before. */
function isPunctuation(s: string, at: number): boolean {
  const c = s[at] as string
  if (!PUNCTUATION.includes(c) || s[at - 1] === '\\') return false
  if (c === '!') return /^(?:[a-zA-Z]{2}|.?\s)$/.test(s.slice(Math.max(0, at - 2), at))
  return c !== '.' || (s[at - 1] !== '.' && s[at - 1] !== '…')
}

/** Formulas of a clause beside a few words become part of it; in a sentence the last one is what it says. */
function withoutDelimiters(clause: string): string {
  const found = formulas(clause)
  if (found.length === 0) return clause
  let rest = ''
  let at = 0
  for (const { start, end } of found) {
    rest += clause.slice(at, start)
    at = end
  }
  rest += clause.slice(at)
  if (isProse(rest)) return found.at(-1)?.text ?? clause
  let plain = ''
  at = 0
  for (const { start, end, text } of found) {
    plain += `${clause.slice(at, start)} ${text} `
    at = end
  }
  return (plain + clause.slice(at)).trim()
}

/** Up to "because …". */
function withoutReason(text: string): string {
  const at = text.search(REASON)
  return at < 0 ? text : text.slice(0, at).replace(/(?<![\s,，;])[\s,，;]+$/, '')
}

/** What a sentence states, without its reason. */
const statement = (text: string): string => unwrapped(withoutDelimiters(unwrapped(withoutReason(sentenceOf(text)))))

const NO_WORDS = /\\[a-zA-Z]+|\b(?:and|or|the|of|a|an|is|in)\b/g

/** Words in a row that are no answer in themselves. */
function isProse(text: string): boolean {
  const words = text.replace(NO_WORDS, ' ').match(/[a-zA-Z]{2,}/g) ?? []
  return words.filter((w) => !isUnitWord(w)).length >= 3 || /[\u4e00-\u9fff]{7,}|[\u4e00-\u9fff][,，][\u4e00-\u9fff]/.test(text)
}

const HAS_VERB = /(?<!\\)\b(?:is|are|was|were|has|have|equals?)\s/

/** Words other than names of functions. */
const hasPlainWords = (text: string): boolean =>
  /[a-zA-Z]{3}|[\u4e00-\u9fff]/.test(
    text.replace(/\\[a-zA-Z]+|(?:sqrt|arc|sin|cos|tan|cot|sec|csc|log|exp|max|min|gcd|lcm|mod|inf)/g, ' '),
  )

interface Mark {
  end: number
  answer: string | null
}

function lastBox(text: string): Mark | undefined {
  const box = boxes(text).at(-1)
  if (!box) return undefined
  return { end: box.end, answer: box.isCut || box.text.trim() === '' ? null : innermost(box.text) }
}

/** \boxed{\boxed{5}} */
function innermost(text: string): string {
  const plain = text.replace(/\\(?:boxed|fbox)(?![a-zA-Z])/g, '').trim()
  const isGroup = plain !== text.trim() && /^\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}$/.test(plain)
  return isGroup ? plain.slice(1, -1).trim() : plain
}

/** So many anchors with nothing behind them are passed over. */
const MAX_ANCHORS = 8

function lastAnchor(text: string, behind: number): Mark | undefined {
  const ends: number[] = []
  for (const match of text.matchAll(ANCHOR)) {
    const end = match.index + match[0].length
    if (end < behind) continue
    const isFormula = /^\s*(?:\$|\\[([])/.test(text.slice(end, end + 20))
    if (isFormula || SAYS.test(match[0])) ends.push(end)
  }
  for (const end of ends.slice(-MAX_ANCHORS).toReversed()) {
    // \text{Answer: } 5
    const answer = statement(text.slice(end, end + 4300).replace(/^\s*\}/, ''))
    if (answer !== '') return { end, answer }
  }
  return undefined
}

function lastMatch(text: string, pattern: RegExp): Mark | undefined {
  const match = [...text.matchAll(pattern)].at(-1)
  const answer = match && (match[1] ?? match[2])
  return match && answer ? { end: match.index + match[0].length, answer: unwrapped(answer) } : undefined
}

/** Bold in the last line, which is how a chat ends: Therefore, **58** households own both. */
function lastBold(text: string): Mark | undefined {
  const line = text.trimEnd().split('\n').at(-1) as string
  const match = [...line.matchAll(/\*\*([^*\n]{1,80})\*\*/g)].at(-1)
  const inner = match?.[1]?.trim()
  if (!inner || /:$|^(?:step|case|part|note|solution|given|final|answer)\b/i.test(inner) || isProse(inner)) return undefined
  return { end: text.length, answer: unwrapped(withoutDelimiters(inner)) }
}

/**
 * The answer that a text marks as such. null where its mark holds none (an empty box, one that is cut off), undefined
 * where it marks nothing.
 */
export function readMarked(solution: string): string | null | undefined {
  const block = answerBlock(endOf(solution))
  return block === undefined ? marked(endOf(solution)) : readAnswerBlock(block)
}

function marked(whole: string): string | null | undefined {
  const thought = whole.lastIndexOf('</think>')
  const text = thought < 0 ? whole : whole.slice(thought + 8)
  const box = lastBox(text)
  // What is said behind a box counts where it says something; "The answer is \boxed{5}" is the box.
  const anchor = box?.answer === null ? undefined : lastAnchor(text, box?.end ?? 0)
  const mark = anchor ?? box ?? lastMatch(text, HASHES) ?? lastMatch(text, JSON_ANSWER) ?? lastBold(text)
  if (mark) return mark.answer
  if (thought >= 0) return unwrapped(text) || null
  const plain = unwrapped(text)
  if (plain === text.trim() && formulas(text).length === 0) return undefined
  const isSentence = isProse(text.replace(/\$[^$]*\$/g, ' ')) || (HAS_VERB.test(text) && !text.includes('$'))
  return isSentence ? undefined : unwrapped(withoutDelimiters(plain)) || null
}

/**
 * The answer that an answer block holds, given what stands between its tags. The whole text is the answer as it
 * stands, unless it marks one itself: a box, "the answer is …", a formula in delimiters. null where it is blank, or
 * its box is cut off.
 */
export function readAnswerBlock(content: string): string | null {
  const text = endOf(content).trim()
  if (text === '') return null
  const answer = marked(text)
  return answer === undefined ? text : answer
}

/**
 * The final answer of a solution as text: what it marks as its answer, else the whole where that is no sentence, else
 * what its last sentence concludes. null where there is none.
 */
export function extractAnswer(solution: string): string | null {
  const answer = readMarked(solution)
  if (answer !== undefined) return answer
  const text = endOf(solution).trim()
  if (text === '') return null
  return conclusionOf(text) ?? (isProse(text) || (/[a-zA-Z]{3}/.test(text) && !/[\d\\=]/.test(text)) ? null : unwrapped(text))
}

const VERB =
  /(?<![a-zA-Z])(?:is|are|was|were|equals?|be|has|have|makes?|gives?|gets?|costs?|needs?|takes?|becomes?|totals?|leaves?)\s+(?:(?:equal|exactly|about|approximately|roughly|therefore|thus|only|then|also|to|a|total|of|the|value|now|left|at)\s+){0,4}$|[=≈:：是为有共得]\s{0,4}$/

/** A number, fraction or formula that a text without marks ends in; undefined where it is no sentence or has none. */
export function conclusionOf(given: string): string | undefined {
  // WHY so little: what a text concludes stands at its end.
  const text = given.slice(-MAX_ANSWER).trim()
  const remarked = text.replace(/\((?=[^()]{0,60}[a-zA-Z]{3})[^()]{1,60}\)[\s.。]{0,4}$/, '')
  const stripped = unwrapped(
    remarked.replace(
      /^(?:约|大约|(?:about|approximately|roughly|exactly|so|thus|hence|therefore|then|ans|result|total)\b)[\s:,，：]*(?=\S)/i,
      '',
    ),
  )
  if (!isProse(text)) {
    const reasoned = REASON.test(stripped) && !/^\s*(?:yes|no|true|false)\b/i.test(stripped) ? statement(stripped) : stripped
    const isSentence = HAS_VERB.test(reasoned)
    if (reasoned !== text && reasoned !== '' && !isSentence) return reasoned
    if (!isSentence && !hasPlainWords(text)) return undefined
  }
  const sentences = lastParagraph(text)
  for (const sentence of sentences.toReversed()) {
    const clause = withoutReason(sentence)
    const found = said(clause) ?? said(sentence)
    if (found !== undefined) return found
  }
  return undefined
}

/** The sentences at the end, no more than a few. */
function lastParagraph(text: string): string[] {
  return text
    .slice(-2000)
    .split(/\n+|(?<=[.!?。！？])\s+(?=[A-Z])|(?<=[。！？])/)
    .map((s) => s.trim())
    .filter((s) => s !== '')
    .slice(-4)
}

function said(sentence: string): string | undefined {
  // A date is no number.
  if (/\d\s?[年月]\s?\d/.test(sentence)) return undefined
  const found = [...formulas(sentence), ...bareFractions(sentence), ...brackets(sentence), ...numbersOutside(sentence)]
  found.sort((a, b) => a.start - b.start)
  if (found.length === 0) return undefined
  const behindVerb = found.filter(({ start }) => VERB.test(sentence.slice(Math.max(0, start - 60), start)))
  const best = behindVerb.at(-1) ?? found.at(-1)
  if (!best || isBound(sentence, best.start, best.end)) return undefined
  return best.kind === 'latex' ? unwrapped(best.text) : withUnit(best.text.trim(), sentence.slice(best.end, best.end + 40))
}

/** At least 5, 5 or more, not 5: the number bounds the answer, or is not it. */
const isBound = (sentence: string, start: number, end: number): boolean =>
  /(?:\b(?:than|least|most|not|over|under|above|below|exceeds?|within|up to|no|nor|except|from|half(?: of)?|twice|double|triple|(?:square|cube) root of|square of|cube of)|至[少多]|不[是为]|超过|大于|小于)\s*(?:the\s+)?$/i.test(
    sentence.slice(Math.max(0, start - 24), start),
  ) ||
  /^\s*(?:or\s+(?:more|less|fewer|above|below|\d)|(?:more|less|fewer|greater|larger|smaller|older|younger|times)\s+(?:than|as)|to\s+\d|and\s+(?:above|below|up)|squared|cubed|factorial|times\b|is\s+(?:not|wrong|incorrect|too)\b|[a-z]{1,20}\s+and\s+\d|以[上下内]|[倍多折])/i.test(
    sentence.slice(end, end + 20),
  )

/** A point or an interval that stands in no formula. */
function brackets(sentence: string): Found[] {
  const inFormula = formulas(sentence)
  return [...sentence.matchAll(/[([]\s{0,4}[-+\w.\\∞π√/ ]{1,30}(?:,[-+\w.\\∞π√/ ]{1,30}){1,5}[)\]]/g)]
    .filter((m) => /\d/.test(m[0]) && !/[a-zA-Z]{3}/.test(m[0].replace(/\\[a-z]+|sqrt|inf\w*/g, '')))
    .filter((m) => !inFormula.some((f) => m.index >= f.start && m.index < f.end))
    .map((m) => ({ text: m[0], kind: 'latex', priority: 0, start: m.index, end: m.index + m[0].length }))
}

/** Numbers that stand in no formula. */
function numbersOutside(sentence: string) {
  const taken = [...formulas(sentence), ...bareFractions(sentence), ...brackets(sentence)]
  return numbers(sentence).filter(({ start, end }) => !taken.some((f) => start < f.end && end > f.start))
}

/** With the unit behind it, where it is one. */
function withUnit(number: string, behind: string): string {
  const unit =
    /^\s?(°(?:C|F)?|(?:square |cubic )?([a-zA-Z]+|[\u4e00-\u9fff]{1,4})(?:\/[a-zA-Z]+)?(?:\^?[23²³])?)(?![a-zA-Z])/.exec(behind)
  const word = unit?.[2]
  if (!unit || (word !== undefined && !(word.length > 1 && isUnitWord(word)))) return number
  return `${number} ${unit[1]}`
}
