/** Numbers in words: English and Chinese. */

const SMALL: Record<string, number> = {
  zero: 0, one: 1, two: 2, three: 3, four: 4, five: 5, six: 6, seven: 7, eight: 8, nine: 9, ten: 10, eleven: 11, twelve: 12,
  thirteen: 13, fourteen: 14, fifteen: 15, sixteen: 16, seventeen: 17, eighteen: 18, nineteen: 19, twenty: 20, thirty: 30,
  forty: 40, fourty: 40, fifty: 50, sixty: 60, seventy: 70, eighty: 80, ninety: 90,
} // biome-ignore format: a table
const LARGE: Record<string, number> = { thousand: 1e3, million: 1e6, billion: 1e9, trillion: 1e12 }
const PARTS: Record<string, number> = {
  half: 2, halve: 2, third: 3, quarter: 4, fourth: 4, fifth: 5, sixth: 6, seventh: 7, eighth: 8, ninth: 9, tenth: 10, eleventh: 11,
  twelfth: 12, twentieth: 20, hundredth: 100, thousandth: 1000,
} // biome-ignore format: a table
const ORDINALS: Record<string, number> = { first: 1, second: 2, ...PARTS }

const own = (table: Record<string, number>, key: string): number | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined

/** `12`, `2/3` or `7/2` for twelve, two thirds and three and a half; undefined where the words are no number. */
export function readNumeral(text: string): string | undefined {
  if (text.length > 200) return undefined
  return readChinese(text.trim()) ?? readEnglish(text.trim().toLowerCase())
}

function readEnglish(text: string): string | undefined {
  const isNegative = /^(?:negative|minus)\s/.test(text)
  const words = text
    .replace(/^(?:negative|minus)\s+/, '')
    .split(/[\s-]+/)
    .filter((w) => w !== '')
  if (words.length === 0 || words.length > 24) return undefined
  const value = wholeNumber(words) ?? partsOf(words)
  return value === undefined ? undefined : isNegative ? `-${value}` : value
}

function wholeNumber(words: readonly string[]): string | undefined {
  let total = 0
  let group = 0
  let last = Number.POSITIVE_INFINITY
  for (const [i, word] of words.entries()) {
    const small = own(SMALL, word)
    const large = own(LARGE, word)
    if (word === 'and' && i > 0 && i < words.length - 1 && (group >= 100 || total > 0)) continue
    if ((word === 'a' || word === 'an') && i === 0 && words.length > 1) group = 1
    else if (word === 'dozen' && i === words.length - 1 && i > 0) return String(12 * (total + group))
    else if (word === 'hundred' && group > 0 && group < 100) {
      group *= 100
      last = 100
    } else if (large !== undefined && group > 0) {
      total += group * large
      group = 0
      last = Number.POSITIVE_INFINITY
    } else if (small !== undefined && (small < last || last === 100) && fits(group, small)) {
      group += small
      last = small
    } else return undefined
  }
  const isWord = own(SMALL, words[0] as string) !== undefined || words.length > 1
  return isWord ? String(total + group) : undefined
}

/** twenty takes a digit, a hundred anything below it. */
const fits = (group: number, small: number): boolean =>
  group % 100 === 0 || (group % 100 >= 20 && group % 10 === 0 && small < 10 && small > 0)

/** half, a third, two thirds, three and a half, one and two thirds */
function partsOf(words: readonly string[]): string | undefined {
  const part = own(PARTS, words.at(-1)?.replace(/s$/, '') as string)
  if (part === undefined) return undefined
  const at = words.lastIndexOf('and')
  const front = at > 0 ? wholeNumber(words.slice(0, at)) : '0'
  const above = words.slice(at > 0 ? at + 1 : 0, -1)
  const count = above.length === 0 || above.join(' ') === 'a' || above.join(' ') === 'an' ? '1' : wholeNumber(above)
  if (front === undefined || count === undefined) return undefined
  const isOne = above.length === 0 && part !== 2
  return isOne ? undefined : `${Number(front) * part + Number(count)}/${part}`
}

