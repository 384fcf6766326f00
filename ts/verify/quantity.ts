/** Numbers and what they count: 12 cm, 2 hours 30 minutes, $5, 3 apples, 8π cm³, 2 million. */
import { NotAnExpression, Parser } from './parser.ts'
import type { Token } from './token.ts'
import { type Node, number, operation } from './tree.ts'
import { isUnitWord, MULTIPLIERS, parseUnit, type Unit } from './units.ts'

export interface Quantity {
  node: Node
  value: { unit?: Unit; noun?: string; isPercent?: boolean }
  /** There is no other way to read it; 5 m may be a product as well. */
  isCertain: boolean
}

/** With one of these behind a number the number alone is not the answer. */
const NO_NOUN =
  /^(?:more|less|fewer|greater|smaller|larger|than|or|and|not|least|most|plus|minus|times|up|below|above|over|under|between|to|if|but|then|above|remainder|mod|r|is|are|equals|by|as|squared|cubed|factorial|st|nd|rd|th)$/i

/** @returns undefined where the tokens are no number with something behind or in front of it */
export function splitQuantity(tokens: readonly Token[]): Quantity | undefined {
  const money = tokens[0]?.kind === 'text' ? parseUnit(tokens.slice(0, 1)) : undefined
  const signed = tokens[0]?.text === '-' && tokens[1]?.kind === 'text' ? parseUnit(tokens.slice(1, 2)) : undefined
  if (money) return behind(tokens.slice(1), money)
  if (signed) return behind([tokens[0] as Token, ...tokens.slice(2)], signed)
  const many = tokens[0]?.kind === 'number' ? several(tokens) : undefined
  if (many) return many
  const from = firstWord(tokens)
  return from < 1 ? undefined : withUnit(tokens.slice(0, from), tokens.slice(from))
}

function behind(tokens: readonly Token[], unit: Unit): Quantity | undefined {
  const from = firstWord(tokens)
  // $5 dollars, $2 million
  const rest = from > 0 ? withUnit(tokens.slice(0, from), tokens.slice(from)) : undefined
  const node = rest?.node ?? tryNode(tokens)
  return node && { node, value: { unit }, isCertain: true }
}

/** Where the number ends: the first token outside of brackets that may belong to a unit or a noun. */
function firstWord(tokens: readonly Token[]): number {
  let depth = 0
  let hasUnknown = false
  for (const [i, t] of tokens.entries()) {
    if (t.kind === 'sign' && '([{'.includes(t.text)) depth++
    else if (t.kind === 'sign' && ')]}'.includes(t.text)) depth--
    else if (depth > 0) hasUnknown ||= t.kind === 'letter'
    else if (t.kind === 'text') return i
    else if (t.kind === 'word' && (t.text.length > 3 || isUnitWord(t.text) || tokens[i + 1]?.kind === 'word')) return i
    else if (t.kind === 'letter') {
      if (!hasUnknown && i > 0 && mayBeUnit(tokens, i)) return i
      hasUnknown = true
    } else if (t.text === '°' && /^[CF]$/.test(tokens[i + 1]?.text ?? '')) return i
    else if (i > 0 && isUnitFraction(tokens, i)) return i
    else if (t.kind === 'command' && (t.text === 'Omega' || t.text === 'mu') && i > 0) return i
  }
  return -1
}

/** More is no unit. WHY a limit: every fraction of a long formula is asked about. */
const MAX_UNIT = 30

/** \frac{km}{h}; of single letters that are not set upright, as m/s is then, they are unknowns. */
function isUnitFraction(tokens: readonly Token[], at: number): boolean {
  if (tokens[at]?.kind !== 'command' || tokens[at].text !== 'frac' || tokens.length - at > MAX_UNIT) return false
  const rest = tokens.slice(at)
  return rest.some((t) => t.kind === 'text' || t.kind === 'word' || t.roman) && parseUnit(rest) !== undefined
}

function mayBeUnit(tokens: readonly Token[], i: number): boolean {
  const before = tokens[i - 1] as Token
  if (before.kind === 'sign' && !')}'.includes(before.text)) return false
  return parseUnit(tokens.slice(i)) !== undefined
}

