/**
 * Prompts are written as text in which our own special tokens stand by name. Text from users goes in guarded: every
 * character that some special token's name begins with is replaced by a private one that no text holds, so no name
 * can begin in it; before the text is encoded they are put back. So a prompt is tokenised in one piece, as the
 * reference does, and a literal `<|im_end|>` stays text.
 */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'

const PRIVATE_FIRST = 0xe000
const PRIVATE_LAST = 0xf8ff

/** `count` private characters that none of the texts holds. */
function unusedCharacters(texts: readonly string[], count: number): string[] {
  const found: string[] = []
  for (let code = PRIVATE_FIRST; code <= PRIVATE_LAST && found.length < count; code++) {
    const char = String.fromCharCode(code)
    if (!texts.some((text) => text.includes(char))) found.push(char)
  }
  if (found.length < count) throw invalidArgument('the texts use up all private characters (U+E000 to U+F8FF)')
  return found
}

const replacer = (pairs: readonly (readonly [string, string])[]) => (text: string) =>
  pairs.reduce((t, [from, to]) => t.replaceAll(from, to), text)

export class PromptText {
  readonly #tokenizer: Tokenizer
  /** Text from a user, safe to be put between special tokens. */
  readonly user: (text: string) => string
  /** A prompt as it reads. */
  readonly restore: (prompt: string) => string

  /** `userTexts`: all texts that will go in. */
  constructor(tokenizer: Tokenizer, userTexts: readonly string[]) {
    this.#tokenizer = tokenizer
    const real = tokenizer.added.firstCharacters
    const standIns = unusedCharacters(userTexts, real.length)
    const pairs = real.map((char, i) => [char, standIns[i] as string] as const)
    this.user = replacer(pairs)
    this.restore = replacer(pairs.map(([char, standIn]) => [standIn, char] as const))
  }

  /** The template relies on these tokens. @throws EngineError INVALID_MODEL where the tokenizer lacks one */
  require(...tokens: readonly string[]): void {
    const missing = tokens.filter((token) => !this.#tokenizer.added.ids.has(token))
    if (missing.length > 0) throw invalidModel(`the tokenizer lacks what the prompt needs: no token ${missing.join(', ')}`)
  }

  /** Ids of a prompt, without the tokenizer's own prefix. */
  encode(prompt: string): number[] {
    const { added } = this.#tokenizer
    return added.split(prompt, (part, atStart) => this.#tokenizer.encodePlain(this.restore(part), atStart))
  }

  /** The same of what goes on behind a prompt. */
  encodeOn(text: string): number[] {
    return this.#tokenizer.added.split(text, (part) => this.#tokenizer.encodePlain(this.restore(part), false))
  }
}
