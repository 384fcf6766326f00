/** What the engine needs of a tokenizer, whatever files it comes from. */
import type { AddedTokens } from './added-tokens.ts'

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
  /**
   * Text from users: nothing in it is a special token, whatever it spells. `atStart` is false for text that goes on
   * behind a special token; some tokenizers mark only the first word of a whole text.
   */
  encodePlain(text: string, atStart?: boolean): readonly number[]
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
  // A BOM inside a text is a character like others.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })

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

const REMEMBERED_TEXTS = 256
const REMEMBERED_LENGTH = 4096

/**
 * Remembers the last texts: candidates of one question share its text and most of their steps, and encoding them
 * again would take longer than running a small model on them.
 */
export function remembering(encode: (text: string, atStart: boolean) => readonly number[]) {
  const memory = new Map<string, readonly number[]>()
  return (text: string, atStart = true): readonly number[] => {
    if (text === '') return [] // before a normaliser could put a blank in front of nothing
    if (text.length > REMEMBERED_LENGTH) return encode(text, atStart)
    const key = `${atStart ? 1 : 0}${text}`
    const ids = memory.get(key) ?? encode(text, atStart)
    memory.delete(key)
    memory.set(key, ids)
    for (const oldest of memory.size > REMEMBERED_TEXTS ? memory.keys() : []) {
      memory.delete(oldest)
      break
    }
    return ids
  }
}
