/** Units of measurement: what stands behind a number, and how many of one make another. */
import { divide, fraction, multiply, ONE, power, type Rational } from './rational.ts'
import type { Token } from './token.ts'

export interface Unit {
  /** So many base units. */
  readonly factor: Rational
  /** Base units and their powers, such as `m^1 s^-1`. */
  readonly dimension: string
}

interface Entry {
  factor: Rational
  dimensions: ReadonlyMap<string, number>
}

const ENTRIES = new Map<string, Entry>()
const SINGLE = new Map<string, Entry>()

/** `names` by spaces; capitals count where the name is one or two letters long. */
function define(names: string, factor: string | number, ...dimensions: (readonly [string, number])[]): void {
  const [n, d = '1'] = String(factor).split('/') as [string, string?]
  const places = n.includes('.') ? n.length - n.indexOf('.') - 1 : 0
  const entry = {
    factor: fraction(BigInt(n.replace('.', '')), BigInt(d) * 10n ** BigInt(places)),
    dimensions: new Map(dimensions),
  }
  for (const name of names.split(' ')) (/^[a-zA-Zμ]$/.test(name) ? SINGLE : ENTRIES).set(name, entry)
}

const length = (names: string, factor: string | number) => define(names, factor, ['m', 1])
const mass = (names: string, factor: string | number) => define(names, factor, ['g', 1])
const time = (names: string, factor: string | number) => define(names, factor, ['s', 1])
const volume = (names: string, factor: string | number) => define(names, factor, ['m', 3])
const area = (names: string, factor: string | number) => define(names, factor, ['m', 2])
const money = (names: string, factor: string | number, of: string) => define(names, factor, [of, 1])

length('m meter metre 米', 1)
length('km kilometer kilometre 千米 公里', 1000)
length('dm decimeter decimetre 分米', '0.1')
length('cm centimeter centimetre 厘米', '0.01')
length('mm millimeter millimetre 毫米', '0.001')
length('μm micrometer micrometre micron 微米', '0.000001')
length('nm nanometer nanometre 纳米', '0.000000001')
length('in inch inche 英寸', '0.0254')
length('ft foot feet 英尺', '0.3048')
length('yd yard', '0.9144')
length('mi mile 英里', '1609.344')
area('ha hectare 公顷', 10000)
area('acre', '4046.8564224')
volume('L l liter litre 升', '0.001')
volume('mL ml milliliter millilitre cc 毫升', '0.000001')
mass('g gram 克', 1)
mass('kg kilogram kilo 千克 公斤', 1000)
mass('mg milligram 毫克', '0.001')
mass('t ton tonne 吨', 1000000)
mass('lb pound 磅', '453.59237')
mass('oz ounce', '28.349523125')
time('s sec second 秒 秒钟', 1)
time('ms millisecond 毫秒', '0.001')
time('min minute 分钟 分', 60)
time('h hr hour 小时 时', 3600)
time('d day 天 日', 86400)
time('week 周 星期', 604800)
define('month 月 个月', 1, ['month', 1])
define('year yr 年', 12, ['month', 1])
define('mph', '1609.344/3600', ['m', 1], ['s', -1])
define('kph kmh', '1000/3600', ['m', 1], ['s', -1])
money('$ USD dollar buck 美元', 1, 'dollar')
money('cent ¢ 美分', '0.01', 'dollar')
money('¥ CNY RMB yuan 元 块 人民币', 1, 'yuan')
money('角', '0.1', 'yuan')
money('€ EUR euro 欧元', 1, 'euro')
money('£ GBP 英镑', 1, 'sterling')
money('₹ Rs INR rupee', 1, 'rupee')
define('N newton 牛顿 牛', 1000, ['g', 1], ['m', 1], ['s', -2])
define('J joule 焦耳 焦', 1000, ['g', 1], ['m', 2], ['s', -2])
define('kJ kilojoule 千焦', 1000000, ['g', 1], ['m', 2], ['s', -2])
define('W watt 瓦 瓦特', 1000, ['g', 1], ['m', 2], ['s', -3])
define('kW kilowatt 千瓦', 1000000, ['g', 1], ['m', 2], ['s', -3])
define('Pa pascal 帕', 1000, ['g', 1], ['m', -1], ['s', -2])
define('kPa kilopascal 千帕', 1000000, ['g', 1], ['m', -1], ['s', -2])
define('Hz hertz 赫兹', 1, ['s', -1])
define('A ampere amp 安 安培', 1, ['A', 1])
define('C coulomb 库仑', 1, ['A', 1], ['s', 1])
define('V volt 伏 伏特', 1000, ['g', 1], ['m', 2], ['s', -3], ['A', -1])
define('Ω ohm 欧 欧姆', 1000, ['g', 1], ['m', 2], ['s', -3], ['A', -2])
define('T tesla', 1000, ['g', 1], ['s', -2], ['A', -1])
define('K kelvin', 1, ['K', 1])
define('°C ℃ 摄氏度', 1, ['celsius', 1])
define('°F ℉', 1, ['fahrenheit', 1])
define('mol mole', 1, ['mol', 1])
define('rad radian 弧度', 1)
define('unit 单位', 1, ['unit', 1])
define('percent percentage pct 个百分点', '0.01', ['percent', 1])

