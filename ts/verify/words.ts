/** Answers in words: what does not change their meaning is taken off before they are compared. */
import { readOrdinal } from './numerals.ts'

const YES = new Set(['yes', 'true', '是', '是的', '对', '正确', '能', '可以'])
const NO = new Set(['no', 'false', '否', '不是', '不对', '错', '错误', '不能', '不可以'])

/** Letters, digits and signs only, case folded. */
export function foldText(text: string): string {
  return text
    .replace(/\\(?:text|mathrm|textbf|textit|mbox)\s*(?=\{)/g, '')
    .replace(/[\s$.,;:!"'`*“”‘’。，；：！、?？{}~]+/g, '')
    .toLowerCase()
}

/** Names of one thing. */
const SYNONYMS: Record<string, string> = {
  正三角形: '等边三角形',
  正四边形: '正方形',
  长方形: '矩形',
  正六面体: '正方体',
  立方体: '正方体',
  dne: 'doesnotexist',
}

const ROMAN: Record<string, number> = { i: 1, ii: 2, iii: 3, iv: 4, v: 5, vi: 6, vii: 7, viii: 8, ix: 9, x: 10 }

/** third, 3rd and III beside "quadrant" and its like. */
function ordered(words: readonly string[]): string | undefined {
  const chinese = /^第(.{1,3})象限$/.exec(words.join(''))
  if (chinese) return `quadrant ${readOrdinal(`第${chinese[1]}`)}`
  if (words.length === 1) {
    const n = readOrdinal(words[0] as string)
    return n === undefined ? undefined : `#${n}`
  }
  if (words.length !== 2) return undefined
  const noun = words.find((w) => /^(?:quadrant|option|choice|day|place|row|term|case|angle|group|column|grade|floor)s?$/.test(w))
  const other = words.find((w) => w !== noun)
  if (!noun || !other) return undefined
  const n =
    readOrdinal(other) ?? (Object.hasOwn(ROMAN, other) ? ROMAN[other] : /^\d{1,4}$/.test(other) ? Number(other) : undefined)
  return n === undefined ? undefined : `${noun} ${n}`
}

/** Figures by their signs. */
const MARKS: Record<string, string> = { '△': 'triangle', '∠': 'angle', '⊙': 'circle', odot: 'circle' }

/** One spelling for answers that say the same. */
function plainWords(text: string): string {
  const words = text
    .replace(/\\(?:text|mathrm|textbf|textit|mbox|operatorname)\s*(?=\{)/g, ' ')
    .replace(/\\(triangle|angle|odot)(?![a-zA-Z])|[△∠⊙]/g, (mark, name) => ` ${MARKS[name ?? mark] ?? name} `)
    .replace(/[\s$.,;:!"`*“”‘’。，；：！、?？{}~()]+/g, ' ')
    .trim()
    .toLowerCase()
    .split(' ')
    .filter((w) => !/^(?:a|an|the|is|are|it|of|they|this|these)$/.test(w))
  const known = ordered(words)
  if (known) return known
  const whole = words.join('')
  if (YES.has(whole)) return 'yes'
  if (Object.hasOwn(SYNONYMS, whole)) return SYNONYMS[whole] as string
  if (NO.has(whole)) return 'no'
  return words.map((w) => (/^[a-z]{4,}[^s]s$/.test(w) ? w.slice(0, -1) : w)).join('')
}

/** Yes or no where the whole text says so. */
export function polarity(text: string): 'yes' | 'no' | undefined {
  const words = plainWords(text)
  return words === 'yes' || words === 'no' ? words : undefined
}

/** What a reason follows: Yes, because … */
const ASSERTION = /^\W*(yes|no|true|false|correct|incorrect)\b\s*(?:[,.;:!—–-]|because|since|as\b|they|it\b|we\b|the\b)/i
const CHINESE_ASSERTION = /^(不能|不是|不对|能|是的|是|对|正确|错误|否)[，,。；;]/

/** The yes or no that a sentence starts with. */
export const assertion = (text: string): string | undefined =>
  ASSERTION.exec(text)?.[1] ?? CHINESE_ASSERTION.exec(text.trim())?.[1]

export const sameWords = (a: string, b: string): boolean => {
  const [x, y] = [plainWords(a), plainWords(b)]
  return x !== '' && x === y
}
