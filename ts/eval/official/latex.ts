/**
 * LaTeX formulas as the official graders' library reads them, so that their verdicts can be had without it: a letter
 * before a bracket is a function, `1/2x` is 1/(2x), an unknown command is a symbol, and what stands behind the longest
 * readable beginning is left out.
 */
import { type Token, tokensOf } from './latex-tokens.ts'

export type Expr =
  | { readonly kind: 'number'; readonly value: number; readonly isDecimal: boolean }
  | { readonly kind: 'symbol'; readonly name: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expr[] }
  | { readonly kind: 'relation'; readonly name: string; readonly left: Expr; readonly right: Expr }

export interface LatexDialect {
  /** Nothing may stand behind the formula; otherwise it is left out. */
  readonly whole?: boolean
  /** `\frac12` is read. */
  readonly bareFractions?: boolean
  /** `\sqrt2` is read; otherwise the formula ends before it, or is unreadable. */
  readonly bareRoots?: boolean
}

const RELATIONS: Readonly<Record<string, string>> = {
  ...{ '=': '=', '<': '<', '>': '>', le: '<=', leq: '<=', leqslant: '<=', ge: '>=', geq: '>=', geqslant: '>=' },
  ...{ neq: '!=' },
}
const TIMES = new Set(['*', 'times', 'cdot'])
const OVER = new Set(['/', ':', 'div'])
const FUNCTIONS = new Set([
  'sin',
  'cos',
  'tan',
  'csc',
  'sec',
  'cot',
  'arcsin',
  'arccos',
  'arctan',
  'sinh',
  'cosh',
  'tanh',
  'exp',
  'log',
  'ln',
  'lg',
])
const FRACTIONS = new Set(['frac', 'dfrac', 'tfrac'])

class Unreadable extends Error {}

export const call = (name: string, ...args: Expr[]): Expr => ({ kind: 'call', name, args })
const number = (text: string): Expr => ({ kind: 'number', value: Number(text), isDecimal: text.includes('.') })

/** Reads one formula from left to right. @throws Unreadable */
class Reader {
  readonly #tokens: readonly Token[]
  readonly #dialect: LatexDialect
  #at = 0

  constructor(tokens: readonly Token[], dialect: LatexDialect) {
    this.#tokens = tokens
    this.#dialect = dialect
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#tokens.length
  }

