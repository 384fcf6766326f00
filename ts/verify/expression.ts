/**
 * One expression of clean LaTeX -> the syntax of mathjs, with every product written out. LaTeX leaves products,
 * arguments and exponents of functions to the reader; mathjs then parses and evaluates without guessing.
 */
type Token = { kind: 'number' | 'letter' | 'command' | 'sign'; text: string }

export class NotAnExpression extends Error {}

const GREEK =
  /^(alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|upsilon|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega)$/
const FUNCTIONS: Record<string, string> = {
  sin: 'sin', cos: 'cos', tan: 'tan', cot: 'cot', sec: 'sec', csc: 'csc',
  arcsin: 'asin', arccos: 'acos', arctan: 'atan', sinh: 'sinh', cosh: 'cosh', tanh: 'tanh',
  ln: 'log', log: 'log10', lg: 'log10', exp: 'exp', min: 'min', max: 'max', gcd: 'gcd',
} // biome-ignore format: a table

function tokenize(latex: string): Token[] {
  const tokens: Token[] = []
  for (const m of latex.matchAll(/\s+|(\d+(?:\.\d+)?|\.\d+)|\\([a-zA-Z]+)|\\?(.)/gsu)) {
    if (m[1] !== undefined) tokens.push({ kind: 'number', text: m[1] })
    else if (m[2] !== undefined) tokens.push({ kind: 'command', text: m[2] })
    else if (m[3] !== undefined) tokens.push({ kind: /[a-zA-Z]/.test(m[3]) ? 'letter' : 'sign', text: m[3] })
  }
  return joinNames(tokens)
}

/** Plain-text function names (sqrt, sin, pi) arrive as single letters; they become commands. */
function joinNames(tokens: Token[]): Token[] {
  const out: Token[] = []
  for (let i = 0; i < tokens.length; i++) {
    let word = ''
    while (tokens[i + word.length]?.kind === 'letter') word += (tokens[i + word.length] as Token).text
    const name = /^(sqrt|arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|log|ln|exp|pi)/.exec(word)?.[1]
    if (name) {
      out.push({ kind: 'command', text: name })
      i += name.length - 1
    } else out.push(tokens[i] as Token)
  }
  return out
}

class Converter {
  readonly symbols = new Set<string>()
  #tokens: Token[]
  #at = 0

  constructor(tokens: Token[]) {
    this.#tokens = tokens
  }

  convert(): string {
    const code = this.#sum()
    if (this.#peek()) throw new NotAnExpression(`unexpected ${this.#peek()?.text}`)
    return code
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at]
  }

