/**
 * Tokens of one expression -> its tree. LaTeX leaves products, the arguments of functions and mixed numbers to the
 * reader: what a reader of school mathematics would see is written out here.
 */
import { MAX_DEPTH, spend, Undecided } from './limits.ts'
import { divide, fraction, fromDecimal, type Rational, add as sum, whole } from './rational.ts'
import type { Token } from './tokens.ts'
import { call, type Decimal, type Node, negative, number, operation, renamed, symbolsOf } from './tree.ts'

/** Is no expression: words, an unknown command, a formula that ends too early. */
export class NotAnExpression extends Error {}

const GREEK = new Set(
  (
    'alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega ' +
    'Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar R Z N Q unit-i unit-j unit-k'
  ).split(' '),
)
const FUNCTIONS = new Set(
  (
    'sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh ln log lg exp min max gcd lcm det abs floor ceil ' +
    'overline arg Re Im'
  ).split(' '),
)
const INVERSE: Record<string, string> = { sin: 'arcsin', cos: 'arccos', tan: 'arctan' }
export class Parser {
  /** WHY its own: what is left of a split word goes back. */
  readonly #tokens: Token[]
  /** What ± stands for; ∓ is the other one. */
  readonly #plusMinus: 1 | -1
  #at: number
  #end: number
  #depth = 0
  #bars = 0
  /** Indices of sums: there an i is no imaginary unit. */
  readonly #indices = new Set<string>()

  constructor(tokens: readonly Token[], plusMinus: 1 | -1 = 1) {
    this.#tokens = [...tokens]
    this.#plusMinus = plusMinus
    this.#at = 0
    this.#end = tokens.length
  }

  /** The whole of the tokens. @throws NotAnExpression */
  expression(): Node {
    const node = this.#sum()
    if (this.#at < this.#end) throw new NotAnExpression(`unexpected ${this.#peek()?.text}`)
    return node
  }

  #peek(ahead = 0): Token | undefined {
    return this.#at + ahead < this.#end ? this.#tokens[this.#at + ahead] : undefined
  }

