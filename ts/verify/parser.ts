/**
 * Tokens of one expression -> its tree. LaTeX leaves products, the arguments of functions and mixed numbers to the
 * reader: what a reader of school mathematics would see is written out here.
 */
import { NotAnExpression } from './cursor.ts'
import { inBase, readDigits } from './digits.ts'
import { MAX_DEPTH, Undecided } from './limits.ts'
import { isShort, Terms } from './terms.ts'
import type { Token } from './token.ts'
import { call, type Node, number, operation, renamed, symbolsOf } from './tree.ts'

export { NotAnExpression } from './cursor.ts'

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

export class Parser extends Terms {
  /** Indices of sums: there an i is no imaginary unit. */
  protected readonly indices = new Set<string>()

  /** The whole of the tokens. @throws NotAnExpression */
  expression(): Node {
    const node = this.sum()
    if (this.at < this.end) throw new NotAnExpression(`unexpected ${this.peek()?.text}`)
    return node
  }

  protected atom(): Node {
    const t = this.peek()
    if (!t) throw new NotAnExpression('an expression ends too early')
    if (t.kind === 'begin') return this.matrix()
    this.at++
    if (t.kind === 'number') return this.number(t.text)
    if (t.kind === 'letter') return this.symbol(t.text)
    if (t.kind === 'word') return this.letters(t)
    if (t.kind === 'command') return this.command(t.text)
    const isEmpty = t.kind === 'sign' && t.text === '{' && this.take('}')
    if (isEmpty && (this.is('_') || this.is('^'))) return this.countAfter()
    if (t.kind === 'sign' && (t.text === '_' || t.text === '^')) {
      this.at--
      return this.countAfter()
    }
    const close = { '(': ')', '[': ']', '{': '}' }[t.text]
    if (close && t.kind === 'sign') return this.group(close)
    if (t.text === '|' && t.kind === 'sign') return this.absolute()
    throw new NotAnExpression(`unexpected ${t.text}`)
  }

  protected group(close: string): Node {
    const bars = this.bars
    this.bars = 0
    const node = this.sum()
    if (close === '}' && this.take('over', 'command')) {
      const under = this.sum()
      this.expect(close)
      return operation('divide', [node, under])
    }
    if (close === '}' && this.take('choose', 'command')) {
      const below = this.sum()
      this.expect(close)
      return call('binomial', node, below)
    }
    this.expect(close)
    this.bars = bars
    return node
  }

  protected absolute(): Node {
    this.bars++
    const node = this.sum()
    this.bars--
    this.expect('|')
    return call('abs', node)
  }

  /** A name with its subscript and primes; e and i are the constants. */
  protected symbol(letter: string): Node {
    if (/^[CPA]$/.test(letter)) {
      const count = this.count(letter)
      if (count) return count
    }
    let name = letter
    if (this.take('_')) name += `_${this.subscript()}`
    while (this.take('′')) name += '′'
    if ((name === 'e' || name === 'i') && !this.indices.has(name)) return { op: 'constant', name }
    return { op: 'symbol', name }
  }

  /** C_6^2, C^2_6, P_5^2, A_5^2: how many ways. */
  protected count(letter: string): Node | undefined {
    const start = this.at
    try {
      const first = this.script()
      const second = first && this.script()
      if (first && second && first.sign !== second.sign) {
        const [below, above] = first.sign === '_' ? [first.node, second.node] : [second.node, first.node]
        const isSwapped = below.op === 'number' && above.op === 'number' && below.value.n < above.value.n
        const [n, k] = isSwapped ? [above, below] : [below, above]
        if (n.op === 'number' || letter === 'C') return call(letter === 'C' ? 'binomial' : 'permutations', n, k)
      }
    } catch (error) {
      if (!(error instanceof NotAnExpression)) throw error
    }
    this.at = start
    return undefined
  }

  /** {}_8C_3, ^8P_3 */
  protected countAfter(): Node {
    const total = this.script()
    const letter = this.peek()?.text ?? ''
    if (!total || !/^[CPA]$/.test(letter)) throw new NotAnExpression('C, P or A expected')
    this.at++
    const chosen = this.script()
    if (!chosen) throw new NotAnExpression('a number below expected')
    return call(letter === 'C' ? 'binomial' : 'permutations', total.node, chosen.node)
  }

  protected script(): { sign: string; node: Node } | undefined {
    const sign = this.is('_') ? '_' : this.is('^') ? '^' : undefined
    if (!sign) return undefined
    this.at++
    return { sign, node: this.argument() }
  }

  /** Capitals in a row name one thing (AB is a segment); small letters are a product. */
  protected letters(t: Token): Node {
    if (/^[A-Z]{2,}$/.test(t.text)) {
      let name = t.text.length === 2 ? [...t.text].sort().join('') : t.text
      if (this.take('_')) name += `_${this.subscript()}`
      return { op: 'symbol', name }
    }
    if (!isShort(t)) throw new NotAnExpression(`a word: ${t.text}`)
    // The last letter takes what follows: ab^2 is a·b².
    const letters = [...t.text]
    const last = letters.pop() as string
    const nodes = letters.map((c): Node => (c === 'e' || c === 'i' ? { op: 'constant', name: c } : { op: 'symbol', name: c }))
    let node = this.symbol(last)
    if (this.take('^')) node = operation('power', [node, this.argument()])
    return operation('multiply', [...nodes, node])
  }

