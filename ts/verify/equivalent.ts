/**
 * Whether a predicted answer says the same as the gold one: extraction, then our own decision procedure over parsed
 * answers. Verdicts are exact where both sides are; what is too long, too deep or too large gets none.
 */
import { UNDECIDED } from '../contracts/verifier.ts'
import { readDate, readTime, sameTime } from './clock.ts'
import { type CompareOptions, compareAnswers, type Method } from './compare.ts'
import { conclusionOf, type ExtractKind, extractCandidates, readMarked } from './extract.ts'
import { asSet, type Choice, readChoice, sameCircled, smallChoice } from './letters.ts'
import { MAX_ANSWER, startSteps, Undecided } from './limits.ts'
import { readOrdinal } from './numerals.ts'
import { type Answer, parseAnswer, type Value } from './value.ts'
import { assertion, foldText, polarity, sameWords } from './words.ts'

export interface VerifyOptions {
  /** Extractors that may find the answer. Default: an answer tag, else all of them, else the text as it stands. */
  extract?: readonly ExtractKind[] | undefined
  /** Significant digits that a decimal must have to stand for a value that it rounds: 0.333333 for 1/3. Default 6. */
  precision?: number | undefined
  /** Names of unknowns count, and a point is no set. Default true. */
  strict?: boolean | undefined
  /** A relation may stand for a set: x ≥ 1 for [1, ∞). The other way round always holds. Default true. */
  allowSetRelation?: boolean | undefined
  /** Of a multiple-choice question, in order from A: a letter then equals its content, and several letters are a set. */
  choices?: readonly string[] | undefined
}

export interface Verdict {
  match: boolean
  /** `exact`, how the answers were compared, or why there is no match. `undecided`: too long, too deep or too large to tell. */
  method: 'exact' | Method | 'choice' | 'time' | 'different' | 'no-answer' | typeof UNDECIDED
  /** Of an undecided verdict: what was too much. */
  reason?: string
}

type Found = Exclude<Verdict['method'], 'different' | 'no-answer' | typeof UNDECIDED>

interface Side {
  /** The answer as text. */
  text: string
  /** The same where the text is a sentence: what it concludes. */
  conclusion?: string | undefined
}

/** A verdict on `pred` (an answer, or a whole solution) against `gold`, within milliseconds. Never throws. */
export function verifyAnswer(gold: string, pred: string, options: VerifyOptions = {}): Verdict {
  try {
    startSteps()
    return verdictOn(gold, pred, options)
  } catch (error) {
    // WHY all of them: a text that breaks the verifier is no reason to break a run, and says nothing about the answer.
    return { match: false, method: UNDECIDED, reason: error instanceof Error ? error.message : String(error) }
  }
}

const USUAL: CompareOptions = { precision: 6, strict: true, allowSetRelation: true }

function verdictOn(gold: string, pred: string, options: VerifyOptions): Verdict {
  const goldSide = readSide(gold, options.extract) ?? (gold.trim() === '' ? undefined : { text: gold.trim() })
  const predSide = readSide(pred, options.extract)
  if (!goldSide || !predSide) return { match: false, method: 'no-answer' }
  if (foldText(goldSide.text) !== '' && goldSide.text === predSide.text) return { match: true, method: 'exact' }
  const o: CompareOptions = {
    precision: Math.max(1, options.precision ?? USUAL.precision),
    strict: options.strict ?? USUAL.strict,
    allowSetRelation: options.allowSetRelation ?? USUAL.allowSetRelation,
  }
  const method = options.choices ? matchChoice(goldSide, predSide, options.choices, o) : match(goldSide, predSide, o)
  return method ? { match: true, method } : { match: false, method: 'different' }
}

function readSide(text: string, kinds: readonly ExtractKind[] | undefined): Side | undefined {
  if (kinds !== undefined) {
    const best = extractCandidates(text, kinds)[0]
    return best && { text: best.text.trim() }
  }
  const marked = readMarked(text)
  if (marked === null) return undefined
  if (marked !== undefined) return { text: marked, conclusion: conclusionOf(marked) }
  const bare = text.trim()
  return bare === '' ? undefined : { text: bare, conclusion: conclusionOf(bare) }
}

/** Starts like a sentence: So 12. */
const SENTENCE = /^(?:so|thus|hence|ans|then)\b|\s(?:is|are|equals?)\s/i

