/**
 * A question's text for comparison: what two copies of one question write differently is evened out, what makes
 * another question of it stays. So signs, relations, brackets and decimal points are words like others.
 */

const SUPERSCRIPTS = /[⁰¹²³⁴-⁹⁺⁻⁼⁽⁾ⁿⁱ]+/g
const SUBSCRIPTS = /[₀-₉₊₋₌₍₎]+/g
/** Characters that compatibility folding would run together with a digit before them: ½, ①. */
const COMPACT_NUMBERS = /[\u00bc-\u00be\u2150-\u215f\u2460-\u24ff\u2776-\u2793]/g
const MINUS = /[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]/g
/** Marks of prose; a colon is one behind a word and before a blank, an exclamation mark behind a word, a hyphen in words. */
const PROSE = [
  /\\[,;:!> ]/g, // LaTeX spacing
  /[\p{Cf}\\$`"?,;،、。；？「」『』《》“”„‘«»¿¡…]/gu,
  /(?<=[\p{L}\p{N})])[:：](?=\s|$)/gu,
  /(?<=\p{L}{2})[!！]/gu,
  /(?<![\p{N})'’]|(?<!\p{L})\p{L})['’]|['’](?=\p{L})/gu,
  /(?<=\p{L}{3})-(?=\p{L}{3})/gu,
  /\.(?!\d)/g,
]
const TOKEN = /\d+(?:\.\d+)*|\.\d+|[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}]|[\p{L}\p{M}]+|[^\s]/gu

/** Words, numbers and signs in their order, one blank between them; case, spacing and the marks of prose folded. */
export function normalizeQuestion(text: string): string {
  const signs = text
    .replace(SUPERSCRIPTS, (run) => `^${run} `)
    .replace(SUBSCRIPTS, (run) => `_${run} `)
    .replace(COMPACT_NUMBERS, ' $& ')
    .normalize('NFKC')
    .replace(MINUS, '-')
    .toLowerCase()
  const words = PROSE.reduce((t, mark) => t.replace(mark, ' '), signs)
  const tokens = words.match(TOKEN) ?? []
  return tokens.join(' ').replace(/\{ (\S+) \}/g, '$1')
}