  #is(text: string, kind: Token['kind'] = 'sign'): boolean {
    const t = this.#peek()
    return t !== undefined && t.kind === kind && t.text === text
  }

  #take(text: string, kind: Token['kind'] = 'sign'): boolean {
    if (!this.#is(text, kind)) return false
    this.#at++
    return true
  }

  #expect(text: string, kind: Token['kind'] = 'sign'): void {
    if (!this.#take(text, kind)) throw new NotAnExpression(`${text} expected`)
  }

  #sum(): Node {
    if (++this.#depth > MAX_DEPTH) throw new Undecided('an expression is too deep')
    spend(50)
    const terms: Node[] = []
    do {
      const sign = this.#signs()
      if (terms.length > 0 && sign === 0) break
      const term = this.#modulo()
      terms.push(sign < 0 ? negative(term) : term)
    } while (this.#isSign())
    this.#depth--
    return terms.length === 1 ? (terms[0] as Node) : operation('add', terms)
  }

  #isSign = (): boolean => this.#is('+') || this.#is('-') || this.#is('±') || this.#is('∓')

  /** The product of all signs that stand here, 0 for none. */
  #signs(): number {
    let sign = 0
    while (this.#isSign()) {
      const t = (this.#tokens[this.#at++] as Token).text
      const value = t === '+' ? 1 : t === '-' ? -1 : t === '±' ? this.#plusMinus : -this.#plusMinus
      sign = (sign || 1) * value
    }
    return sign
  }

  #modulo(): Node {
    const left = this.#product()
    return this.#take('mod') ? call('mod', left, this.#product()) : left
  }

  #product(): Node {
    let node: Node = this.#factor()
    for (;;) {
      const isPlain = isPlainNumber(this.#tokens[this.#at - 1])
      if (this.#take('*')) node = times(node, this.#signed())
      else if (this.#take('/')) node = operation('divide', [node, this.#divisor()])
      else if (node.op === 'number' && isPlain && this.#isPlainFraction())
        node = this.#marked(operation('add', [node, this.#plainFraction()]))
      else if (this.#startsFactor()) {
        if (isPlain && this.#peek()?.kind === 'number') throw new NotAnExpression('two numbers in a row')
        node = times(node, this.#factor())
      } else return node
    }
  }

  /** Behind a slash what is written together stays together where only letters do: 1/2x is x/2, a/bc is a/(bc). */
  #divisor(): Node {
    const node = this.#signed()
    if (node.op === 'number' || (this.#tokens[this.#at - 1] as Token).text === ')') return node
    let product: Node = node
    while (this.#startsFactor() && this.#peek()?.spaced === false && this.#peek()?.kind !== 'sign') {
      product = operation('multiply', [product, this.#factor()])
    }
    return product
  }

  /** A whole number in front of a fraction of two numbers is a mixed number: 2 1/3. */
  #isPlainFraction(): boolean {
    const [above, line, below] = [this.#peek(), this.#peek(1), this.#peek(2)]
    if (above?.kind === 'number') return line?.text === '/' && below?.kind === 'number' && above.spaced
    if (!this.#is('frac', 'command')) return false
    let at = 1
    for (let part = 0; part < 2; part++) {
      const isBraced = this.#peek(at)?.text === '{'
      if (isBraced) at++
      if (this.#peek(at)?.kind !== 'number') return false
      at += isBraced ? 2 : 1
      if (isBraced && this.#peek(at - 1)?.text !== '}') return false
      // \frac12: both digits are one token
      if (!isBraced && part === 0 && (this.#peek(at - 1) as Token).text.length > 1) return true
    }
    return true
  }

  #plainFraction(): Node {
    const above = this.#atom()
    return this.#take('/') ? operation('divide', [above, this.#atom()]) : above
  }

  /** Behind an explicit operator a sign may stand: 2·-3. */
  #signed(): Node {
    const sign = this.#signs()
    const factor = this.#factor()
    return sign < 0 ? negative(factor) : factor
  }

  #startsFactor(): boolean {
    const t = this.#peek()
    if (!t) return false
    if (t.kind === 'sign') return '([{|'.includes(t.text) && !(t.text === '|' && this.#bars > 0)
    if (t.kind === 'word') return isShort(t)
    return (
      t.kind !== 'text' &&
      t.kind !== 'end' &&
      t.text !== 'rfloor' &&
      t.text !== 'rceil' &&
      t.text !== 'choose' &&
      t.text !== 'over'
    )
  }

  #factor(): Node {
    if (++this.#depth > MAX_DEPTH) throw new Undecided('an expression is too deep')
    const node = this.#marked(this.#atom())
    this.#depth--
    return node
  }

  /** With what is set behind it: exponents, factorials, per cent, degrees. */
  #marked(inner: Node): Node {
    let node = inner
    for (;;) {
      if (this.#take('^')) node = operation('power', [node, this.#argument()])
      else if (this.#take('!')) node = this.#take('!') ? call('double-factorial', node) : call('factorial', node)
      else if (this.#take('%')) node = operation('divide', [node, number(100)])
      else if (this.#take('°')) node = this.#degrees(node)
      else if (this.#take('⊤')) node = call('transpose', node)
      else return node
    }
  }

  /** 35°30′18″ */
  #degrees(whole: Node): Node {
    const parts = [whole]
    for (const [i, mark] of ['′', '″'].entries()) {
      if (this.#peek()?.kind !== 'number' || this.#peek(1)?.text !== mark) continue
      parts.push(operation('divide', [this.#atom(), number(60 ** (i + 1))]))
      this.#at++
    }
    return operation('degrees', [parts.length === 1 ? whole : operation('add', parts)])
  }

  /** A braced group or a single token, as ^ and \frac take them. */
  #argument(): Node {
    if (this.#take('{')) {
      const node = this.#sum()
      this.#expect('}')
      return node
    }
    const sign = this.#signs()
    this.#splitWord()
    const node = this.#atom()
    return sign < 0 ? negative(node) : node
  }

  /** e^xe^y: an argument without braces is one letter. */
  #splitWord(): void {
    const t = this.#peek()
    if (t?.kind !== 'word' || !/^[a-z]{2,3}$/.test(t.text)) return
    const rest: Token = { ...t, text: t.text.slice(1), kind: t.text.length > 2 ? 'word' : 'letter', spaced: false }
    this.#tokens.splice(this.#at, 1, { ...t, text: t.text[0] as string, kind: 'letter' }, rest)
    this.#end++
  }

  /** Both arguments of \frac and \binom. In \frac12 each digit is one. */
  #twoArguments(): [Node, Node] {
    const t = this.#peek()
    if (t?.kind === 'number' && /^\d{2,}$/.test(t.text)) {
      this.#at++
      return [number(Number(t.text[0])), number(BigInt(t.text.slice(1)))]
    }
    return [this.#argument(), this.#argument()]
  }

  #atom(): Node {
    const t = this.#peek()
    if (!t) throw new NotAnExpression('an expression ends too early')
    if (t.kind === 'begin') return this.#matrix()
    this.#at++
    if (t.kind === 'number') return this.#number(t.text)
    if (t.kind === 'letter') return this.#symbol(t.text)
    if (t.kind === 'word') return this.#letters(t)
    if (t.kind === 'command') return this.#command(t.text)
    const close = { '(': ')', '[': ']', '{': '}' }[t.text]
    if (close && t.kind === 'sign') return this.#group(close)
    if (t.text === '|' && t.kind === 'sign') return this.#absolute()
    throw new NotAnExpression(`unexpected ${t.text}`)
  }

  #group(close: string): Node {
    const bars = this.#bars
    this.#bars = 0
    const node = this.#sum()
    if (close === '}' && this.#take('over', 'command')) {
      const under = this.#sum()
      this.#expect(close)
      return operation('divide', [node, under])
    }
    if (close === '}' && this.#take('choose', 'command')) {
      const below = this.#sum()
      this.#expect(close)
      return call('binomial', node, below)
    }
    this.#expect(close)
    this.#bars = bars
    return node
  }

  #absolute(): Node {
    this.#bars++
    const node = this.#sum()
    this.#bars--
    this.#expect('|')
    return call('abs', node)
  }

  #number(text: string): Node {
    if (this.#is('_')) return this.#based(text)
    const [digits, period] = text.split('r') as [string, string | undefined]
    if (period !== undefined) return { op: 'number', value: repeating(digits, period) }
    const isCut = digits.endsWith('…')
    const plain = isCut ? digits.slice(0, -1) : digits
    const value = fromDecimal(plain)
    return plain.includes('.') ? { op: 'number', value, decimal: decimalOf(plain, isCut) } : { op: 'number', value }
  }

  /** 1011_2 or 1011_{2}; with (2) as well. */
  #based(text: string): Node {
    this.#at++
    const base = this.#argument()
    if (base.op !== 'number' || base.value.d !== 1n || base.value.n < 2n || base.value.n > 36n)
      throw new NotAnExpression('no base')
    let value = 0n
    for (const c of text) {
      const digit = Number.parseInt(c, 36)
      if (!(digit < Number(base.value.n))) throw new NotAnExpression(`no digit in base ${base.value.n}: ${c}`)
      value = value * base.value.n + BigInt(digit)
    }
    return number(value)
  }

  /** A name with its subscript and primes; e and i are the constants. */
  #symbol(letter: string): Node {
    if (/^[CPA]$/.test(letter)) {
      const count = this.#count(letter)
      if (count) return count
    }
    let name = letter
    if (this.#take('_')) name += `_${this.#subscript()}`
    while (this.#take('′')) name += '′'
    if ((name === 'e' || name === 'i') && !this.#indices.has(name)) return { op: 'constant', name }
    return { op: 'symbol', name }
  }

  #subscript(): string {
    if (!this.#take('{')) return this.#tokens[this.#at] ? (this.#tokens[this.#at++] as Token).text : ''
    let text = ''
    for (let depth = 1; ; this.#at++) {
      const t = this.#peek()
      if (!t) throw new NotAnExpression('} expected')
      if (t.text === '{') depth++
      if (t.text === '}' && --depth === 0) break
      text += t.text
    }
    this.#at++
    return text
  }

  /** C_6^2, C^2_6, P_5^2, A_5^2: how many ways. */
  #count(letter: string): Node | undefined {
    const start = this.#at
    try {
      const first = this.#script()
      const second = first && this.#script()
      if (first && second && first.sign !== second.sign) {
        const [below, above] = first.sign === '_' ? [first.node, second.node] : [second.node, first.node]
        const isSwapped = below.op === 'number' && above.op === 'number' && below.value.n < above.value.n
        const [n, k] = isSwapped ? [above, below] : [below, above]
        if (n.op === 'number' || letter === 'C') return call(letter === 'C' ? 'binomial' : 'permutations', n, k)
      }
    } catch (error) {
      if (!(error instanceof NotAnExpression)) throw error
    }
    this.#at = start
    return undefined
  }

  #script(): { sign: string; node: Node } | undefined {
    const sign = this.#is('_') ? '_' : this.#is('^') ? '^' : undefined
    if (!sign) return undefined
    this.#at++
    return { sign, node: this.#argument() }
  }

  /** Capitals in a row name one thing (AB is a segment); small letters are a product. */
  #letters(t: Token): Node {
    if (/^[A-Z]{2,}$/.test(t.text)) {
      let name = t.text.length === 2 ? [...t.text].sort().join('') : t.text
      if (this.#take('_')) name += `_${this.#subscript()}`
      return { op: 'symbol', name }
    }
    if (!isShort(t)) throw new NotAnExpression(`a word: ${t.text}`)
    // The last letter takes what follows: ab^2 is a·b².
    const letters = [...t.text]
    const last = letters.pop() as string
    const nodes = letters.map((c): Node => (c === 'e' || c === 'i' ? { op: 'constant', name: c } : { op: 'symbol', name: c }))
    let node = this.#symbol(last)
    if (this.#take('^')) node = operation('power', [node, this.#argument()])
    return operation('multiply', [...nodes, node])
  }

  #command(name: string): Node {
    if (name === 'frac') return operation('divide', this.#twoArguments())
    if (name === 'binom') return call('binomial', ...(this.#is('(') ? this.#list() : this.#twoArguments()))
    if (name === 'sqrt') return this.#root()
    if (name === 'cbrt') return operation('root', [this.#argument(), number(3)])
    if (name === 'pi') return { op: 'constant', name: 'pi' }
    if (name === 'infty') return { op: 'constant', name: 'infinity' }
    if (name === 'sum' || name === 'prod') return this.#range(name === 'sum' ? 'sum' : 'product')
    if (name === 'lfloor' || name === 'lceil') {
      const inner = this.#sum()
      this.#expect(name === 'lfloor' ? 'rfloor' : 'rceil', 'command')
      return call(name === 'lfloor' ? 'floor' : 'ceil', inner)
    }
    if (name === 'imath' || name === 'jmath') return { op: 'symbol', name: name[0] as string }
    if (FUNCTIONS.has(name)) return this.#call(name)
    if (GREEK.has(name)) return this.#symbol(`\\${name}`)
    throw new NotAnExpression(`\\${name} is not known`)
  }

  #root(): Node {
    let degree: Node = number(2)
    if (this.#take('[')) {
      degree = this.#sum()
      this.#expect(']')
    }
    return operation('root', [this.#argument(), degree])
  }

  /** (a, b, …) behind a function's name. */
  #list(): Node[] {
    this.#at++
    const items = [this.#sum()]
    while (this.#take(',')) items.push(this.#sum())
    this.#expect(')')
    return items
  }

  /** sin^2 x, \log_2 8, 2 \sin b \cos a: without brackets the argument reaches to the next function or sum. */
  #call(name: string): Node {
    let power: Node | undefined
    let base: Node | undefined
    for (;;) {
      if (this.#take('^')) power = this.#argument()
      else if (this.#take('_')) base = this.#argument()
      else break
    }
    const args = this.#arguments(name)
    if (name === 'overline') return conjugated(args[0] as Node)
    const isInverse = power?.op === 'multiply' && INVERSE[name] !== undefined
    const node = base ? call('log', args[0] as Node, base) : call(isInverse ? (INVERSE[name] as string) : name, ...args)
    return power && !isInverse ? operation('power', [node, power]) : node
  }

  #arguments(name: string): Node[] {
    if (this.#is('(')) return this.#list()
    if (this.#is('{') || this.#is('[')) return [this.#atom()]
    if (name === 'overline') return [this.#argument()]
    if (++this.#depth > MAX_DEPTH) throw new Undecided('an expression is too deep')
    let argument = this.#isSign() ? this.#signed() : this.#factor()
    while ((this.#startsFactor() && !this.#startsCall()) || this.#continues()) {
      if (this.#take('/')) argument = operation('divide', [argument, this.#signed()])
      else argument = operation('multiply', [argument, this.#factor()])
    }
    this.#depth--
    return [argument]
  }

  #startsCall = (): boolean => this.#peek()?.kind === 'command' && FUNCTIONS.has(this.#peek()?.text as string)

  /** sin π/3 is the sine of a third of π, where nothing else is possible. */
  #continues(): boolean {
    const before = this.#tokens[this.#at - 1] as Token
    return this.#is('/') && before.text === 'pi' && this.#peek(1)?.kind === 'number'
  }

  /** \sum_{k=1}^{n} k: the index, both ends, and the product that follows. */
  #range(op: 'sum' | 'product'): Node {
    this.#expect('_')
    this.#expect('{')
    const index = this.#peek()
    this.#at++
    if (index?.kind !== 'letter') throw new NotAnExpression('an index expected')
    this.#indices.add(index.text)
    this.#expect('=')
    const from = this.#sum()
    this.#expect('}')
    this.#expect('^')
    const to = this.#argument()
    return operation(op, [from, to, this.#product()], index.text)
  }

  #matrix(): Node {
    const name = (this.#tokens[this.#at++] as Token).text
    if (!/^(?:[pbvBV]?matrix|array|smallmatrix)$/.test(name)) throw new NotAnExpression(`${name} is no matrix`)
    const rows: Node[][] = [[]]
    while (!this.#take(name, 'end')) {
      if (this.#take('\\\\')) rows.push([])
      else if (this.#take('&')) continue
      else {
        const before = this.#tokens[this.#at - 1] as Token
        if (this.#is('hline', 'command')) this.#at++
        else if (before.text !== '&' && before.text !== '\\\\' && before.kind !== 'begin') throw new NotAnExpression('& expected')
        else (rows.at(-1) as Node[]).push(this.#sum())
      }
    }
    const full = rows.filter((row) => row.length > 0)
    if (full.length === 0 || full.some((row) => row.length !== full[0]?.length)) throw new NotAnExpression('no rectangle')
    const matrix: Node = { op: 'matrix', rows: full }
    return name === 'vmatrix' ? call('det', matrix) : matrix
  }
}

/** A long product is flat: its depth would otherwise be its length. */
const times = (a: Node, b: Node): Node =>
  a.op === 'multiply' && a.args.length > 1 ? { ...a, args: [...a.args, b] } : operation('multiply', [a, b])

/** Of an unknown, a conjugate is another unknown: points are real. */
function conjugated(node: Node): Node {
  const names = [...symbolsOf(node)]
  return call('overline', renamed(node, new Map(names.map((name) => [name, `conjugate ${name}`]))))
}

const isPlainNumber = (t: Token | undefined): boolean => t?.kind === 'number'

/** So few small letters are a product, or a name in capitals. */
const isShort = (t: Token): boolean => t.text.length <= 3 || /^[A-Z]{2,6}$/.test(t.text)

function decimalOf(text: string, isCut: boolean): Decimal {
  const places = text.length - text.indexOf('.') - 1
  return { digits: text.replace('.', '').replace(/^0+/, '').length, places, isCut }
}

/** 0.1 and 6 are 0.1666… */
function repeating(digits: string, period: string): Rational {
  const places = digits.length - digits.indexOf('.') - 1
  const tail = fraction(BigInt(period || '0'), 10n ** BigInt(period.length) - 1n)
  return sum(fromDecimal(digits), divide(tail, whole(10n ** BigInt(places))))
}
