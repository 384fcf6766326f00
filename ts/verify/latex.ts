/** LaTeX and plain answers brought to one clean form: no spacing, sizing, delimiters, units or synonyms. */

/** A decoration says what a name stands for, not which: \vec{AB}, \angle ABC. */
const DECORATION = /\\(?:vec|overrightarrow|angle|triangle|odot|overline(?=\s*\{[A-Z]{2,}\}))(?![a-zA-Z])/g

const SYNONYMS: readonly [RegExp, string][] = [
  [/\\quad(?=[a-zA-Z])/g, ' '],
  [/\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?|displaystyle|textstyle|limits)(?![a-zA-Z])/g, ''],
  [/\s*,\s*\\!\s*/g, ''],
  [/\s*\{\s*,\s*\}\s*/g, ''],
  [/(?<!\\)\\(?:quad|qquad|hspace\*?\{[^}]*\}|[,;:>! ])/g, ' '],
  [/~/g, ' '],
  [/\\[dtc]frac(?![a-zA-Z])/g, '\\frac'],
  [/\\(?:mbox|textnormal|textbf|textrm|textit|mathrm|mathbf|mathit|operatorname|hbox)\s*(?=\{)/g, '\\text'],
  [/\\\$/g, ''],
  [/\$/g, ''],
  [/\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree|°/g, ''],
  [/\\%/g, '%'],
  [/\\(?:lt)(?![a-zA-Z])/g, '<'],
  [/\\(?:gt)(?![a-zA-Z])/g, '>'],
  [/\\(?:leqslant|leq|le)(?![a-zA-Z])|<=|≤/g, ' ≤ '],
  [/\\(?:geqslant|geq|ge)(?![a-zA-Z])|>=|≥/g, ' ≥ '],
  // Behind a digit the mark is a factorial: 5!=120.
  [/\\(?:neq|ne)(?![a-zA-Z])|≠|(?<=[\sa-zA-Z}])!=/g, ' ≠ '],
  [/\\in(?![a-zA-Z])|∈/g, ' ∈ '],
  [/\\(?:cup)(?![a-zA-Z])|∪/g, ' ∪ '],
  [/\\infty|∞|\binfinity\b/g, '\\infty '],
  [/[−–]/g, '-'],
  [/[×·]/g, '\\cdot '],
  [/π/g, '\\pi '],
  [/√/g, '\\sqrt '],
  [/²/g, '^2'],
  [/³/g, '^3'],
  [/\b(percent(?:age)?|pct)\b/gi, '%'],
  [/\\mathbb\s*\{?([A-Z])\}?/g, '\\mathbb$1 '],
  [DECORATION, ' '],
]

/** Every backslash is doubled (a text that was escaped twice), so none is a row separator. */
const isDoubled = (s: string) => /\\\\[a-zA-Z]/.test(s) && !/(?<!\\)\\(?:\\\\)*[a-zA-Z]/.test(s)
const APPROXIMATELY = /\\(?:approx|simeq|sim)(?![a-zA-Z])|≈/
const AND = /\\text\s*\{\s*,?\s*(?:and|or|&)\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])/g
const LIST_TEXT = /\\text\s*\{[^{}]*\b(?:and|or)\b[^{}]*\}/g
const UNIT_TEXT = /\\text\s*\{[^{}]*\}(?:\s*\^\s*(?:\d|\{\d\}))?/g

/** `\text{…}` that stands alone is the answer; beside something else it is a unit or a remark. */
function dropTexts(latex: string): string {
  const rest = latex.replace(UNIT_TEXT, ' ').trim()
  if (rest.replace(/[\s.,;]/g, '') !== '') return rest
  return latex.replace(/\\text\s*\{([^{}]*)\}/g, '$1')
}

/** Behind a value the text says it again, roughly; behind an unknown comes its value. */
function settleApproximation(latex: string): string {
  const [exact, ...rough] = latex.split(APPROXIMATELY)
  const isUnknown = /[a-zA-Z]/.test(exact as string) && !/\d|\\pi|\\sqrt|^\W*e\W*$/.test(exact as string)
  return isUnknown && rough.length > 0 ? `${exact}=${rough[0]}` : (exact as string)
}

/** 0.1\overline{6} as (1 + 6/9)/10 beside its whole part. */
function repeatingDecimal(_: string, whole: string, fixed: string, period: string): string {
  const tail = `\\frac{${period}}{${'9'.repeat(period.length)}}`
  return `(${whole || 0}+(${fixed || 0}+${tail})/${10 ** fixed.length})`
}

/** A system of equations is a list of them; a function by cases stays what it is. */
const systemOfEquations = (whole: string, rows: string) => (rows.includes('&') ? whole : rows.replaceAll('\\\\', ' , '))

/** Clean LaTeX of an answer. */
export function cleanLatex(latex: string): string {
  let s = settleApproximation(isDoubled(latex) ? latex.replaceAll('\\\\', '\\') : latex)
  s = s
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?/g, repeatingDecimal)
    .replace(/\\begin\s*\{cases\}([\s\S]*?)\\end\s*\{cases\}/g, systemOfEquations)
  for (const [from, to] of SYNONYMS) s = s.replace(from, to)
  s = s.replace(AND, ' , ').replace(LIST_TEXT, ' , ')
  s = dropTexts(s)
  return s
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[.,;:\s]+$/, '')
    .replace(/^[,;\s]+/, '')
}

/** A power of ten that a number can hold. */
const SCIENTIFIC = /^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?[12]?\d{1,2}$/

/** A number with separators, as a plain one: 1,000.99 and 14 916 and 1,22; undefined where it is no number. */
export function plainNumber(text: string, decimalComma: boolean): string | undefined {
  const s = text.trim()
  if (decimalComma && SCIENTIFIC.test(s)) return s
  if (/^[-+]?[1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+)(?:\.\d+)?$/.test(s)) return s.replace(/[, ]/g, '')
  if (/^[-+]?(?:\d+\.?\d*|\.\d+)$/.test(s)) return s
  if (decimalComma && /^[-+]?\d+,\d+$/.test(s)) return s.replace(',', '.')
  return undefined
}

/** For comparing answers as words: letters, digits and signs only, case folded. */
export function foldText(text: string): string {
  return text
    .replace(/\\text\s*\{([^{}]*)\}/g, '$1')
    .replace(/[\s$.,;:!"'`*]+/g, '')
    .replace(/[{}]/g, '')
    .toLowerCase()
}