  get #next(): string {
    return this.#tokens[this.#at]?.text ?? ''
  }

  #take(text: string): boolean {
    if (this.#next !== text) return false
    this.#at++
    return true
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new Unreadable()
  }

  /** What `read` finds; where that fails, nothing was read. */
  #maybe<T>(read: () => T): T | undefined {
    const start = this.#at
    try {
      return read()
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
      this.#at = start
      return undefined
    }
  }

  relation(): Expr {
    let left = this.#sum()
    for (let name = RELATIONS[this.#next]; name !== undefined; name = RELATIONS[this.#next]) {
      this.#at++
      left = { kind: 'relation', name, left, right: this.#sum() }
    }
    return left
  }

  #sum(): Expr {
    let left = this.#product()
    while (this.#next === '+' || this.#next === '-') {
      const name = this.#next
      this.#at++
      const right = this.#product()
      left = call('+', left, name === '+' ? right : call('neg', right))
    }
    return left
  }

  #product(): Expr {
    let left = this.#signed()
    while (TIMES.has(this.#next) || OVER.has(this.#next)) {
      const isOver = OVER.has(this.#next)
      this.#at++
      left = call(isOver ? '/' : '*', left, this.#signed())
    }
    return left
  }

  #signed(): Expr {
    if (this.#take('+')) return this.#signed()
    if (this.#take('-')) return call('neg', this.#signed())
    return this.#juxtaposed()
  }

  #juxtaposed(): Expr {
    let left = this.#postfix()
    for (let more = this.#maybe(() => this.#postfix()); more; more = this.#maybe(() => this.#postfix()))
      left = call('*', left, more)
    return left
  }

  #postfix(): Expr {
    let value = this.#power()
    while (this.#take('!')) value = call('factorial', value)
    return value
  }

  #power(): Expr {
    let base = this.#atom()
    for (let exponent = this.#exponent(); exponent; exponent = this.#exponent()) base = call('^', base, exponent)
    return base
  }

  #exponent(): Expr | undefined {
    if (this.#next !== '^') return undefined
    return this.#maybe(() => {
      this.#at++
      return this.#next === '{' ? this.#group('{', '}') : this.#atom()
    })
  }

  #group(open: string, close: string): Expr {
    this.#expect(open)
    const inner = this.#sum()
    this.#expect(close)
    return inner
  }

  #atom(): Expr {
    const token = this.#tokens[this.#at]
    if (token === undefined) throw new Unreadable()
    if (token.kind === 'digit') return this.#number()
    if (token.kind === 'letter') return this.#named(token.text)
    if (token.kind === 'command') return this.#command(token.text)
    if (token.text === '(') return this.#group('(', ')')
    if (token.text === '[') return this.#group('[', ']')
    if (token.text === '{') return this.#group('{', '}')
    if (token.text === '\\{') return this.#group('\\{', '\\}')
    if (token.text === '|') return call('abs', this.#group('|', '|'))
    throw new Unreadable()
  }

  #digits(): string {
    let digits = ''
    for (; this.#tokens[this.#at]?.kind === 'digit'; this.#at++) digits += this.#next
    return digits
  }

  #number(): Expr {
    let text = this.#digits()
    const isDigit = (ahead: number) => this.#tokens[this.#at + ahead]?.kind === 'digit'
    while (this.#next === ',' && isDigit(1) && isDigit(2) && isDigit(3)) {
      this.#at++
      text += [0, 1, 2].map(() => this.#tokens[this.#at++]?.text).join('')
    }
    if (this.#next === '.') {
      if (!isDigit(1)) throw new Unreadable()
      this.#at++
      text += `.${this.#digits()}`
    }
    while (this.#take("'"));
    return number(text)
  }

  /** A letter or an unknown command with its index: a symbol, or a function where a bracket follows. */
  #named(name: string): Expr {
    this.#at++
    let full = name
    // A differential is one symbol.
    if (name === 'd' && this.#tokens[this.#at]?.kind === 'letter') full += this.#tokens[this.#at++]?.text
    if (this.#next === '_') {
      const index = this.#maybe(() => {
        this.#at++
        const start = this.#at
        if (this.#next === '{') this.#group('{', '}')
        else this.#at++
        return this.#tokens.slice(start, this.#at).map((t) => t.text)
      })
      if (index) full += `_${index.filter((t) => t !== '{' && t !== '}').join('')}`
    }
    while (this.#take("'")) full += "'"
    const args = this.#next === '(' ? this.#maybe(() => this.#arguments()) : undefined
    return args ? call(`f:${full}`, ...args) : { kind: 'symbol', name: full }
  }

  #arguments(): Expr[] {
    this.#expect('(')
    const args = [this.#sum()]
    while (this.#take(',')) args.push(this.#sum())
    this.#expect(')')
    return args
  }

  #command(name: string): Expr {
    if (FRACTIONS.has(name)) return this.#fraction()
    if (name === 'binom' || name === 'dbinom' || name === 'tbinom') {
      this.#at++
      return call('binomial', this.#group('{', '}'), this.#group('{', '}'))
    }
    if (name === 'sqrt') return this.#root()
    if (name === 'infty') {
      this.#at++
      return { kind: 'number', value: Number.POSITIVE_INFINITY, isDecimal: false }
    }
    if (FUNCTIONS.has(name)) return this.#function(name)
    if (name in RELATIONS || TIMES.has(name) || OVER.has(name)) throw new Unreadable()
    if (name === 'lfloor' || name === 'lceil') {
      this.#at++
      const inner = this.#sum()
      this.#expect(name === 'lfloor' ? 'rfloor' : 'rceil')
      return call(name === 'lfloor' ? 'floor' : 'ceil', inner)
    }
    if (name === 'rfloor' || name === 'rceil') throw new Unreadable()
    if (name === 'overline') {
      this.#at++
      return this.#group('{', '}')
    }
    return this.#named(name)
  }

  #fraction(): Expr {
    this.#at++
    const part = () => {
      if (this.#next === '{') return this.#group('{', '}')
      const token = this.#tokens[this.#at]
      if (!this.#dialect.bareFractions || token?.kind !== 'digit') throw new Unreadable()
      this.#at++
      return number(token.text)
    }
    return call('/', part(), part())
  }

  #root(): Expr {
    this.#at++
    const degree = this.#next === '[' ? this.#group('[', ']') : undefined
    const token = this.#tokens[this.#at]
    if (this.#next !== '{' && this.#dialect.bareRoots && (token?.kind === 'digit' || token?.kind === 'letter')) {
      this.#at++
      return call('sqrt', token.kind === 'digit' ? number(token.text) : { kind: 'symbol', name: token.text })
    }
    const base = this.#group('{', '}')
    return degree ? call('^', base, call('/', number('1'), degree)) : call('sqrt', base)
  }

  #function(name: string): Expr {
    this.#at++
    let base: Expr | undefined
    if (this.#take('_')) base = this.#next === '{' ? this.#group('{', '}') : this.#single()
    const power = this.#exponent()
    const arg = this.#next === '(' ? this.#group('(', ')') : this.#juxtaposedArgument()
    const isInverse = power?.kind === 'call' && power.name === 'neg' && name !== 'log' && name !== 'ln'
    const value = base ? call(name, arg, base) : call(isInverse ? `arc${name}` : name, arg)
    return power && !isInverse ? call('^', value, power) : value
  }

  /** Exactly one letter or digit. */
  #single(): Expr {
    const token = this.#tokens[this.#at++]
    if (token?.kind === 'digit') return number(token.text)
    if (token?.kind === 'letter') return { kind: 'symbol', name: token.text }
    throw new Unreadable()
  }

  #juxtaposedArgument(): Expr {
    let left = this.#power()
    for (;;) {
      if (FUNCTIONS.has(this.#next)) return left
      const more = this.#maybe(() => this.#power())
      if (!more) return left
      left = call('*', left, more)
    }
  }
}

/** @returns undefined for what the library cannot read */
export function parseLatex(text: string, dialect: LatexDialect = { bareFractions: true }): Expr | undefined {
  const tokens = tokensOf(text)
  if (!tokens || tokens.length > 2000) return undefined
  const reader = new Reader(tokens, dialect)
  try {
    const parsed = reader.relation()
    return dialect.whole && !reader.isAtEnd ? undefined : parsed
  } catch (error) {
    if (error instanceof Unreadable || error instanceof RangeError) return undefined
    throw error
  }
}
