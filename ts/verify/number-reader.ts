/** The numbers of an answer: grouped digits, recurring decimals, powers of ten, fractions and scripts of one character. */
import { MAX_DEPTH, Undecided } from './limits.ts'
import { RAISED } from './symbols.ts'
import type { Token, TokenizeOptions } from './token.ts'

/** Rest of a number whose digits are grouped, by a comma of TeX, a comma, a space. */
const TEX_GROUPS = /(?:\s?\{\s?,\s?\}\s?\d{3}|\s?,\s?\\!\s?\d{3})+(?!\d)(?:\.\d+)?/y
const COMMA_GROUPS = /(?:,\d{3})+(?![\d,])(?:\.\d+)?/y
const SPACE_GROUPS = /(?:(?: |\\,|\\ |\u2009|\u202f|\u00a0)\d{3})+(?!\d)(?![ ,.]\d|\s*\/)(?:\.\d+)?/y
const EXPONENT = /[eE]([-+]?\d{1,6})(?![\d.a-zA-Z])/y
const REPEATING = /\\(?:overline|bar|dot|overset\{\\cdot\})\s*(?:\{(\d+)\}|(\d))/y
const RECURRING = /\((\d+)\)(?![\d^])/y

/** Where in the text one is, and the tokens so far. */
export class NumberReader {
  readonly tokens: Token[] = []
  protected readonly text: string
  protected readonly options: TokenizeOptions
  protected at = 0
  /** Of ( and [, inside of which a comma separates. */
  protected brackets = 0
  protected spaced = false
  protected roman: boolean
  protected readonly depth: number

  constructor(text: string, options: TokenizeOptions, roman: boolean, depth: number) {
    if (depth > MAX_DEPTH) throw new Undecided('texts are too deep within each other')
    this.text = text
    this.options = options
    this.roman = roman
    this.depth = depth
  }

  protected push(kind: Token['kind'], text: string): undefined {
    this.tokens.push({ kind, text, spaced: this.spaced, roman: this.roman })
    this.spaced = false
  }

  protected take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at
    const m = pattern.exec(this.text)
    if (m) this.at = pattern.lastIndex
    return m
  }

  protected looksAt(pattern: RegExp): boolean {
    pattern.lastIndex = this.at
    return pattern.test(this.text)
  }

  protected number(digits: string): undefined {
    let text = digits
    if (!text.includes('.')) {
      const isFirst = /^[1-9]\d{0,2}$/.test(text)
      const groups =
        this.take(TEX_GROUPS) ??
        (isFirst && this.options.groupDigits && this.brackets === 0 ? (this.take(COMMA_GROUPS) ?? this.take(SPACE_GROUPS)) : null)
      if (groups) text += groups[0].replace(/[^\d.]/g, '')
    }
    this.repeating(text)
    const exponent = this.take(EXPONENT)
    if (!exponent) return
    for (const sign of ['*', '10', '^', '{']) this.push(sign === '10' ? 'number' : 'sign', sign)
    this.signed(exponent[1] as string)
    this.push('sign', '}')
  }

  protected signed(text: string): undefined {
    const digits = text.replace(/^[-+]/, '')
    if (text.startsWith('-')) this.push('sign', '-')
    this.push('number', digits)
  }

  /** 0.1\overline{6}, 0.(3), 0.\dot{1}2\dot{3}, 0.333…: the period is written behind a letter r. */
  protected repeating(text: string): undefined {
    const isDecimal = text.includes('.') || (this.text[this.at] === '.' && this.text[this.at + 1] !== '.')
    if (isDecimal) {
      const start = this.at
      if (!text.includes('.')) this.at++
      const first = this.take(REPEATING) ?? this.take(RECURRING)
      if (first) {
        let period = first[1] ?? first[2] ?? ''
        // Two dots: the period reaches from the one to the other.
        const last = /^\d*\\dot/.test(this.text.slice(this.at, this.at + 40))
          ? this.take(/(\d*)\\dot\s*(?:\{(\d)\}|(\d))/y)
          : null
        if (last) period += (last[1] as string) + (last[2] ?? last[3])
        return this.push('number', `${text.includes('.') ? text : `${text}.`}r${period}`)
      }
      this.at = start
    }
    if (isDecimal && this.take(/\s?(?:\.{3}|…|\\l?dots(?![a-zA-Z])|\\cdots(?![a-zA-Z]))/y)) {
      const period = /(\d+?)\1+$/.exec(text.slice(text.indexOf('.') + 1, text.indexOf('.') + 60))?.[1]
      return this.push('number', period !== undefined && /(\d{1,12}?)\1+$/.test(text) ? `${text}r${period}` : `${text}…`)
    }
    this.push('number', text)
  }

  protected script(sign: '^' | '_', run: string, from: string): undefined {
    this.push('sign', sign)
    this.push('sign', '{')
    const text = [...run].map((c) => RAISED[[...from].indexOf(c)]).join('')
    if (text.endsWith('n')) this.push('letter', 'n')
    else this.signed(text)
    this.push('sign', '}')
  }

  protected fraction([above, below]: [number, number]): undefined {
    this.push('command', 'frac')
    for (const n of [above, below]) {
      this.push('sign', '{')
      this.push('number', String(n))
      this.push('sign', '}')
    }
  }
}
