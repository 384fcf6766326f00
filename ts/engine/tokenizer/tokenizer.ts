/** What the engine needs of a tokenizer, whatever files it comes from. */

export interface Tokenizer {
  /** Ids of the vocabulary with added tokens. */
  readonly vocabSize: number
  /** Ids that are put in front of a whole text by default; empty where the tokenizer adds none. */
  readonly prefixIds: readonly number[]
  /** Whether texts that are tokenised apart and joined each get `prefixIds` (fast tokenizers), or the first alone. */
  readonly prefixEverySegment: boolean
  readonly eosId: number | undefined
  /** Special and other added tokens by name. */
  readonly added: AddedTokens
  /** Text of our own: names of special tokens in it become these tokens. Nothing is put in front. */
  encode(text: string): number[]
  /** Text from users: nothing in it is a special token, whatever it spells. */
  encodePlain(text: string): number[]
  /** Id of an exact piece (`<prm>`, `Yes`, `▁+`), or undefined. */
  pieceId(piece: string): number | undefined
  /** Whether the id is a special token. */
  isSpecial(id: number): boolean
  /** Bytes that a token adds to the text; none for special tokens. */
  bytes(id: number): Uint8Array
  /** Text of the ids; special tokens by name, or left out. */
  decode(ids: readonly number[], options?: { skipSpecial?: boolean }): string
  /** The folder's chat template and the special tokens it may name. */
  readonly chat: { template: string | undefined; bosToken: string; eosToken: string }
}

/**
 * Text as it grows token by token: bytes of an unfinished character wait for the rest. What `push` returns adds up
 * to the text of all ids so far.
 */
export class TokenDecoder {
  readonly #tokenizer: Tokenizer
  readonly #decoder = new TextDecoder('utf-8')

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer
  }

  push(id: number): string {
    return this.#decoder.decode(this.#tokenizer.bytes(id), { stream: true })
  }

  /** What is left; an unfinished character becomes U+FFFD. */
  finish(): string {
    return this.#decoder.decode()
  }
}

/** Special tokens laid over a text: which parts are tokens, which are text between them. */
export class AddedTokens {
  readonly #pattern: RegExp | undefined
  readonly ids: ReadonlyMap<string, number>
  readonly names: ReadonlyMap<number, string>

  constructor(ids: ReadonlyMap<string, number>) {
    this.ids = ids
    this.names = new Map([...ids].map(([name, id]) => [id, name]))
    const longestFirst = [...ids.keys()].filter((name) => name !== '').sort((a, b) => b.length - a.length)
    const escaped = longestFirst.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    this.#pattern = escaped.length > 0 ? new RegExp(escaped.join('|'), 'g') : undefined
  }

  /** Ids of `text`: `encodeText` for the parts between the tokens. */
  split(text: string, encodeText: (part: string) => number[]): number[] {
    const out: number[] = []
    const append = (part: string) => {
      if (part === '') return
      for (const id of encodeText(part)) out.push(id)
    }
    let from = 0
    for (const match of this.#pattern ? text.matchAll(this.#pattern) : []) {
      append(text.slice(from, match.index))
      out.push(this.ids.get(match[0]) as number)
      from = match.index + match[0].length
    }
    append(text.slice(from))
    return out
  }

  /** `text` with `char` put into every name of a token, so that it spells none of them any more. */
  guard(text: string, char: string): string {
    return this.#pattern ? text.replace(this.#pattern, (name) => name.slice(0, 1) + char + name.slice(1)) : text
  }
}

/** Joins the bytes of the ids; runs between special tokens are decoded apart. */
export function decodeBytes(
  t: Pick<Tokenizer, 'bytes' | 'isSpecial'>,
  ids: readonly number[],
  name: (id: number) => string,
): string {
  let text = ''
  let run: Uint8Array[] = []
  const flush = () => {
    text += Buffer.concat(run).toString('utf8')
    run = []
  }
  for (const id of ids) {
    if (!t.isSpecial(id)) run.push(t.bytes(id))
    else {
      flush()
      text += name(id)
    }
  }
  flush()
  return text
}
