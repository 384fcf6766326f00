/** Tokens of a LaTeX formula, as sympy's reader has them: what it does not know makes the whole formula unreadable. */

export interface Token {
  readonly kind: 'digit' | 'letter' | 'command' | 'mark'
  readonly text: string
}

const SKIPPED = new Set(
  ['left', 'right', 'quad', 'qquad', 'thinspace', 'medspace', 'thickspace', 'negthinspace', 'displaystyle'].concat([
    'big',
    'Big',
    'bigg',
    'Bigg',
    'bigl',
    'bigr',
    'vrule',
    'vcenter',
    'vbox',
    'vskip',
    'vspace',
    'hfil',
  ]),
)
const MARKS = "+-*/=<>!^_|()[]{}:,'.&"
const SPACING = ',:;!*/\\"('

/** @returns undefined where a character is none that a formula holds */
export function tokensOf(text: string): Token[] | undefined {
  const tokens: Token[] = []
  for (let i = 0; i < text.length; ) {
    const c = text[i] as string
    if (/\s/.test(c)) i++
    else if (c === '\\') {
      const name = /^[a-zA-Z]+/.exec(text.slice(i + 1))?.[0]
      const next = text[i + 1] ?? ''
      if (name !== undefined) {
        if (!SKIPPED.has(name)) tokens.push({ kind: 'command', text: name })
        i += 1 + name.length
      } else if ('{}|'.includes(next) && next !== '') {
        tokens.push({ kind: 'mark', text: `\\${next}` })
        i += 2
      } else if (SPACING.includes(next) && next !== '') i += 2
      else return undefined
    } else {
      if (/[0-9]/.test(c)) tokens.push({ kind: 'digit', text: c })
      else if (/[a-zA-Z]/.test(c)) tokens.push({ kind: 'letter', text: c })
      else if (MARKS.includes(c)) tokens.push({ kind: 'mark', text: c })
      else return undefined
      i++
    }
  }
  return tokens
}
