/** Sums, products and what is set behind a factor. What an atom is, the parser says. */
import { Cursor, NotAnExpression } from './cursor.ts'
import { MAX_DEPTH, spend, Undecided } from './limits.ts'
import type { Token } from './token.ts'
import { call, type Node, negative, number, operation } from './tree.ts'

export abstract class Terms extends Cursor {
  /** What ± stands for; ∓ is the other one. */
  protected readonly plusMinus: 1 | -1
  protected depth = 0
  protected bars = 0

  constructor(tokens: readonly Token[], plusMinus: 1 | -1 = 1) {
    super(tokens)
    this.plusMinus = plusMinus
  }

  /** What stands alone: a number, a name, a bracket, a call. */
  protected abstract atom(): Node

  protected sum(): Node {
    if (++this.depth > MAX_DEPTH) throw new Undecided('an expression is too deep')
    spend(50)
    const terms: Node[] = []
    do {
      const sign = this.signs()
      if (terms.length > 0 && sign === 0) break
      const term = this.modulo()
      terms.push(sign < 0 ? negative(term) : term)
    } while (this.isSign())
    this.depth--
    return terms.length === 1 ? (terms[0] as Node) : operation('add', terms)
  }

  protected isSign = (): boolean => this.is('+') || this.is('-') || this.is('±') || this.is('∓')

  /** The product of all signs that stand here, 0 for none. */
  protected signs(): number {
    let sign = 0
    while (this.isSign()) {
      const t = (this.tokens[this.at++] as Token).text
      const value = t === '+' ? 1 : t === '-' ? -1 : t === '±' ? this.plusMinus : -this.plusMinus
      sign = (sign || 1) * value
    }
    return sign
  }

  protected modulo(): Node {
    const left = this.product()
    return this.take('mod') ? call('mod', left, this.product()) : left
  }

  protected product(): Node {
    let node: Node = this.factor()
    for (;;) {
      const isPlain = isPlainNumber(this.tokens[this.at - 1])
      if (this.take('*')) node = times(node, this.signed())
      else if (this.take('/')) node = operation('divide', [node, this.divisor()])
      else if (node.op === 'number' && isPlain && this.isPlainFraction())
        node = this.marked(operation('add', [node, this.plainFraction()]))
      else if (this.startsFactor()) {
        if (isPlain && this.peek()?.kind === 'number') throw new NotAnExpression('two numbers in a row')
        node = times(node, this.factor())
      } else return node
    }
  }

  /** Behind a slash what is written together stays together where only letters do: 1/2x is x/2, a/bc is a/(bc). */
  protected divisor(): Node {
    const node = this.signed()
    if (node.op === 'number' || (this.tokens[this.at - 1] as Token).text === ')') return node
    let product: Node = node
    while (this.startsFactor() && this.peek()?.spaced === false && this.peek()?.kind !== 'sign') {
      product = operation('multiply', [product, this.factor()])
    }
    return product
  }

  /** A whole number in front of a fraction of two numbers is a mixed number: 2 1/3. */
  protected isPlainFraction(): boolean {
    const [above, line, below] = [this.peek(), this.peek(1), this.peek(2)]
    if (above?.kind === 'number') return line?.text === '/' && below?.kind === 'number' && above.spaced
    if (!this.is('frac', 'command')) return false
    let at = 1
    for (let part = 0; part < 2; part++) {
      const isBraced = this.peek(at)?.text === '{'
      if (isBraced) at++
      if (this.peek(at)?.kind !== 'number') return false
      at += isBraced ? 2 : 1
      if (isBraced && this.peek(at - 1)?.text !== '}') return false
      // \frac12: both digits are one token
      if (!isBraced && part === 0 && (this.peek(at - 1) as Token).text.length > 1) return true
    }
    return true
  }

  protected plainFraction(): Node {
    const above = this.atom()
    return this.take('/') ? operation('divide', [above, this.atom()]) : above
  }

  /** Behind an explicit operator a sign may stand: 2·-3. */
  protected signed(): Node {
    const sign = this.signs()
    const factor = this.factor()
    return sign < 0 ? negative(factor) : factor
  }

  protected startsFactor(): boolean {
    const t = this.peek()
    if (!t) return false
    if (t.kind === 'sign') return '([{|'.includes(t.text) && !(t.text === '|' && this.bars > 0)
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

  protected factor(): Node {
    if (++this.depth > MAX_DEPTH) throw new Undecided('an expression is too deep')
    const node = this.marked(this.atom())
    this.depth--
    return node
  }

  /** With what is set behind it: exponents, factorials, per cent, degrees. */
  protected marked(inner: Node): Node {
    let node = inner
    for (;;) {
      if (this.take('^')) node = operation('power', [node, this.argument()])
      else if (this.take('!')) node = this.take('!') ? call('double-factorial', node) : call('factorial', node)
      else if (this.take('%')) node = operation('divide', [node, number(100)])
      else if (this.take('°')) node = this.degrees(node)
      else if (this.take('⊤')) node = call('transpose', node)
      else return node
    }
  }

  /** 35°30′18″ */
  protected degrees(whole: Node): Node {
    const parts = [whole]
    for (const [i, mark] of ['′', '″'].entries()) {
      if (this.peek()?.kind !== 'number' || this.peek(1)?.text !== mark) continue
      parts.push(operation('divide', [this.atom(), number(60 ** (i + 1))]))
      this.at++
    }
    return operation('degrees', [parts.length === 1 ? whole : operation('add', parts)])
  }

  /** A braced group or a single token, as ^ and \frac take them. */
  protected argument(): Node {
    if (this.take('{')) {
      const node = this.sum()
      this.expect('}')
      return node
    }
    const sign = this.signs()
    this.splitWord()
    const node = this.atom()
    return sign < 0 ? negative(node) : node
  }

  /** Both arguments of \frac and \binom. In \frac12 each digit is one. */
  protected twoArguments(): [Node, Node] {
    const t = this.peek()
    if (t?.kind === 'number' && /^\d{2,}$/.test(t.text)) {
      this.at++
      return [number(Number(t.text[0])), number(BigInt(t.text.slice(1)))]
    }
    return [this.argument(), this.argument()]
  }
}

/** A long product is flat: its depth would otherwise be its length. */
const times = (a: Node, b: Node): Node =>
  a.op === 'multiply' && a.args.length > 1 ? { ...a, args: [...a.args, b] } : operation('multiply', [a, b])

const isPlainNumber = (t: Token | undefined): boolean => t?.kind === 'number'

/** So few small letters are a product, or a name in capitals. */
export const isShort = (t: Token): boolean => t.text.length <= 3 || /^[A-Z]{2,6}$/.test(t.text)