/** Words that multiply the number in front of them. */
export const MULTIPLIERS: Record<string, bigint> = {
  hundred: 100n, thousand: 1000n, million: 10n ** 6n, billion: 10n ** 9n, trillion: 10n ** 12n, dozen: 12n, 万: 10n ** 4n, 亿: 10n ** 8n,
} // biome-ignore format: a table

const SQUARES = new Set(['square', 'sq', 'squared', '平方'])
const CUBES = new Set(['cubic', 'cu', 'cubed', '立方'])

function lookUp(word: string): Entry | undefined {
  const lower = word.toLowerCase()
  const forms = [word, lower, lower.replace(/s$/, ''), lower.replace(/es$/, '')]
  for (const form of forms) {
    const entry = ENTRIES.get(form)
    if (entry) return entry
  }
  return SINGLE.get(word)
}

export const isUnitWord = (word: string): boolean =>
  ENTRIES.has(word) || ENTRIES.has(word.toLowerCase().replace(/s$/, '')) || lookUp(word) !== undefined

/** Plain pieces of a unit: words, powers, signs. */
function pieces(tokens: readonly Token[]): string[] | undefined {
  const found: string[] = []
  for (const [i, t] of tokens.entries()) {
    if (t.kind === 'sign' && t.text === '°') found.push('°')
    else if (t.kind === 'sign' && '^{}-*/()'.includes(t.text)) found.push(t.text)
    else if (t.kind === 'sign' && t.text === '.') continue
    else if (t.kind === 'number') found.push(t.text)
    else if (t.kind === 'command' && t.text === 'Omega') found.push('Ω')
    else if (t.kind === 'command' && t.text === 'mu' && tokens[i + 1]?.text === 'm') found.push('μ')
    else if (t.kind === 'text' || t.kind === 'word' || t.kind === 'letter') found.push(...splitWords(t.text))
    else return undefined
  }
  return found
}

/** Words by spaces; Chinese ones also by what they are made of: 千米每小时, 平方厘米. */
function splitWords(text: string): string[] {
  const words = text.split(/[\s.]+/).filter((w) => w !== '')
  return words.flatMap((word) => {
    if (!/[\u4e00-\u9fff]/.test(word)) return [word]
    return word.split(/(每|平方|立方)/).filter((w) => w !== '')
  })
}

/** \frac{km}{h} is km/h. */
function withSlash(tokens: readonly Token[]): readonly Token[] {
  const [first] = tokens
  const at = tokens.findIndex((t, i) => t.text === '}' && tokens[i + 1]?.text === '{')
  if (first?.kind !== 'command' || first.text !== 'frac' || at < 0) return tokens
  return [...tokens.slice(2, at), { ...first, kind: 'sign', text: '/' }, ...tokens.slice(at + 2, -1)]
}

/** m/s, kg·m^2, square centimeters, km per hour, m s^{-1}: all of the tokens, or undefined. */
export function parseUnit(tokens: readonly Token[]): Unit | undefined {
  const words = pieces(withSlash(tokens))
  if (!words || words.length === 0) return undefined
  let factor = ONE
  const dimensions = new Map<string, number>()
  let direction = 1
  let prefix = 0
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string
    const squared = SQUARES.has(word.toLowerCase()) ? 2 : CUBES.has(word.toLowerCase()) ? 3 : 0
    if (squared && word.toLowerCase().endsWith('ed')) return undefined
    if (squared) prefix = squared
    else if (word === '/' || word === 'per' || word === '每' || word === 'a') {
      if (direction < 0) return undefined
      direction = -1
    } else if (word === '*' || word === '(' || word === ')') continue
    else {
      const name = word === '°' || word === 'μ' ? word + (words[++i] ?? '') : word
      const entry = lookUp(name)
      if (!entry) return undefined
      const exponent = readExponent(words, i + 1)
      i = exponent.at - 1
      const times = direction * (prefix || 1) * exponent.value
      prefix = 0
      factor = multiply(factor, times < 0 ? divide(ONE, power(entry.factor, BigInt(-times))) : power(entry.factor, BigInt(times)))
      for (const [name, e] of entry.dimensions) dimensions.set(name, (dimensions.get(name) ?? 0) + e * times)
    }
  }
  if (prefix !== 0) return undefined
  const names = [...dimensions].filter(([, e]) => e !== 0).sort(([a], [b]) => (a < b ? -1 : 1))
  return { factor, dimension: names.map(([name, e]) => `${name}^${e}`).join(' ') }
}

function readExponent(words: readonly string[], from: number): { value: number; at: number } {
  const next = words[from]?.toLowerCase()
  if (next === 'squared') return { value: 2, at: from + 1 }
  if (next === 'cubed') return { value: 3, at: from + 1 }
  if (/^[23]$/.test(words[from] ?? '')) return { value: Number(words[from]), at: from + 1 }
  if (words[from] !== '^') return { value: 1, at: from }
  let at = from + 1
  if (words[at] === '{') at++
  const isNegative = words[at] === '-'
  if (isNegative) at++
  const value = Number(words[at++])
  if (words[at] === '}') at++
  return Number.isInteger(value) && value > 0 && value < 10 ? { value: isNegative ? -value : value, at } : { value: 1, at: from }
}
