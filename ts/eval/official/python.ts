/** Numbers as Python reads, rounds and prints them: the official graders are written in it. */

const SPACE = '[\\s\\x1c-\\x1f\\x85]*'
const DIGITS = '[0-9](?:_?[0-9])*'
const FLOAT = new RegExp(`^${SPACE}([+-]?)((?:${DIGITS}\\.?|(?:${DIGITS})?\\.${DIGITS})(?:[eE][+-]?${DIGITS})?)${SPACE}$`)
const NAMED = new RegExp(`^${SPACE}([+-]?)(inf|infinity|nan)${SPACE}$`, 'i')
const INT = new RegExp(`^${SPACE}([+-]?)(${DIGITS})${SPACE}$`)

/** Digits of other scripts as ASCII ones. */
const withDigits = (text: string) =>
  text.replace(/\p{Nd}/gu, (c) => {
    let zero = c.codePointAt(0) as number
    if (zero < 128) return c
    while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1)) && (c.codePointAt(0) as number) - zero < 9) zero--
    return String((c.codePointAt(0) as number) - zero)
  })

/** `float(text)`; undefined where that raises. */
export function pyFloat(text: string): number | undefined {
  const ascii = withDigits(text)
  const named = NAMED.exec(ascii)
  if (named) return (named[1] === '-' ? -1 : 1) * (named[2]?.toLowerCase() === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY)
  const found = FLOAT.exec(ascii.replace(new RegExp(`(${DIGITS})\\.(${DIGITS})`), '$1.$2'))
  const more = found ?? new RegExp(`^${SPACE}([+-]?)(${DIGITS}\\.${DIGITS}(?:[eE][+-]?${DIGITS})?)${SPACE}$`).exec(ascii)
  if (!more) return undefined
  return Number(`${more[1]}${more[2]?.replaceAll('_', '')}`)
}

/** `str(int(text))`; undefined where that raises. */
export function pyInt(text: string): string | undefined {
  const found = INT.exec(withDigits(text))
  return found ? String(BigInt(`${found[2]}`.replaceAll('_', '')) * (found[1] === '-' ? -1n : 1n)) : undefined
}

/** `str(x)` of a float. */
export function pyFloatText(x: number): string {
  if (Number.isNaN(x)) return 'nan'
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf'
  const size = Math.abs(x)
  if (x === 0) return Object.is(x, -0) ? '-0.0' : '0.0'
  if (size >= 1e16 || size < 1e-4) {
    const [mantissa, exponent] = x.toExponential().split('e') as [string, string]
    const digits = exponent.slice(1).padStart(2, '0')
    return `${mantissa}e${exponent[0]}${digits}`
  }
  const text = String(x)
  return text.includes('.') ? text : `${text}.0`
}

/** `round(x, digits)` of a float: by its exact value, and to the even digit where that is half way. */
export function pyRound(x: number, digits: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 1e21 || digits > 100) return x
  if (digits < 0) return Math.round(x / 10 ** -digits) * 10 ** -digits
  const rounded = x.toFixed(digits)
  const exact = Math.abs(x).toFixed(100).replace(/0+$/, '')
  const at = exact.indexOf('.') + 1 + digits
  const isHalf = exact.slice(at) === '5'
  if (!isHalf) return Number(rounded)
  const down = `${exact.slice(0, at)}`.replace(/\.$/, '')
  const isEven = Number(down.at(-1)) % 2 === 0
  const value = isEven ? Number(down) : Math.abs(Number(Math.abs(x).toFixed(digits)))
  return x < 0 ? -value : value
}
