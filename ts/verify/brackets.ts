/** Brackets of an answer, and what its pieces are joined by, before anything is read. */
import { MAX_DEPTH, Undecided } from './limits.ts'
import { splitAt, type Token } from './token.ts'

export const RELATIONS = new Set(['=', '<', '>', '≤', '≥', '≠', '∈', '∉', '∥', '⊥', '≅', '∼', '≡', '≈', '⊂', '→'])
const OPEN = new Set(['(', '[', '{', '\\{', '⟨'])
const CLOSE: Record<string, string> = { ')': '([', ']': '([', '}': '{', '\\}': '\\{', '⟩': '⟨' }

/** Whether all brackets close. @throws Undecided where they are too deep within each other */
export function isBalanced(tokens: readonly Token[]): boolean {
  const open: string[] = []
  for (const { kind, text } of tokens) {
    if (kind === 'begin') open.push(text)
    else if (kind === 'end') {
      if (open.pop() !== text) return false
    } else if (kind === 'sign' && OPEN.has(text)) open.push(text)
    else if (kind === 'sign' && Object.hasOwn(CLOSE, text)) {
      const last = open.pop()
      if (last === undefined || !(CLOSE[text] as string).includes(last)) return false
    }
    if (open.length > MAX_DEPTH) throw new Undecided('brackets are too deep within each other')
  }
  return open.length === 0
}

export const isSign = (t: Token | undefined, ...texts: string[]): boolean => t?.kind === 'sign' && texts.includes(t.text)
export const textOfTokens = (tokens: readonly Token[]): string =>
  tokens
    .map((t) => `${t.spaced ? ' ' : ''}${t.kind === 'command' ? `\\${t.text}` : t.text}`)
    .join('')
    .trim()

/** No punctuation at either end. */
export function stripEnds(tokens: readonly Token[]): readonly Token[] {
  let [from, to] = [0, tokens.length]
  while (from < to && isSign(tokens[from], ',', ';', 'and', 'or', '≈')) from++
  while (to > from && isSign(tokens[to - 1], '.', ',', ';', ':')) to--
  return from === 0 && to === tokens.length ? tokens : tokens.slice(from, to)
}

export const isBracket = (t: Token | undefined): boolean => t?.kind === 'sign' && OPEN.has(t.text)

/** 05 is none of a ratio. */
export const isMinutes = (part: readonly Token[]): boolean => part.length === 1 && /^0\d$/.test(part[0]?.text ?? '')

export const signed = (t: Token, sign: number): Token => ({ ...t, text: (t.text === '±') === sign > 0 ? '+' : '-' })

/** Where the bracket at `from` closes. */
export function closesAt(tokens: readonly Token[], from: number): number {
  let depth = 0
  for (let i = from; i < tokens.length; i++) {
    const t = tokens[i] as Token
    if (t.kind === 'begin' || isBracket(t)) depth++
    else if ((t.kind === 'end' || (t.kind === 'sign' && Object.hasOwn(CLOSE, t.text))) && --depth === 0) return i
  }
  return -1
}

/** What stands on both sides of the bar or colon of {x | |x| > 1}; a bar of an absolute value is none. */
export function builderParts(inner: readonly Token[]): [readonly Token[], readonly Token[]] | undefined {
  const colons = splitAt(inner, [':']).parts
  const head = colons.length === 2 ? (colons[0] as Token[]) : (splitAt(inner, ['|']).parts[0] as Token[])
  if (head.length === inner.length || !head.some((t) => t.kind === 'letter')) return undefined
  return [head, inner.slice(head.length + 1)]
}

/** x ∈ ℤ beside -2 < x < 2, of which x is the only unknown, is a condition: no other letter may take its place. */
export function restricts(part: readonly Token[], all: readonly (readonly Token[])[]): boolean {
  const [letter] = part
  if (letter?.kind !== 'letter' || !isSign(part[1], '∈')) return false
  const lettersOf = (tokens: readonly Token[]) => tokens.filter((t) => t.kind === 'letter' || t.kind === 'word')
  return all.some(
    (other) =>
      other.some((t) => isSign(t, '<', '>', '≤', '≥', '≠')) &&
      lettersOf(other).length > 0 &&
      lettersOf(other).every((t) => t.text === letter.text),
  )
}

/** p=5, q=2: one solution in several unknowns. */
export function isAssignments(group: readonly Token[]): boolean {
  const { parts } = splitAt(group, [','])
  return parts.length > 1 && parts.every((part) => part.some((t) => isSign(t, '=')))
}

/** x < 1 ∨ x > 2 is two conditions; p ∨ q is a formula of logic and stays one. */
export function joined(tokens: readonly Token[]): readonly Token[] {
  if (!tokens.some((t) => t.kind === 'sign' && RELATIONS.has(t.text))) return tokens
  const words: Record<string, string> = { '∧': 'and', '∨': 'or' }
  return tokens.map((t) => (t.kind === 'sign' && Object.hasOwn(words, t.text) ? { ...t, text: words[t.text] as string } : t))
}