  #is(text: string, kind: Token['kind'] = 'sign'): boolean {
    const t = this.#peek()
    return t?.kind === kind && t.text === text
  }

  #take(text: string, kind: Token['kind'] = 'sign'): boolean {
    if (!this.#is(text, kind)) return false
    this.#at++
    return true
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new NotAnExpression(`${text} expected`)
  }

  #sum(): string {
    let code = ''
    for (;;) {
      let sign = ''
      while (this.#is('+') || this.#is('-')) {
        if (this.#is('-')) sign = sign === '-' ? '+' : '-'
        else sign ||= '+'
        this.#at++
      }
      if (code !== '' && sign === '') return code
      code += sign + this.#product()
      if (!this.#is('+') && !this.#is('-')) return code
    }
  }

  #product(): string {
    let code = this.#factor()
    for (;;) {
      if (this.#take('*') || this.#take('cdot', 'command') || this.#take('times', 'command')) code += `*${this.#signed()}`
      else if (this.#take('/') || this.#take('div', 'command') || this.#take(':')) code += `/${this.#signed()}`
      else if (/^\d+$/.test(code) && this.#isPlainFraction()) code = `(${code}+${this.#plainFraction()})`
      else if (this.#startsFactor()) code += `*${this.#factor()}`
      else return code
    }
  }

  /** A whole number in front of a fraction of two numbers is a mixed number: 2 1/3. */
  #isPlainFraction(): boolean {
    const [above, line, below] = this.#tokens.slice(this.#at, this.#at + 3)
    if (above?.kind === 'number') return line?.text === '/' && below?.kind === 'number'
    if (!this.#is('frac', 'command')) return false
    const rest = this.#tokens.slice(this.#at + 1, this.#at + 7).map((t) => (t.kind === 'number' ? '0' : t.text))
    return /^(?:\{0\}|0){2}/.test(rest.join(''))
  }

  #plainFraction(): string {
    const fraction = this.#factor()
    return this.#take('/') ? `${fraction}/${this.#factor()}` : fraction
  }

  /** Behind an explicit operator a sign may stand: 2·-3. */
  #signed(): string {
    return this.#take('-') ? `(-${this.#factor()})` : this.#factor()
  }

  #startsFactor(): boolean {
    const t = this.#peek()
    if (!t) return false
    if (t.kind === 'sign') return '([{|'.includes(t.text) && !(t.text === '|' && this.#depthOfBars > 0)
    return t.kind !== 'command' || !['cdot', 'times', 'div', 'pm', 'mp', 'end', 'rfloor', 'rceil'].includes(t.text)
  }

  #depthOfBars = 0

  #factor(): string {
    let code = this.#atom()
    for (;;) {
      if (this.#take('^')) code = `(${code})^(${this.#argument()})`
      else if (this.#take('!')) code = `factorial(${code})`
      else if (this.#take('%')) code = `((${code})/100)`
      else return code
    }
  }

  /** A braced group or a single token, as ^ and _ and \frac take them. */
  #argument(): string {
    if (this.#take('{')) {
      const code = this.#sum()
      this.#expect('}')
      return code
    }
    const t = this.#peek()
    if (t?.kind === 'number' && t.text.length > 1 && !t.text.includes('.')) {
      // \frac12: each digit is an argument of its own
      this.#tokens.splice(this.#at, 1, { kind: 'number', text: t.text[0] as string }, { kind: 'number', text: t.text.slice(1) })
    }
    return this.#take('-') ? `-${this.#atom()}` : this.#atom()
  }

  #atom(): string {
    const t = this.#peek()
    if (!t) throw new NotAnExpression('an expression ends too early')
    this.#at++
    if (t.kind === 'number') return t.text
    if (t.kind === 'letter') return this.#symbol(t.text)
    if (t.kind === 'command') return this.#command(t.text)
    const close = { '(': ')', '[': ']', '{': '}' }[t.text]
    if (close) {
      const code = this.#sum()
      this.#expect(close)
      return `(${code})`
    }
    if (t.text === '|') {
      this.#depthOfBars++
      const code = this.#sum()
      this.#depthOfBars--
      this.#expect('|')
      return `abs(${code})`
    }
    throw new NotAnExpression(`unexpected ${t.text}`)
  }

  /** A name with its subscript; e and i are the constants. */
  #symbol(name: string): string {
    let subscript = ''
    if (this.#take('_')) {
      if (this.#take('{')) {
        for (; !this.#is('}'); this.#at++) {
          if (!this.#peek()) throw new NotAnExpression('} expected')
          subscript += this.#peek()?.text.replace(/\W/g, '_')
        }
        this.#at++
      } else subscript = this.#tokens[this.#at++]?.text.replace(/\W/g, '_') ?? ''
    }
    if (name === 'e' && subscript === '') return 'e'
    const symbol = `v_${name}${subscript && `_${subscript}`}`
    this.symbols.add(symbol)
    return symbol
  }

  #command(name: string): string {
    if (name === 'frac') return `((${this.#argument()})/(${this.#argument()}))`
    if (name === 'binom') return `combinations(${this.#argument()},${this.#argument()})`
    if (name === 'sqrt') return this.#root()
    if (name === 'pi') return 'pi'
    if (name === 'infty') return 'Infinity'
    if (name === 'lfloor' || name === 'lceil') {
      const code = this.#sum()
      if (!this.#take(name === 'lfloor' ? 'rfloor' : 'rceil', 'command')) throw new NotAnExpression(`\\${name} is not closed`)
      return `${name === 'lfloor' ? 'floor' : 'ceil'}(${code})`
    }
    if (Object.hasOwn(FUNCTIONS, name)) return this.#call(name)
    if (GREEK.test(name) || name.startsWith('mathbb')) return this.#symbol(name)
    throw new NotAnExpression(`\\${name} is not known`)
  }

  #root(): string {
    if (!this.#take('[')) return `sqrt(${this.#argument()})`
    const degree = this.#sum()
    this.#expect(']')
    return `nthRoot(${this.#argument()},${degree})`
  }

  /** sin^2 x, \log_2 8, sin(x), 2 \sin b \cos a: without brackets the argument reaches to the next function or sum. */
  #call(name: string): string {
    let power = ''
    let base = ''
    for (;;) {
      if (this.#take('^')) power = this.#argument()
      else if (this.#take('_')) base = this.#argument()
      else break
    }
    let argument: string
    if (this.#is('(') || this.#is('{')) argument = this.#atom()
    else {
      argument = this.#factor()
      while (this.#startsFactor() && !(this.#peek()?.kind === 'command' && Object.hasOwn(FUNCTIONS, this.#peek()?.text ?? ''))) {
        argument += `*${this.#factor()}`
      }
    }
    const call = base ? `log(${argument},${base})` : `${FUNCTIONS[name]}(${argument})`
    return power === '-1' ? `a${call}` : power ? `((${call})^(${power}))` : call
  }
}

export interface Expression {
  /** For mathjs. */
  code: string
  symbols: readonly string[]
}

/** @throws NotAnExpression */
export function toExpression(latex: string): Expression {
  const converter = new Converter(tokenize(latex))
  const code = converter.convert()
  return { code, symbols: [...converter.symbols].sort() }
}
