/**
 * Special and other added tokens laid over a text: which parts of it are tokens, which are text between them. The
 * longest token that begins leftmost wins, as in transformers' own tokenizers.
 */

export interface AddedToken {
  id: number
  content: string
  special: boolean
  /** Blanks before or behind it belong to it. */
  lstrip: boolean
  rstrip: boolean
  /** Found only where no word goes on to either side. */
  singleWord: boolean
  /** Found in the normalised text, not in the raw one. */
  normalized: boolean
}

/** `atStart`: nothing, not even a token, stands before the part. */
export type EncodePart = (part: string, atStart: boolean) => readonly number[]

const ENDS_IN_WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u
const BEGINS_WITH_WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u
const BLANKS_BEFORE = /(?<!\p{White_Space})\p{White_Space}+$/u
const BLANKS_BEHIND = /^\p{White_Space}+/u

export class AddedTokens {
  readonly ids: ReadonlyMap<string, number>
  readonly names: ReadonlyMap<number, string>
  /** Every character that a token's name begins with. */
  readonly firstCharacters: readonly string[]
  readonly #tokens: ReadonlyMap<string, AddedToken>
  readonly #pattern: RegExp | undefined

  constructor(tokens: readonly AddedToken[]) {
    const named = tokens.filter((t) => t.content !== '')
    this.#tokens = new Map(named.map((t) => [t.content, t]))
    this.ids = new Map(named.map((t) => [t.content, t.id]))
    this.names = new Map(named.map((t) => [t.id, t.content]))
    this.firstCharacters = [...new Set(named.map((t) => String.fromCodePoint(t.content.codePointAt(0) as number)))]
    const longestFirst = [...this.ids.keys()].sort((a, b) => b.length - a.length)
    const escaped = longestFirst.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    this.#pattern = escaped.length > 0 ? new RegExp(escaped.join('|'), 'g') : undefined
  }

  /** Ids of `text`: `encodePart` for what stands between the tokens. */
  split(text: string, encodePart: EncodePart): number[] {
    const ids: number[] = []
    let from = 0
    const append = (to: number) => {
      if (to > from) for (const id of encodePart(text.slice(from, to), from === 0)) ids.push(id)
    }
    for (const match of this.#pattern ? text.matchAll(this.#pattern) : []) {
      const token = this.#tokens.get(match[0]) as AddedToken
      const end = match.index + match[0].length
      if (match.index < from || (token.singleWord && insideWord(text, match.index, end))) continue
      append(token.lstrip ? match.index - (BLANKS_BEFORE.exec(text.slice(from, match.index))?.[0].length ?? 0) : match.index)
      ids.push(token.id)
      from = token.rstrip ? end + (BLANKS_BEHIND.exec(text.slice(end))?.[0].length ?? 0) : end
    }
    append(text.length)
    return ids
  }
}

/** Looks at one character to either side (two code units at most). */
function insideWord(text: string, start: number, end: number): boolean {
  return ENDS_IN_WORD.test(text.slice(Math.max(0, start - 2), start)) || BEGINS_WITH_WORD.test(text.slice(end, end + 2))
}
