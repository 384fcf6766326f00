/** What the text of an answer is read as, piece by piece. */

export interface Token {
  /**
   * number; letter (one); word (plain letters in a row); text (in \text{…}, Chinese, or a currency); command; sign;
   * begin and end of an environment, by its name.
   */
  kind: 'number' | 'letter' | 'word' | 'text' | 'command' | 'sign' | 'begin' | 'end'
  text: string
  /** A space stands in front of it. */
  spaced: boolean
  /** Upright, as units are set. */
  roman: boolean
}

export interface TokenizeOptions {
  /** Whether 1,234 is one number, and 1,5 in a text of its own a decimal, rather than a list of two. */
  groupDigits: boolean
}

/** Splits at any of the signs that stand outside of brackets. */
export function splitAt(
  tokens: readonly Token[],
  signs: ReadonlySet<string> | readonly string[],
): { parts: Token[][]; found: string[] } {
  const wanted = signs instanceof Set ? signs : new Set(signs as readonly string[])
  const parts: Token[][] = [[]]
  const found: string[] = []
  let depth = 0
  for (const t of tokens) {
    if (t.kind === 'begin' || (t.kind === 'sign' && OPENING.has(t.text))) depth++
    else if (t.kind === 'end' || (t.kind === 'sign' && CLOSING.has(t.text))) depth--
    if (depth === 0 && t.kind === 'sign' && wanted.has(t.text)) {
      found.push(t.text)
      parts.push([])
    } else (parts.at(-1) as Token[]).push(t)
  }
  return { parts, found }
}

const OPENING = new Set(['(', '[', '{', '\\{', '⟨'])
const CLOSING = new Set([')', ']', '}', '\\}', '⟩'])
