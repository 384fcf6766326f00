/** Numbers as they are written: decimals, repeating ones, other bases. */
import { NotAnExpression } from './cursor.ts'
import { add, divide, fraction, fromDecimal, type Rational, whole } from './rational.ts'
import { type Decimal, type Node, number } from './tree.ts'

/** A token of a number: 12, 1.50, 0.r3 for 0.333…, or with dots behind it where it is cut. */
export function readDigits(text: string): Node {
  const [digits, period] = text.split('r') as [string, string | undefined]
  if (period !== undefined) return { op: 'number', value: repeating(digits, period) }
  const isCut = digits.endsWith('…')
  const plain = isCut ? digits.slice(0, -1) : digits
  const value = fromDecimal(plain)
  return plain.includes('.') ? { op: 'number', value, decimal: decimalOf(plain, isCut) } : { op: 'number', value }
}

/** @throws NotAnExpression where the base is none, or the digits are not its own */
export function inBase(text: string, base: Node): Node {
  if (base.op !== 'number' || base.value.d !== 1n || base.value.n < 2n || base.value.n > 36n) throw new NotAnExpression('no base')
  let value = 0n
  for (const c of text) {
    const digit = Number.parseInt(c, 36)
    if (!(digit < Number(base.value.n))) throw new NotAnExpression(`no digit in base ${base.value.n}: ${c}`)
    value = value * base.value.n + BigInt(digit)
  }
  return number(value)
}

function decimalOf(text: string, isCut: boolean): Decimal {
  const places = text.length - text.indexOf('.') - 1
  return { digits: text.replace('.', '').replace(/^0+/, '').length, places, isCut }
}

/** 0.1 and 6 are 0.1666… */
function repeating(digits: string, period: string): Rational {
  const places = digits.length - digits.indexOf('.') - 1
  const tail = fraction(BigInt(period || '0'), 10n ** BigInt(period.length) - 1n)
  return add(fromDecimal(digits), divide(tail, whole(10n ** BigInt(places))))
}