/** 1 for first, 1st and 第一; undefined for all else. */
export function readOrdinal(word: string): number | undefined {
  if (/^the\s/i.test(word)) return readOrdinal(word.slice(4).trim())
  const digits = /^(\d{1,6})(?:st|nd|rd|th)$/i.exec(word)?.[1]
  if (digits) return Number(digits)
  const chinese = /^第(.+)$/.exec(word)?.[1]
  if (chinese) return Number(/^\d{1,6}$/.test(chinese) ? chinese : (readChinese(chinese) ?? Number.NaN)) || undefined
  const lower = word.toLowerCase()
  const plain = own(ORDINALS, lower)
  if (plain !== undefined && lower !== 'half' && lower !== 'quarter') return plain
  const stem = /^(\w{3,})th$/.exec(lower)?.[1]
  return stem ? own(SMALL, stem) : undefined
}

const DIGITS = '零一二三四五六七八九'
const CHINESE_UNITS: Record<string, number> = { 十: 10, 百: 100, 千: 1000 }

/** WHY no 角 and 分: 三角 is a shape, and 十分 a degree. */
const COUNTED =
  /^([零一二三四五六七八九十百千万亿两]+)((?:[个种次人名只条块本张件棵朵辆位支道组元天年岁克米升吨秒]|(?:平方|立方)?(?:厘|分|毫|千)?米|千克|毫升|小时|分钟))$/

function readChinese(text: string): string | undefined {
  const parts = /^百分之([零一二三四五六七八九十百千点两]+)$/.exec(text)
  if (parts) return chineseNumber(parts[1] as string) && `${chineseNumber(parts[1] as string)}%`
  const fractionOf = /^([零一二三四五六七八九十百千万亿两]+)分之([零一二三四五六七八九十百千万亿两]+)$/.exec(text)
  if (fractionOf) {
    const [below, above] = [chineseNumber(fractionOf[1] as string), chineseNumber(fractionOf[2] as string)]
    return below && above && `${above}/${below}`
  }
  if (text === '一半') return '1/2'
  const counted = COUNTED.exec(text)
  if (counted) return chineseNumber(counted[1] as string) && `${chineseNumber(counted[1] as string)}${counted[2]}`
  if (/^[负零〇一二三四五六七八九十百千万亿两点]+$/.test(text)) {
    const value = chineseNumber(text.replace(/^负/, ''))
    return value && (text.startsWith('负') ? `-${value}` : value)
  }
  return undefined
}

function chineseNumber(text: string): string | undefined {
  const [whole_, decimals, more] = text.replace(/两/g, '二').replace(/〇/g, '零').split('点') as [string, string?, string?]
  if (more !== undefined || whole_ === '') return undefined
  let total = 0
  let section = 0
  let digit: number | undefined
  // 一百五 is 150, while 一百零五 is 105.
  let lastUnit = 1
  for (const c of whole_) {
    const value = DIGITS.indexOf(c)
    const unit = own(CHINESE_UNITS, c)
    if (value >= 0) {
      if (digit !== undefined && digit !== 0) return undefined
      digit = value
      if (value === 0) lastUnit = 1
    } else if (unit) {
      lastUnit = unit
      section += (digit ?? 1) * unit
      digit = undefined
    } else {
      lastUnit = c === '万' ? 1e4 : 1e8
      total = (total + section + (digit ?? 0)) * (c === '万' ? 1e4 : 1e8)
      section = 0
      digit = undefined
    }
  }
  const value = String(total + section + (digit ?? 0) * (lastUnit >= 100 ? lastUnit / 10 : 1))
  if (decimals === undefined) return value
  const behind = [...decimals].map((c) => DIGITS.indexOf(c))
  return behind.length > 0 && behind.every((d) => d >= 0) ? `${value}.${behind.join('')}` : undefined
}
