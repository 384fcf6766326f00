/** Where a parser stands in its tokens. */
import type { Token } from './token.ts'

/** Is no expression: words, an unknown command, a formula that ends too early. */
export class NotAnExpression extends Error {}

export class Cursor {
  /** WHY its own: what is left of a split word goes back. */
  protected readonly tokens: Token[]
  protected at = 0
  protected end: number

  constructor(tokens: readonly Token[]) {
    this.tokens = [...tokens]
    this.end = tokens.length
  }

  protected peek(ahead = 0): Token | undefined {
    return this.at + ahead < this.end ? this.tokens[this.at + ahead] : undefined
  }

  protected is(text: string, kind: Token['kind'] = 'sign'): boolean {
    const t = this.peek()
    return t !== undefined && t.kind === kind && t.text === text
  }

  protected take(text: string, kind: Token['kind'] = 'sign'): boolean {
    if (!this.is(text, kind)) return false
    this.at++
    return true
  }

  protected expect(text: string, kind: Token['kind'] = 'sign'): void {
    if (!this.take(text, kind)) throw new NotAnExpression(`${text} expected`)
  }

  /** e^xe^y: an argument without braces is one letter. */
  protected splitWord(): void {
    const t = this.peek()
    if (t?.kind !== 'word' || !/^[a-z]{2,3}$/.test(t.text)) return
    const rest: Token = { ...t, text: t.text.slice(1), kind: t.text.length > 2 ? 'word' : 'letter', spaced: false }
    this.tokens.splice(this.at, 1, { ...t, text: t.text[0] as string, kind: 'letter' }, rest)
    this.end++
  }

  protected subscript(): string {
    if (!this.take('{')) return this.tokens[this.at] ? (this.tokens[this.at++] as Token).text : ''
    let text = ''
    for (let depth = 1; ; this.at++) {
      const t = this.peek()
      if (!t) throw new NotAnExpression('} expected')
      if (t.text === '{') depth++
      if (t.text === '}' && --depth === 0) break
      text += t.text
    }
    this.at++
    return text
  }
}
