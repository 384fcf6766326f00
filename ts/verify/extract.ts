/**
 * Where in a text the answer stands. Candidates are ranked as Math-Verify ranks them: an anchored "final answer
 * is …" first, then `\boxed{…}` and "answer is …", then the last formula or number. Nothing is parsed here.
 */
export type ExtractKind = 'latex' | 'expr'

export interface Candidate {
  /** LaTeX (without delimiters) or a plain number. */
  text: string
  kind: ExtractKind
}

interface Found extends Candidate {
  priority: number
  start: number
  end: number
}

const FINAL = 0
const ANCHORED = 50
const ANYWHERE = 100

const PERCENT_BEHIND = /^\s*(?:\\?%|percent(?:age)?\b|pct\b)/i
/** A number, a fraction, or as one piece a time or ratio (7:30). */
const NUMBER =
  /(?<![\w.,/:])\d+:\d+(?![\w:])|(?<![\w.,/])[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|[1-9]\d{0,2}(?: \d{3})+(?![\d.,]*\d)|\d+(?:,\d+)?|(?=\.\d))(?:\.\d+)?(?:\s*\/\s*\d+(?:\.\d+)?)?(?:\s*(?:\\?%|percent(?:age)?\b|pct\b))?/gi
const BARE_FRACTION = /-?\\[dtc]?frac\s*(?:\{[^{}]*\}\s*\{[^{}]*\}|\d\s*\d)/g
const ANCHOR = /(final answer is|final answer|answer is|answer)\s*:?\s*\**\s*:?\s*/gi
/** What may stand between two formulas that together are one list. */
const JOINT = /^\s*(?:,|;|and|or|,\s*and|,\s*or)\s*$/
/** Between boxes that are one list: nothing, a separator, or a few words with "and". */
const BETWEEN_BOXES = /^(?:[\s,;$]|\\quad|\\,)*$|^[^.\n]{0,80}(?:\band\b|\bor\b|,)[^.\n]{0,80}$/

/** Index behind the brace that closes the one at `open`, or -1. */
function closingBrace(text: string, open: number): number {
  let depth = 0
  for (let i = open; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '{') depth++
    else if (text[i] === '}' && --depth === 0) return i + 1
  }
  return -1
}

const withPercent = (text: string, behind: string) => (PERCENT_BEHIND.test(behind) && !text.includes('%') ? `${text}\\%` : text)