/** The answers as they stand, then what a sentence concludes. */
function match(gold: Side, pred: Side, o: CompareOptions): Found | null {
  const found = sameText(gold.text, pred.text, o)
  // WHY only of words: 2√3 is no sentence that ends in 3.
  if (found || pred.conclusion === undefined) return found
  if (!SENTENCE.test(pred.text) && !hasWords(answerOf(pred.text, true).value)) return null
  return sameText(gold.text, pred.conclusion, o)
}

function sameText(gold: string, pred: string, o: CompareOptions): Found | null {
  if (gold.length > MAX_ANSWER || pred.length > MAX_ANSWER)
    throw new Undecided(`the answer has more than ${MAX_ANSWER} characters`)
  const times = [readTime(gold), readTime(pred)]
  if (times[0] && times[1]) return sameTime(times[0], times[1]) ? 'time' : null
  const dates = [readDate(gold), readDate(pred)]
  if (dates[0] ?? dates[1]) return dates[0] === dates[1] ? 'time' : null
  const circled = sameCircled(gold, pred)
  if (circled !== undefined) return circled ? 'choice' : null
  const ordinals = [readOrdinal(gold), readOrdinal(pred)]
  if (ordinals[0] !== undefined && ordinals[1] !== undefined) return ordinals[0] === ordinals[1] ? 'words' : null
  const letters = sameLetters(gold, pred, o)
  if (letters !== undefined) return letters
  const poles = [polarity(gold), polarity(pred)]
  if (poles[0] && poles[1]) return poles[0] === poles[1] ? 'words' : null
  const said = [assertion(gold) ?? gold, assertion(pred) ?? pred] as const
  if (said[0] !== gold || said[1] !== pred) return sameWords(...said) ? 'words' : null
  if (WORDS.test(gold) && WORDS.test(pred) && sameWords(gold, pred)) return 'words'
  if (FIGURE.test(gold) && FIGURE.test(pred) && sameWords(gold, pred)) return 'words'
  return sameValue(gold, pred, o)
}

/** Letters that would otherwise be a product: yes and Yes. */
const WORDS = /^[a-zA-Z]{3,}[\s.!]*$/
/** A figure and its letters, whose kind is said by a sign or a word. */
const FIGURE = /^\W*(?:triangle|angle|circle|odot)\s*[A-Z]|[△∠⊙]\s*[A-Z]/

/** undefined where letters do not decide. */
function sameLetters(gold: string, pred: string, o: CompareOptions): Found | null | undefined {
  const [g, p] = [readChoice(gold), readChoice(pred)]
  if (g && g.letters.length === 1 && !g.content && smallChoice(pred) === g.letters) return 'choice'
  if (g && p && !(g.content === undefined && p.content === undefined && g.letters.length > 1 && p.letters.length > 1)) {
    if (g.letters !== p.letters) return sameContent(g, p, o)
    const hasBoth = g.content !== undefined && p.content !== undefined
    return hasBoth ? sameText(g.content as string, p.content as string, o) && 'choice' : 'choice'
  }
  if (g && p) {
    const isSet = g.isList || p.isList
    return (isSet ? asSet(g.letters) === asSet(p.letters) : g.letters === p.letters) ? 'choice' : null
  }
  if (g?.content !== undefined) return sameText(g.content, pred, o) && 'choice'
  if (p?.content !== undefined) return sameValue(gold, pred, o) ?? sameText(gold, p.content, o)
  return undefined
}

/** AB against A, B: a list of one and a name of the other. */
function sameContent(g: Choice, p: Choice, o: CompareOptions): Found | null {
  if (g.content === undefined && p.content !== undefined && g.letters.length > 1) return sameText(g.letters, p.content, o)
  return null
}

/** Several readings of the digits' commas; a match of one is a match. */
function sameValue(gold: string, pred: string, o: CompareOptions): Found | null {
  let undecided: unknown
  for (const groupDigits of /\d,\d/.test(gold + pred) ? [true, false] : [true]) {
    try {
      const method = compareAnswers(answerOf(gold, groupDigits), answerOf(pred, groupDigits), o)
      if (method) return method
    } catch (error) {
      if (!(error instanceof Undecided)) throw error
      undecided = error
    }
  }
  if (/\p{L}/u.test(gold) && compact(gold) === compact(pred)) return 'words'
  if (undecided) throw undecided
  return null
}

/** A formula that is beyond the parser, but for its spaces. */
const compact = (text: string): string => text.replace(/\s|\$|\\[,;:! ]/g, '')

