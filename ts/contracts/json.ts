/**
 * JSON as the world writes it, without loss: whole numbers beyond 2^53 and numbers of more digits than a double holds stay
 * as they are written, as texts; Python's NaN and Infinity are numbers; halves of surrogate pairs become U+FFFD, and what
 * is nested too deep becomes null.
 */

/** Deeper values could not be written again: JSON.stringify calls itself for each level. */
export const MAX_DEPTH = 500
/** So many a double keeps in every case. */
const SURE_DIGITS = 15

export interface ParsedJson {
  value: unknown
  /** What was set right. */
  note?: string
}

/** WHY not kept: it is no text, and what is written to a file or a data base would not be what was read. */
const SURROGATES = 'halves of surrogate pairs (\\ud800 to \\udfff) became U+FFFD'
const TOO_DEEP = `what is nested more than ${MAX_DEPTH} deep became null`

/** What JSON.parse would refuse, round or recurse into: all else is its work. */
const UNUSUAL = /\d[\d.]{15}|NaN|Infinity|\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}/

/** @throws SyntaxError */
export function parseJson(text: string): ParsedJson {
  if (!UNUSUAL.test(text) && !mayBeDeep(text)) return { value: JSON.parse(text) }
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
  readonly #notes = new Set<string>()

  constructor(text: string) {
    this.#text = text
  }

  parse(): ParsedJson {
    const value = this.#value(0)
    if (this.#peek() !== undefined) this.#fail('the end')
    return { value, ...(this.#notes.size > 0 && { note: [...this.#notes].join('; ') }) }
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
    const first = this.#peek()
    if (first === '"') return this.#string()
    if (first === '[' || first === '{') {
      if (depth >= MAX_DEPTH) return this.#skip()
      return first === '[' ? this.#list(depth) : this.#object(depth)
    }
    const word = WORDS.find(([name]) => this.#text.startsWith(name, this.#at))
    if (word) {
      this.#at += word[0].length
      return word[1]
    }
    const number = this.#match(NUMBER)
    return number ? readNumber(number) : this.#fail('a value')
  }

  /** Past a list or object, without a call for each of its levels. */
  #skip(): null {
    this.#notes.add(TOO_DEEP)
    let open = 0
    do {
      const character = this.#text[this.#at]
      if (character === undefined) this.#fail('"]" or "}"')
      if (character === '[' || character === '{') open++
      if (character === ']' || character === '}') open--
      if (character === '"') this.#string()
      else this.#at++
    } while (open > 0)
    return null
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
    this.#notes.add(SURROGATES)
    return value.toWellFormed()
  }

  /** By an odd number of backslashes before it. */
  #isEscaped(at: number): boolean {
    let from = at
    while (this.#text[from - 1] === '\\') from--
    return (at - from) % 2 === 1
  }
}
