/**
 * Formulas, boxes and numbers of a text as candidates for its answer, ranked as Math-Verify ranks them: an anchored
 * "final answer is …" first, then `\boxed{…}` and "answer is …", then the last formula or number. Nothing is parsed
 * here, and every scan is linear.
 */
import { MAX_SOLUTION } from './limits.ts'

export type ExtractKind = 'latex' | 'expr'

export interface Candidate {
  /** LaTeX (without delimiters) or a plain number. */
  text: string
  kind: ExtractKind
}

export interface Found extends Candidate {
  priority: number
  start: number
  end: number
}

const FINAL = 0
const ANCHORED = 50
const ANYWHERE = 100

const PERCENT_BEHIND = /^\s{0,9}(?:\\?%|percent(?:age)?\b|pct\b)/i
/** A number, a fraction, or as one piece a time or ratio (7:30). */
const NUMBER =
  /(?<![\w.,/:])\d{1,9}:\d{1,9}(?![\w:])|(?<![\w.,/])[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|[1-9]\d{0,2}(?: \d{3})+(?![\d.,]{0,40}\d)|\d+(?:,\d+)?|(?=\.\d))(?:\.\d+)?(?:\s{0,9}\/\s{0,9}\d+(?:\.\d+)?)?(?:\s{0,9}(?:\\?%|percent(?:age)?\b|pct\b))?/gi
const BARE_FRACTION = /-?\\[dtc]?frac\s{0,9}(?:\{[^{}]*\}\s{0,9}\{[^{}]*\}|\d\s{0,9}\d)/g
const ANCHOR = /(final answer is|final answer|answer is|answer)\s*:?\s*\**\s*:?\s*/gi
/** What may stand between two formulas that together are one list. */
const JOINT = /^\s*(?:,|;|and|or|,\s*and|,\s*or)\s*$/
/** Between boxes that are one list: nothing, a separator, or a few words with "and". */
const BETWEEN_BOXES = /^(?:[\s,;$]|\\quad|\\,)*$|^[^.\n]{0,80}(?:\band\b|\bor\b|,)[^.\n]{0,80}$/
/** Words that take back the box before them. */
const CORRECTION = /\b(?:wrong|not|no|wait|but|instead|actually|however|rather|mistake|sorry)\b/i

/** How much of a text is searched: where an answer stands is its end. */
export const endOf = (text: string): string => (text.length > MAX_SOLUTION ? text.slice(-MAX_SOLUTION) : text)

const withPercent = (inner: string, text: string, end: number): string =>
  PERCENT_BEHIND.test(text.slice(end, end + 24)) && !inner.includes('%') ? `${inner}\\%` : inner

/** For every opening brace the index behind the one that closes it. */
function closingBraces(text: string): Map<number, number> {
  const ends = new Map<number, number>()
  const open: number[] = []
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '{') open.push(i)
    else if (text[i] === '}') {
      const start = open.pop()
      if (start !== undefined) ends.set(start, i + 1)
    }
  }
  return ends
}

export interface Box extends Found {
  /** It is never closed: the text ends in it. */
  isCut: boolean
}