function withUnit(number_: readonly Token[], rest: readonly Token[]): Quantity | undefined {
  const node = tryNode(number_)
  if (!node) return undefined
  const multiplier =
    rest[0] && Object.hasOwn(MULTIPLIERS, rest[0].text.toLowerCase()) ? MULTIPLIERS[rest[0].text.toLowerCase()] : undefined
  if (multiplier !== undefined) {
    const times = operation('multiply', [node, number(multiplier)])
    const more = rest.length > 1 ? unitOrNoun(rest.slice(1)) : {}
    return more && { node: times, value: more, isCertain: true }
  }
  if (rest.length === 1 && /^(?:degrees?|deg|度)$/i.test(rest[0]?.text ?? '')) {
    return { node: operation('degrees', [node]), value: {}, isCertain: true }
  }
  const value = unitOrNoun(rest)
  // A noun behind a letter is no number of things: a square.
  if (!value || (!value.unit && !number_.some((t) => t.kind === 'number'))) return undefined
  if (value.unit?.dimension === 'percent^1') {
    return { node: operation('divide', [node, number(100)]), value: { isPercent: true }, isCertain: true }
  }
  const isPlain = rest[0]?.kind === 'letter' || (rest[0]?.kind === 'word' && rest[0].text.length < 4)
  const isProduct = isPlain && !rest[0]?.roman && (rest[0]?.kind === 'letter' || number_.at(-1)?.kind !== 'number')
  return { node, value, isCertain: !isProduct }
}

function unitOrNoun(rest: readonly Token[]): Quantity['value'] | undefined {
  const unit = parseUnit(rest)
  if (unit) return { unit }
  const words = rest
    .map((t) => t.text)
    .join(' ')
    .split(/\s+/)
  if (!rest.every((t) => t.kind === 'text' || t.kind === 'word' || (t.kind === 'letter' && t.text === 'a'))) {
    // 12 cm in each: the unit is known, the rest is a remark.
    return undefined
  }
  if (words.length > 6 || words.some((w) => NO_NOUN.test(w))) return undefined
  if (/^[\u4e00-\u9fff]+$/.test(words.join(''))) return /[倍折万亿半多余以不超]/.test(words.join('')) ? undefined : {}
  const head = parseUnit(rest.slice(0, 1))
  if (head && words.length > 1) return { unit: head }
  if (words[0] === 'of') return {}
  return { noun: (words.at(-1) as string).toLowerCase().replace(/(?:s|es)$/, '') }
}

/** 2 hours 30 minutes, 5 ft 3 in: numbers of one kind, the smaller units behind. */
export function several(tokens: readonly Token[]): Quantity | undefined {
  const parts: { node: Node; unit: Unit }[] = []
  let rest = tokens.filter((t) => t.text !== 'and')
  while (rest.length > 0) {
    const from = 1
    if (rest[0]?.kind !== 'number' || !/^(?:letter|word|text)$/.test(rest[1]?.kind ?? '')) return undefined
    let to = rest.findIndex((t, i) => i >= from && t.kind === 'number')
    if (to < 0) to = rest.length
    const [node, unit] = [tryNode(rest.slice(0, from)), parseUnit(rest.slice(from, to))]
    if (!node || !unit) return undefined
    parts.push({ node, unit })
    rest = rest.slice(to)
  }
  const [first] = parts
  if (!first || parts.length < 2 || parts.some(({ unit }) => unit.dimension !== first.unit.dimension)) return undefined
  const terms = parts.map(({ node, unit }) => operation('multiply', [node, { op: 'number', value: unit.factor }]))
  return {
    node: operation('divide', [operation('add', terms), { op: 'number', value: first.unit.factor }]),
    value: { unit: first.unit },
    isCertain: true,
  }
}

function tryNode(tokens: readonly Token[]): Node | undefined {
  try {
    return new Parser(tokens).expression()
  } catch (error) {
    if (!(error instanceof NotAnExpression)) throw error
    return undefined
  }
}