function boxes(text: string): Found[] {
  const found: Found[] = []
  for (const match of text.matchAll(/\\(?:boxed|fbox)\s*(?=\{|\d)/g)) {
    const open = match.index + match[0].length
    const isBrace = text[open] === '{'
    let end = isBrace ? closingBrace(text, open) : open + 1
    let inner = isBrace ? text.slice(open + 1, end - 1) : (text[open] as string)
    if (end < 0) {
      end = text.length // never closed: up to the end of the formula
      inner = text.slice(open + 1).split(/\$|\n/)[0] as string
    }
    found.push({
      text: withPercent(inner, text.slice(end).replace(/^\s*\$/, '')),
      kind: 'latex',
      priority: ANCHORED,
      start: match.index,
      end,
    })
  }
  return joinBoxes(text, found)
}

/** Boxes that stand close together, or in one formula, are one list; the same answer twice is one answer. */
function joinBoxes(text: string, found: readonly Found[]): Found[] {
  const joined: Found[] = []
  for (const box of found) {
    const last = joined.at(-1)
    const between = last ? text.slice(last.end, box.start) : ''
    if (!last || !BETWEEN_BOXES.test(between)) joined.push({ ...box })
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

/** The formula that opens at `at`, if one does. */
function formulaAt(text: string, at: number): { inner: string; end: number } | undefined {
  for (const { open, close, lines } of DELIMITERS) {
    if (!text.startsWith(open, at)) continue
    let end = text.indexOf(close, at + open.length)
    while (close === '$' && end > 0 && text[end - 1] === '\\') end = text.indexOf(close, end + 1)
    if (end < 0) continue
    const inner = text.slice(at + open.length, end)
    if (inner.trim() === '' || (!lines && inner.includes('\n'))) continue
    return { inner, end: end + close.length }
  }
  return undefined
}

/** All formulas from left to right; those that only a comma, "and" or "or" separates count as one. */
function formulas(text: string): Found[] {
  const found: Found[] = []
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\' && text[at + 1] === '$') {
      at++
      continue
    }
    const formula = formulaAt(text, at)
    if (!formula) continue
    const last = found.at(-1)
    const inner = withPercent(formula.inner, text.slice(formula.end))
    if (last && JOINT.test(text.slice(last.end, at))) {
      last.text += `, ${inner}`
      last.end = formula.end
    } else found.push({ text: inner, kind: 'latex', priority: ANYWHERE, start: at, end: formula.end })
    at = formula.end - 1
  }
  return found
}

function numbers(text: string): Found[] {
  return [...text.matchAll(NUMBER)]
    .filter((m) => /\d/.test(m[0]))
    .map((m) => ({ text: m[0], kind: 'expr', priority: ANYWHERE, start: m.index, end: m.index + m[0].length }))
}

function bareFractions(text: string): Found[] {
  return [...text.matchAll(BARE_FRACTION)].map((m) => ({
    text: m[0],
    kind: 'latex',
    priority: ANYWHERE,
    start: m.index,
    end: m.index + m[0].length,
  }))
}

/** A formula or number right behind "answer is", "Final answer:" and the like. */
function anchored(text: string, kinds: readonly ExtractKind[]): Found[] {
  const found: Found[] = []
  for (const match of text.matchAll(ANCHOR)) {
    const start = match.index + match[0].length
    const priority = /^final answer is/i.test(match[1] as string) ? FINAL : ANCHORED
    const formula = kinds.includes('latex') ? formulaAt(text, start) : undefined
    if (formula) {
      const inner = withPercent(formula.inner, text.slice(formula.end))
      if (!/\\boxed/.test(inner)) found.push({ text: inner, kind: 'latex', priority, start, end: formula.end })
      continue
    }
    const number = kinds.includes('expr') ? numbers(text.slice(start, start + 60))[0] : undefined
    if (number?.start === 0) found.push({ ...number, priority, start, end: start + number.end })
  }
  return found
}

const KINDS: readonly ExtractKind[] = ['latex', 'expr']

/** Candidates, best first. Empty where the text holds neither formula nor number of the kinds asked for. */
export function extractCandidates(text: string, kinds: readonly ExtractKind[] = KINDS): Candidate[] {
  const found = anchored(text, kinds)
  if (kinds.includes('latex')) found.push(...boxes(text), ...formulas(text), ...bareFractions(text))
  if (kinds.includes('expr')) found.push(...numbers(text))
  found.sort((a, b) => a.priority - b.priority || b.end - a.end || a.start - b.start)
  return found.map(({ text: inner, kind }) => ({ text: inner, kind }))
}

const ANSWER_TAG = /<answer>([\s\S]*?)<\/answer>/gi
const PLAIN_ANSWER = /(?:final answer is|answer is|answer\s*:)\s*\**\s*([^\n]+?)\s*\**\.?\s*$/i

/**
 * The final answer of a solution as text: the last `<answer>` tag, else the best candidate, else what follows
 * "the answer is". null where there is none.
 */
export function extractAnswer(solution: string): string | null {
  const tag = [...solution.matchAll(ANSWER_TAG)].at(-1)?.[1]
  if (tag !== undefined) return readAnswerBlock(tag)
  const box = extractCandidates(solution, ['latex'])[0]
  if (/\\boxed|\\fbox/.test(solution) && box) return box.text.trim()
  const plain = PLAIN_ANSWER.exec(solution)?.[1]
  if (plain) return plain.trim()
  return extractCandidates(solution)[0]?.text.trim() ?? null
}

/**
 * The answer that an answer block holds, given what stands between its tags. The whole text is the answer as it
 * stands, unless it marks one itself: a box, "the answer is …", a formula in delimiters. null where it is blank.
 */
export function readAnswerBlock(content: string): string | null {
  const text = content.trim()
  if (text === '') return null
  if (/\\boxed|\\fbox/.test(text)) return boxes(text).at(-1)?.text.trim() || text
  const sentence = /(?:answer is|answer\s*:)\s*(.+?)\.?\s*$/is.exec(text)?.[1]
  if (sentence) return sentence.trim()
  const whole = formulaAt(text, 0)
  return whole && whole.end === text.length ? whole.inner.trim() : text
}