  protected command(name: string): Node {
    if (name === 'frac') return operation('divide', this.twoArguments())
    if (name === 'binom') return call('binomial', ...(this.is('(') ? this.list() : this.twoArguments()))
    if (name === 'sqrt') return this.root()
    if (name === 'cbrt') return operation('root', [this.argument(), number(3)])
    if (name === 'pi') return { op: 'constant', name: 'pi' }
    if (name === 'infty') return { op: 'constant', name: 'infinity' }
    if (name === 'sum' || name === 'prod') return this.range(name === 'sum' ? 'sum' : 'product')
    if (name === 'lfloor' || name === 'lceil') {
      const inner = this.sum()
      this.expect(name === 'lfloor' ? 'rfloor' : 'rceil', 'command')
      return call(name === 'lfloor' ? 'floor' : 'ceil', inner)
    }
    if (name === 'imath' || name === 'jmath') return { op: 'symbol', name: name[0] as string }
    if (FUNCTIONS.has(name)) return this.call(name)
    if (name.startsWith('arrow.')) return { op: 'symbol', name }
    if (GREEK.has(name)) return this.symbol(`\\${name}`)
    throw new NotAnExpression(`\\${name} is not known`)
  }

  protected root(): Node {
    let degree: Node = number(2)
    if (this.take('[')) {
      degree = this.sum()
      this.expect(']')
    }
    return operation('root', [this.argument(), degree])
  }

  /** (a, b, …) behind a function's name. */
  protected list(): Node[] {
    this.at++
    const items = [this.sum()]
    while (this.take(',')) items.push(this.sum())
    this.expect(')')
    return items
  }

  /** sin^2 x, \log_2 8, 2 \sin b \cos a: without brackets the argument reaches to the next function or sum. */
  protected call(name: string): Node {
    let power: Node | undefined
    let base: Node | undefined
    for (;;) {
      if (this.take('^')) power = this.argument()
      else if (this.take('_')) base = this.argument()
      else break
    }
    const args = this.arguments(name)
    if (name === 'overline') return conjugated(args[0] as Node)
    const isInverse = power?.op === 'multiply' && INVERSE[name] !== undefined
    const node = base ? call('log', args[0] as Node, base) : call(isInverse ? (INVERSE[name] as string) : name, ...args)
    return power && !isInverse ? operation('power', [node, power]) : node
  }

  protected arguments(name: string): Node[] {
    if (this.is('(')) return this.list()
    if (this.is('{') || this.is('[')) return [this.atom()]
    if (name === 'overline') return [this.argument()]
    if (++this.depth > MAX_DEPTH) throw new Undecided('an expression is too deep')
    let argument = this.isSign() ? this.signed() : this.factor()
    while ((this.startsFactor() && !this.startsCall()) || this.continues()) {
      if (this.take('/')) argument = operation('divide', [argument, this.signed()])
      else argument = operation('multiply', [argument, this.factor()])
    }
    this.depth--
    return [argument]
  }

  protected startsCall = (): boolean => this.peek()?.kind === 'command' && FUNCTIONS.has(this.peek()?.text as string)

  /** sin π/3 is the sine of a third of π, where nothing else is possible. */
  protected continues(): boolean {
    const before = this.tokens[this.at - 1] as Token
    return this.is('/') && before.text === 'pi' && this.peek(1)?.kind === 'number'
  }

  /** \sum_{k=1}^{n} k: the index, both ends, and the product that follows. */
  protected range(op: 'sum' | 'product'): Node {
    this.expect('_')
    this.expect('{')
    const index = this.peek()
    this.at++
    if (index?.kind !== 'letter') throw new NotAnExpression('an index expected')
    this.indices.add(index.text)
    this.expect('=')
    const from = this.sum()
    this.expect('}')
    this.expect('^')
    const to = this.argument()
    return operation(op, [from, to, this.product()], index.text)
  }

  protected matrix(): Node {
    const name = (this.tokens[this.at++] as Token).text
    if (!/^(?:[pbvBV]?matrix|array|smallmatrix)$/.test(name)) throw new NotAnExpression(`${name} is no matrix`)
    const rows: Node[][] = [[]]
    while (!this.take(name, 'end')) {
      if (this.take('\\\\')) rows.push([])
      else if (this.take('&')) continue
      else {
        const before = this.tokens[this.at - 1] as Token
        if (this.is('hline', 'command')) this.at++
        else if (before.text !== '&' && before.text !== '\\\\' && before.kind !== 'begin') throw new NotAnExpression('& expected')
        else (rows.at(-1) as Node[]).push(this.sum())
      }
    }
    const full = rows.filter((row) => row.length > 0)
    if (full.length === 0 || full.some((row) => row.length !== full[0]?.length)) throw new NotAnExpression('no rectangle')
    const matrix: Node = { op: 'matrix', rows: full }
    return name === 'vmatrix' ? call('det', matrix) : matrix
  }

  /** Digits, perhaps with their base: 1011_2, 1011_{2} or 1011_{(2)}. */
  protected number(text: string): Node {
    return this.take('_') ? inBase(text, this.argument()) : readDigits(text)
  }
}

/** Of an unknown, a conjugate is another unknown: points are real. */
function conjugated(node: Node): Node {
  const names = [...symbolsOf(node)]
  return call('overline', renamed(node, new Map(names.map((name) => [name, `conjugate ${name}`]))))
}
