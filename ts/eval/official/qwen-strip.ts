/** An answer without what does not count in Qwen2.5-Math's evaluation: units, words, delimiters, spacing, trailing zeros. */

/** Units of counted things in word problems are dropped wherever they stand alone. */
const UNITS = (
  'east degree mph kmph ft m square\\sm2 m2 m\\s\\*\\*\\s2 cm mm km kg g inch inches feet foot yard yards mile miles meter meters ' +
  'metre metres hour hours hr hrs minute minutes min mins second seconds sec secs day days week weeks month months year years ' +
  'dollar dollars cent cents rs usd euro euros degrees degree unit units square cubic sq cu liter liters litre litres l ml gallon ' +
  'gallons pound pounds lb lbs ounce ounces oz ton tons gram grams kilogram kilograms percent am pm a\\.m\\. p\\.m\\. ' +
  'apples oranges books students people persons boys girls men women balls marbles coins cookies pages points times ways'
).split(' ')
const UNIT_WORDS = UNITS.map((unit) => new RegExp(`(^|[^\\p{L}\\p{N}_])${unit}($|[^\\p{L}\\p{N}_])`, 'gu'))

const NUMBER_WORDS: Readonly<Record<string, number>> = Object.fromEntries(
  (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen ' +
    'nineteen twenty'
  )
    .split(' ')
    .map((word, i) => [word, i]),
)

function withoutUnits(text: string): string {
  let s = text
  if (!/[a-z]/.test(s)) return s
  for (let round = 0; round < 2; round++) {
    for (const unit of UNIT_WORDS) {
      const less = s.replace(unit, '$1$2')
      if (less !== '') s = less
    }
  }
  return s
}

/** `\frac12`, `\frac1{23}`: braces where they are missing. */
function withFractionBraces(text: string): string {
  const [first = '', ...rest] = text.split('\\frac')
  let s = first
  for (const part of rest) {
    if (part.startsWith('{')) s += `\\frac${part}`
    else if (part.length < 2) return text
    else {
      const [a, b] = part as unknown as [string, string]
      s += b === '{' ? `\\frac{${a}}${part.slice(1)}` : `\\frac{${a}}{${b}}${part.slice(2)}`
    }
  }
  return s
}

const PREFIXES = ['x=', 'y=', 'z=', 'x\\in', 'y\\in', 'z\\in', 'x\\to', 'y\\to', 'z\\to']
const EVENED: readonly (readonly [RegExp, string])[] = [
  [/\n/g, ''],
  [/\.+$/, ''],
  [/\\!/g, ''],
  [/\\begin\{array\}\{.*?\}/g, '\\begin{pmatrix}'],
  [/\\end\{array\}/g, '\\end{pmatrix}'],
  [/bmatrix/g, 'pmatrix'],
  [/[td]frac/g, 'frac'],
  [/\\neq/g, '\\ne'],
  [/\\leq/g, '\\le'],
  [/\\geq/g, '\\ge'],
  [/\\left|\\right/g, ''],
  [/\\([{}])/g, '$1'],
]
const DROPPED: readonly (readonly [RegExp, string])[] = [
  [/\^\{\\circ\}|\^\\circ/g, ''],
  [/\\?\$/g, ''],
  [/\\[()]/g, ''],
]
const LATER: readonly (readonly [RegExp, string])[] = [
  [/\\emptyset/g, '{}'],
  [/\(-\\infty,\\infty\)/g, '\\mathbb{R}'],
  [/\\?%/g, ''],
  [/ \./g, ' 0.'],
  [/\{\./g, '{0.'],
  [/infinity/g, '\\infty'],
]
const LAST: readonly (readonly [RegExp, string])[] = [
  [/\+\\inity/g, '\\infty'],
  [/and|\\mathbf/g, ''],
  [/\\mbox\{.*?\}/g, ''],
  [/['"]/g, ''],
]
const apply = (text: string, rules: readonly (readonly [RegExp, string])[]) =>
  rules.reduce((s, [pattern, by]) => s.replace(pattern, by), text)

/** The answer as it is compared. */
export function stripAnswer(text: string): string {
  let s = apply(text.trim(), EVENED)
  const unitless = s.replace(/\\text\{.*?\}$/, '').trim()
  if (unitless !== '') s = unitless
  s = apply(withoutUnits(s), DROPPED)
  s = String(NUMBER_WORDS[s.trim().toLowerCase()] ?? s)
  s = s.replace(/\\text\{(.*?)\}/g, '$1')
  s = String(NUMBER_WORDS[s.trim().toLowerCase()] ?? s)
  for (const prefix of PREFIXES) s = s.replaceAll(prefix, '')
  s = apply(s, LATER)
  if (!s.includes('\\infty')) s = s.replaceAll('inf', '\\infty')
  s = apply(s, LAST)
  if (s.includes('j') && !s.includes('i')) s = s.replaceAll('j', 'i')
  s = s.replace(/(\d+)\.0*([^\d])/g, '$1$2').replace(/(\d+)\.0*$/, '$1')
  if (s.startsWith('.')) s = `0${s}`
  const sides = s.split('=')
  if (sides.length === 2 && (sides[0] as string).length <= 2) s = sides[1] as string
  s = s.replace(/\\sqrt(\w+)/g, '\\sqrt{$1}').replaceAll(' ', '')
  s = withFractionBraces(s)
  const slash = /^(-?\d+)\/(-?\d+)$/.exec(s)
  return slash ? `\\frac{${Number(slash[1])}}{${Number(slash[2])}}` : s
}