/** In front of "where k is an integer". */
const DECLARATION =
  /,?\s+(?=(?:where|for|with)\s+(?:any\s+|all\s+)?(?:integers?\s+)?\$?[a-zA-Z]\$?(?:\s+(?:is|are)\b[^,.]{0,20}integers?)?\s*\.?$)/i

/** A number with a comma alone may be a decimal: 1,22. */
const DECIMAL_COMMA = /^[-+]?\d+,\d+$/

function answerOf(text: string, groupDigits: boolean): Answer {
  const lines = text.trim().split(/\n+/)
  const plain = text
    .replace(DECLARATION, ', ')
    .replace(/^\s*DNE\.?\s*$/, 'does not exist')
    .replace(/^\s*(?:negative|minus)\s+(?=[\d.])/i, '-')
    .replace(/(?<=\d)\s*\(([a-zA-Z²³/^ ]{1,20})\)\s*$/, ' $1')
    .replace(/^\s*<([^<>=]+,[^<>=]+)>\s*$/, '⟨$1⟩')
    .replace(/^\s*[a-zA-Z]\s*[:：]\s*(?=[^:：]*=)/, '')
    .replace(/^\s*(?:Matrix|FiniteSet|array|np\.array)\s*\(([\s\S]*)\)\s*$/, '$1')
  const joined = lines.length > 1 && lines.length < 10 && lines.every((line) => line.includes('=')) ? lines.join(', ') : plain
  const decimal = groupDigits && DECIMAL_COMMA.test(joined.trim()) && !/^[-+]?[1-9]\d{0,2},\d{3}$/.test(joined.trim())
  return parseAnswer(decimal ? joined.trim().replace(',', '.') : joined, { groupDigits })
}

/** A letter and its content are one answer; several letters are a set. */
function matchChoice(gold: Side, pred: Side, choices: readonly string[], o: CompareOptions): Found | null {
  const g = chosen(gold.text, choices, o)
  if (g === undefined) return match(gold, pred, o)
  const p = chosen(pred.text, choices, o) ?? (pred.conclusion === undefined ? undefined : chosen(pred.conclusion, choices, o))
  if (p !== undefined) return asSet(g) === asSet(p) ? 'choice' : null
  return null
}

const letterAt = (i: number): string => String.fromCharCode(65 + i)

/** The letters that an answer names or whose content it is. */
function chosen(text: string, choices: readonly string[], o: CompareOptions): string | undefined {
  const last = letterAt(choices.length - 1)
  const named = readChoice(text)
  const isKnown = named && [...named.letters].every((letter) => letter <= last)
  const at = choices.findIndex((choice) => sameChoice(choice, text, o))
  // A choice may read like a letter itself: of points, of blood groups.
  if (at >= 0 && !(isKnown && named.content === undefined)) return letterAt(at)
  if (isKnown) {
    const content = named.content
    const own = choices[named.letters.charCodeAt(0) - 65] as string
    return content === undefined || sameChoice(own, content, o) || !choices.some((choice) => sameChoice(choice, content, o))
      ? named.letters
      : undefined
  }
  const small = smallChoice(text)
  return small !== undefined && small <= last ? small : undefined
}

function sameChoice(choice: string, text: string, o: CompareOptions): boolean {
  const content = readChoice(choice)?.content ?? choice
  if (foldText(content) !== '' && foldText(content) === foldText(text)) return true
  const said = assertion(text)
  return said === undefined ? sameValue(content, text, o) !== null : sameWords(content, said)
}

/** Words stand in it that the rules only compare as they are. */
function hasWords(value: Value): boolean {
  if (value.kind === 'words') return value.text.length > 1
  if (value.kind === 'relation') return value.sides.some(hasWords)
  return (value.kind === 'list' || value.kind === 'tuple' || value.kind === 'set') && value.items.some(hasWords)
}

/** Whether both answers are within the rules' reach: formulas, single letters and options are, other words are not. */
export function canDecide(gold: string, pred: string, choices: readonly string[] = []): boolean {
  try {
    startSteps()
    const sides = [gold, pred].map((text) => readSide(text, undefined))
    if (choices.length > 0 && sides.every((side) => side && chosen(side.text, choices, USUAL) !== undefined)) return true
    return sides.every((side) => side !== undefined && !hasWords(answerOf(side.text, true).value))
  } catch {
    return false
  }
}
