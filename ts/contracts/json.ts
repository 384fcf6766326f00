/**
 * JSON as the world writes it, without loss: whole numbers beyond 2^53 and numbers of more digits than a double holds stay
 * as they are written, as texts; Python's NaN and Infinity are numbers; halves of surrogate pairs become U+FFFD.
 */

/** Deeper values could not be written again: JSON.stringify calls itself for each level. */
export const MAX_DEPTH = 500
/** So many a double keeps in every case. */
const SURE_DIGITS = 15

export interface ParsedJson {
  value: unknown
  /** Whether a half of a surrogate pair was replaced. */
  repaired: boolean
}

/** What JSON.parse would refuse, round or recurse into: all else is its work. */
const UNUSUAL = /\d[\d.]{15}|NaN|Infinity|\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}/

/** @throws SyntaxError */
export function parseJson(text: string): ParsedJson {
  if (!UNUSUAL.test(text) && !mayBeDeep(text)) return { value: JSON.parse(text), repaired: false }
  return new Parser(text).parse()
}

function mayBeDeep(text: string): boolean {
  let count = 0
  for (const opening of ['[', '{']) {
    for (let at = text.indexOf(opening); at >= 0 && count <= MAX_DEPTH; at = text.indexOf(opening, at + 1)) count++
  }
  return count > MAX_DEPTH
}

const BLANK = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WORDS: readonly [string, unknown][] = [
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]

/** A number where it holds what is written, else the text. */
export function readNumber(written: string): number | string {
  const value = Number(written)
  if (/^-?\d+$/.test(written) ? Number.isSafeInteger(value) : Number.isFinite(value) && keepsDigits(written, value)) return value
  return written
}

function keepsDigits(written: string, value: number): boolean {
  const digits = digitsOf(written)
  return digits.length <= SURE_DIGITS || digits === digitsOf(String(value))
}

/** Without sign, point, exponent and the zeros around them. */
const digitsOf = (written: string) =>
  written
    .replace(/[eE].*$/, '')
    .replace(/^-?[0.]*|\./g, '')
    .replace(/0+$/, '')

class Parser {
  readonly #text: string
  #at = 0
  #repaired = false

  constructor(text: string) {
    this.#text = text
  }

  parse(): ParsedJson {
    const value = this.#value(0)
    if (this.#peek() !== undefined) this.#fail('the end')
    return { value, repaired: this.#repaired }
  }

  #fail(expected: string): never {
    const found = this.#text[this.#at]
    throw new SyntaxError(`${expected} is expected at position ${this.#at}, found ${found ? JSON.stringify(found) : 'the end'}`)
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    this.#at += found?.length ?? 0
    return found
  }

  /** The next character that is not blank. */
  #peek(): string | undefined {
    this.#match(BLANK)
    return this.#text[this.#at]
  }

  #take(character: string): boolean {
    const isThere = this.#peek() === character
    if (isThere) this.#at++
    return isThere
  }

  #value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw new SyntaxError(`nested more than ${MAX_DEPTH} deep at position ${this.#at}`)
    const first = this.#peek()
    if (first === '"') return this.#string()
    if (first === '[') return this.#list(depth)
    if (first === '{') return this.#object(depth)
    const word = WORDS.find(([name]) => this.#text.startsWith(name, this.#at))
    if (word) {
      this.#at += word[0].length
      return word[1]
    }
    const number = this.#match(NUMBER)
    return number ? readNumber(number) : this.#fail('a value')
  }

  #list(depth: number): unknown[] {
    this.#at++
    const list: unknown[] = []
    if (this.#take(']')) return list
    do list.push(this.#value(depth + 1))
    while (this.#take(','))
    return this.#take(']') ? list : this.#fail('"," or "]"')
  }

  #object(depth: number): Record<string, unknown> {
    this.#at++
    const entries: [string, unknown][] = []
    if (this.#take('}')) return {}
    do {
      if (this.#peek() !== '"') this.#fail('a key in quotes')
      const key = this.#string()
      if (!this.#take(':')) this.#fail('":"')
      entries.push([key, this.#value(depth + 1)])
    } while (this.#take(','))
    return this.#take('}') ? Object.fromEntries(entries) : this.#fail('"," or "}"')
  }

  #string(): string {
    const from = this.#at
    let end = from
    do end = this.#text.indexOf('"', end + 1)
    while (end >= 0 && this.#isEscaped(end))
    if (end < 0) throw new SyntaxError(`the string that begins at position ${from} does not end`)
    this.#at = end + 1
    const value = JSON.parse(this.#text.slice(from, end + 1)) as string
    if (value.isWellFormed()) return value
    this.#repaired = true
    return value.toWellFormed()
  }

  /** By an odd number of backslashes before it. */
  #isEscaped(at: number): boolean {
    let from = at
    while (this.#text[from - 1] === '\\') from--
    return (at - from) % 2 === 1
  }
}