export function boxes(text: string): Box[] {
  if (!/\\(?:boxed|fbox)/.test(text)) return []
  const ends = closingBraces(text)
  const found: Box[] = []
  for (const match of text.matchAll(/\\(?:boxed|fbox)\s{0,9}(?=\{|\d)/g)) {
    const open = match.index + match[0].length
    if (found.length > 0 && open < (found.at(-1) as Box).end) continue // a box in a box
    const isBrace = text[open] === '{'
    const end = isBrace ? ends.get(open) : open + 1
    const inner = end === undefined ? '' : isBrace ? text.slice(open + 1, end - 1) : (text[open] as string)
    const behind = text[end ?? 0] === '$' ? (end ?? 0) + 1 : (end ?? 0)
    found.push({
      text: end === undefined ? '' : withPercent(inner, text, behind),
      kind: 'latex',
      priority: ANCHORED,
      start: match.index,
      end: end ?? text.length,
      isCut: end === undefined,
    })
  }
  return joinBoxes(text, found)
}

/** Boxes that stand close together, or in one formula, are one list; the same answer twice is one answer. */
function joinBoxes(text: string, found: readonly Box[]): Box[] {
  const joined: Box[] = []
  for (const box of found) {
    const last = joined.at(-1)
    const between = last ? text.slice(last.end, box.start) : ''
    if (!last || box.isCut || between.length > 200 || !BETWEEN_BOXES.test(between) || CORRECTION.test(between))
      joined.push({ ...box })
    else {
      if (last.text !== box.text) last.text += `, ${box.text}`
      last.end = box.end
    }
  }
  return joined
}

const DELIMITERS = [
  { open: '$$', close: '$$', lines: true },
  { open: '\\[', close: '\\]', lines: true },
  { open: '\\(', close: '\\)', lines: true },
  { open: '$', close: '$', lines: false },
] as const

export interface Formula {
  inner: string
  end: number
}

/** Finds formulas; remembers which delimiters do not close any more, so that many open ones are not searched for again and again. */
export class FormulaFinder {
  readonly #text: string
  readonly #missing = new Set<string>()

  constructor(text: string) {
    this.#text = text
  }

  /** The formula that opens at `at`, if one does. */
  at(at: number): Formula | undefined {
    const text = this.#text
    const c = text[at]
    if (c !== '$' && c !== '\\') return undefined
    for (const { open, close, lines } of DELIMITERS) {
      if (!text.startsWith(open, at) || this.#missing.has(close)) continue
      let end = text.indexOf(close, at + open.length)
      while (close === '$' && end > 0 && text[end - 1] === '\\') end = text.indexOf(close, end + 1)
      if (end < 0) {
        this.#missing.add(close)
        continue
      }
      const inner = text.slice(at + open.length, end)
      if (inner.trim() === '' || (!lines && inner.includes('\n'))) continue
      return { inner, end: end + close.length }
    }
    return undefined
  }
}

/** All formulas from left to right; those that only a comma, "and" or "or" separates count as one. */
export function formulas(text: string, finder = new FormulaFinder(text)): Found[] {
  const found: Found[] = []
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\' && text[at + 1] === '$') {
      at++
      continue
    }
    const formula = finder.at(at)
    if (!formula) continue
    const last = found.at(-1)
    const inner = withPercent(formula.inner, text, formula.end)
    if (last && at - last.end < 40 && JOINT.test(text.slice(last.end, at))) {
      last.text += `, ${inner}`
      last.end = formula.end
    } else found.push({ text: inner, kind: 'latex', priority: ANYWHERE, start: at, end: formula.end })
    at = formula.end - 1
  }
  return found
}

export function numbers(text: string): Found[] {
  return [...text.matchAll(NUMBER)]
    .filter((m) => /\d/.test(m[0]))
    .map((m) => ({ text: m[0], kind: 'expr', priority: ANYWHERE, start: m.index, end: m.index + m[0].length }))
}

export function bareFractions(text: string): Found[] {
  return [...text.matchAll(BARE_FRACTION)].map((m) => ({
    text: m[0],
    kind: 'latex',
    priority: ANYWHERE,
    start: m.index,
    end: m.index + m[0].length,
  }))
}

/** A formula or number right behind "answer is", "Final answer:" and the like. */
function anchored(text: string, kinds: readonly ExtractKind[], finder: FormulaFinder): Found[] {
  const found: Found[] = []
  for (const match of text.matchAll(ANCHOR)) {
    const start = match.index + match[0].length
    const priority = /^final answer is/i.test(match[1] as string) ? FINAL : ANCHORED
    const formula = kinds.includes('latex') ? finder.at(start) : undefined
    if (formula) {
      const inner = withPercent(formula.inner, text, formula.end)
      if (!/\\boxed/.test(inner)) found.push({ text: inner, kind: 'latex', priority, start, end: formula.end })
      continue
    }
    const number = kinds.includes('expr') ? numbers(text.slice(start, start + 60))[0] : undefined
    if (number?.start === 0) found.push({ ...number, priority, start, end: start + number.end })
  }
  return found
}

/** Candidates, best first. Empty where the text holds neither formula nor number of the kinds asked for. */
export function extractCandidates(solution: string, kinds: readonly ExtractKind[]): Candidate[] {
  const text = endOf(solution)
  const finder = new FormulaFinder(text)
  const found = anchored(text, kinds, finder)
  if (kinds.includes('latex')) {
    const boxed = boxes(text)
    if (boxed.at(-1)?.isCut) return []
    found.push(...boxed, ...formulas(text, finder), ...bareFractions(text))
  }
  if (kinds.includes('expr')) found.push(...numbers(text))
  found.sort((a, b) => a.priority - b.priority || b.end - a.end || a.start - b.start)
  return found.map(({ text: inner, kind }) => ({ text: inner, kind }))
}
