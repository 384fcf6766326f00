/**
 * Whether a predicted answer says the same as the gold one: extraction, then our own decision procedure over
 * parsed answers (equality at random points, in place of computer algebra). Behaviour follows Math-Verify where
 * that is sensible; test/golden-tests/verify.test.ts tells how often.
 */
import { compareValues, type Method } from './compare.ts'
import { type ExtractKind, extractAnswer, extractCandidates } from './extract.ts'
import { foldText } from './latex.ts'
import { parseValue, type Value } from './value.ts'

export interface VerifyOptions {
  /** Extractors that may find the answer. Default: an answer tag, else all of them, else the text as it stands. */
  extract?: readonly ExtractKind[] | undefined
  /** Decimal places. Default 6. */
  precision?: number | undefined
  /** Default true: see CompareOptions. */
  strict?: boolean | undefined
  /** Default false: see CompareOptions. */
  allowSetRelation?: boolean | undefined
  /** Of a multiple-choice question, in order from A: a letter then equals its content. */
  choices?: readonly string[] | undefined
}

export interface Verdict {
  match: boolean
  /** `exact`, how the answers were compared, or why there was nothing to compare. */
  method: 'exact' | Method | 'choice' | 'units' | 'different' | 'no-answer'
}

interface Side {
  text: string
  value: Value
}

/** Long words of a rambling "answer" are not worth parsing. */
const MAX_ANSWER = 4000

/** Marks of a text in which the answer has to be looked for; a bare answer is taken as it stands. */
const SOLUTION = /<answer>|\\boxed|\\fbox|\$|\\\[|\\\(|\banswer\b/i

function read(text: string, kinds: readonly ExtractKind[] | undefined): Side | undefined {
  if (kinds === undefined) {
    const answer = (SOLUTION.test(text) ? extractAnswer(text) : undefined) ?? text.trim()
    const isNumber = /^[-+]?[\d.,\s/]+%?$|^[-+]?[\d.]+e[-+]?\d+$/i.test(answer)
    return answer === '' || answer.length > MAX_ANSWER ? undefined : { text: answer, value: parseValue(answer, isNumber) }
  }
  const best = extractCandidates(text, kinds)[0]
  return best && best.text.length <= MAX_ANSWER
    ? { text: best.text, value: parseValue(best.text, best.kind === 'expr') }
    : undefined
}

/** A bare "2,3" may be a number, or two of them. */
const withoutDecimalComma = ({ text, value }: Side): Value =>
  /^[-+]?\d+,\d+$/.test(text.trim()) ? parseValue(text.replace(',', ', '), false) : value

const UNIT =
  '(?:sq(?:uare)?\\.?\\s*|cubic\\s*)?(?:mm|cm|dm|km|m|in(?:ch(?:es)?)?|f(?:ee|oo)?t|yards?|miles?|mg|kg|g|grams?|lbs?|pounds?|tons?|' +
  'm?l|lit(?:er|re)s?|s|sec(?:ond)?s?|min(?:ute)?s?|h|hours?|days?|weeks?|months?|years?|deg(?:ree)?s?|rad(?:ian)?s?|' +
  'dollars?|cents?|euros?|units?|mph|km/h|m/s)(?:\\s*\\^?\\s*[23²³])?'
const WITH_UNIT = new RegExp(`^([-+]?[\\d.,\\s/]*\\d)\\s*(${UNIT}|[°€£%])$`, 'i')

/** 12 cm -> 12 and cm; undefined without a unit. */
function splitUnit(text: string): { number: string; unit: string } | undefined {
  const match = WITH_UNIT.exec(text.replace(/\\(?:text|mathrm|mbox)\s*\{\s*([^{}]*)\}/g, '$1').replace(/[.\s]+$/, ''))
  return match
    ? {
        number: match[1] as string,
        unit: (match[2] as string)
          .toLowerCase()
          .replace(/[\s.^]/g, '')
          .replace(/s$/, ''),
      }
    : undefined
}

/** Numbers with units: equal where the numbers are and no two different units stand beside them. */
function sameWithUnits(gold: string, pred: string, precision: number): boolean {
  const [g, p] = [splitUnit(gold), splitUnit(pred)]
  if ((!g && !p) || (g && p && g.unit !== p.unit)) return false
  const options = { precision, strict: true, allowSetRelation: false }
  return compareValues(parseValue(g?.number ?? gold, true), parseValue(p?.number ?? pred, true), options) === 'numeric'
}

/** 2:10 and 1:05 are equal ratios, but different times. */
const TIME = /^(\d{1,2}):([0-5]\d)\s*([ap]\.?m\.?)?$/i
const sameTime = (a: RegExpExecArray, b: RegExpExecArray) =>
  Number(a[1]) === Number(b[1]) && a[2] === b[2] && (!a[3] || !b[3] || a[3][0]?.toLowerCase() === b[3][0]?.toLowerCase())

const LETTER = /^\(?\s*([A-J])\s*\)?(?:[.:)\s]|$)/

/** (B), B. or B: 12 as B; a content as its letter. */
function choiceOf(text: string, choices: readonly string[] | undefined): string | undefined {
  const clean = text.replace(/\\text\s*\{([^{}]*)\}/g, '$1').trim()
  const letter = LETTER.exec(clean)?.[1]
  if (letter) return letter
  const at = choices?.findIndex((c) => foldText(c) === foldText(clean)) ?? -1
  return at >= 0 ? String.fromCharCode(65 + at) : undefined
}

/** Verdict on `pred` (an answer, or a whole solution) against `gold`. Never throws for what the texts hold. */
export function verifyAnswer(gold: string, pred: string, options: VerifyOptions = {}): Verdict {
  const o = {
    precision: options.precision ?? 6,
    strict: options.strict ?? true,
    allowSetRelation: options.allowSetRelation ?? false,
  }
  const goldSide =
    read(gold, options.extract) ?? (gold.trim() === '' ? undefined : { text: gold, value: parseValue(gold, false) })
  const predSide = read(pred, options.extract)
  if (!goldSide || !predSide) return { match: false, method: 'no-answer' }
  const folded = foldText(goldSide.text)
  if (folded !== '' && goldSide.text.trim() === predSide.text.trim()) return { match: true, method: 'exact' }
  const times = [goldSide, predSide].map((side) => TIME.exec(side.text.trim()))
  if (times[0] && times[1]) return { match: sameTime(times[0], times[1]), method: 'words' }
  const method =
    compareValues(goldSide.value, predSide.value, o) ??
    (options.extract ? null : compareValues(withoutDecimalComma(goldSide), withoutDecimalComma(predSide), o))
  if (method) return { match: true, method }
  if (folded !== '' && folded === foldText(predSide.text) && /[a-z]/i.test(folded)) return { match: true, method: 'words' }
  if (sameWithUnits(goldSide.text, predSide.text, o.precision)) return { match: true, method: 'units' }
  const isLetter = /^[\s({]*(?:\\text\s*\{)?\s*\(?[A-J]\)?[\s)}.]*$/.test(goldSide.text)
  const [g, p] = [choiceOf(goldSide.text, options.choices), choiceOf(predSide.text, options.choices)]
  if ((isLetter || options.choices) && g !== undefined && g === p) return { match: true, method: 'choice' }
  return { match: false, method: 'different' }
}

/** Whether both answers are within the rules' reach: formulas and single letters are, words are not. */
export function canDecide(gold: string, pred: string): boolean {
  const decidable = (side: Side | undefined) =>
    side !== undefined && (side.value.kind !== 'words' || side.value.text.length === 1)
  return decidable(read(gold, undefined)) && decidable(read(pred, undefined))
}
