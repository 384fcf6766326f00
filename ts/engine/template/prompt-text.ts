/**
 * Prompts are written as text in which our own special tokens stand by name. Text from users goes in guarded: a
 * private character inside every special token's name keeps it from being read as one, and is taken out again
 * before the text is encoded. So a prompt is tokenised in one piece, and a literal `<|im_end|>` stays text.
 */
import type { Tokenizer } from '../tokenizer/tokenizer.ts'

const PRIVATE_FIRST = 0xe000
const PRIVATE_LAST = 0xf8ff

export class PromptText {
  readonly #tokenizer: Tokenizer
  readonly #char: string

  /** `userTexts`: all texts that will go in, so that a character none of them holds can be chosen. */
  constructor(tokenizer: Tokenizer, userTexts: readonly string[]) {
    this.#tokenizer = tokenizer
    let code = PRIVATE_FIRST
    while (code < PRIVATE_LAST && userTexts.some((t) => t.includes(String.fromCharCode(code)))) code++
    this.#char = String.fromCharCode(code)
  }

  /** Text from a user, safe to be put between special tokens. */
  user(text: string): string {
    return this.#tokenizer.added.guard(text, this.#char)
  }

  /** Ids of a prompt, without the tokenizer's own prefix. */
  encode(prompt: string): number[] {
    return this.#tokenizer.added.split(prompt, (part) => this.#tokenizer.encodePlain(part.replaceAll(this.#char, '')))
  }
}
