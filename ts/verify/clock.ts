/** Times of the day and dates. 2:10 and 1:05 are equal ratios, but different times; 2024-05-01 is no difference. */

interface Time {
  hours: number
  minutes: number
  seconds: number
  half?: 'am' | 'pm'
}

const DIGITAL = /^(\d{1,2})[:：]([0-5]\d)(?:[:：]([0-5]\d))?\s*(?:([ap])\.?\s?m\.?)?$/i
const SPOKEN = /^(\d{1,2})\s*(?:o['’′]?\s?clock)\s*(?:([ap])\.?\s?m\.?)?$/i
const HOUR = /^(\d{1,2})\s*([ap])\.?\s?m\.?$/i
const CHINESE = /^(上午|下午|早上|晚上|中午|凌晨)?\s*(\d{1,2})\s*(?:[时点]\s*(?:(\d{1,2})\s*分?|(半)|(?:整|钟))?|[:：]([0-5]\d))$/

/** undefined where the text is no time. */
export function readTime(text: string): Time | undefined {
  const plain = text
    .replace(/\\(?:text|mathrm)\s*\{([^{}]*)\}/g, '$1')
    .replace(/[$\\{}~]/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/[。.]$/, '')
    .trim()
  const time = (
    h: string | undefined,
    m: string | undefined,
    s: string | undefined,
    half: string | undefined,
  ): Time | undefined => {
    const [hours, minutes, seconds] = [Number(h), Number(m ?? 0), Number(s ?? 0)]
    if (hours > 24 || minutes > 59) return undefined
    return { hours, minutes, seconds, ...(half && { half: half.toLowerCase() === 'a' ? ('am' as const) : ('pm' as const) }) }
  }
  const digital = DIGITAL.exec(plain)
  if (digital) return time(digital[1], digital[2], digital[3], digital[4])
  const spoken = SPOKEN.exec(plain) ?? HOUR.exec(plain)
  if (spoken) return time(spoken[1], undefined, undefined, spoken[2])
  const chinese = CHINESE.exec(plain)
  if (!chinese) return undefined
  const half = chinese[1] ? (/上午|早上|凌晨/.test(chinese[1]) ? 'a' : 'p') : undefined
  return time(chinese[2], chinese[4] ? '30' : (chinese[3] ?? chinese[5]), undefined, half)
}

/** Of the 24 hours of a day, where the half is known. */
const hourOfDay = ({ hours, half }: Time): number =>
  half === 'pm' && hours < 12 ? hours + 12 : half === 'am' && hours === 12 ? 0 : hours

export function sameTime(a: Time, b: Time): boolean {
  if (a.minutes !== b.minutes || a.seconds !== b.seconds) return false
  const isKnown = (t: Time) => t.half !== undefined || t.hours > 12
  return isKnown(a) === isKnown(b) ? hourOfDay(a) === hourOfDay(b) : hourOfDay(a) % 12 === hourOfDay(b) % 12
}

const DATE = /^([12]\d{3})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})[日号])$/

/** A day, year first, in one spelling; undefined where the text is none. */
export function readDate(text: string): string | undefined {
  const found = DATE.exec(text.replace(/[$\s]|\\(?:text|mathrm)|[{}]/g, ''))
  if (!found) return undefined
  const [month, day] = [Number(found[3] ?? found[5]), Number(found[4] ?? found[6])]
  return month >= 1 && month <= 12 && day >= 1 && day <= 31 ? `${found[1]}-${month}-${day}` : undefined
}
