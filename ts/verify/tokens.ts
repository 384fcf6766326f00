/** Text of an answer, LaTeX or plain -> tokens. One pass from left to right. */
import { MAX_ANSWER, Undecided } from './limits.ts'
import { NumberReader } from './number-reader.ts'
import {
  ALIASES,
  CHARACTERS,
  COMMANDS,
  DROPPED_WITH_GROUP,
  FRACTIONS,
  JOINTS,
  LOOKS,
  PLAIN_COMMANDS,
  SIGNS,
  SILENT,
  SUBSCRIPTS,
  SUPERSCRIPTS,
  TEXT,
} from './symbols.ts'
import type { Token, TokenizeOptions } from './token.ts'

const PIECE =
  /(\s+|~|\\[,;:>! ]|\\\n)|(\d+(?:\.\d+)?|\.\d+)|\\([a-zA-Z]+)\*?|\\([\s\S])|([a-zA-Z]+)|([\u4e00-\u9fff\u3400-\u4dbf〇]+)|([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+)|([₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+)|([\s\S])/uy

const CIRCLE = /\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\}|\{\s*°\s*\}|°)/y
const PRIMES = /\s*(?:\{\s*)?((?:\\prime(?![a-zA-Z])\s*)+)\}?/y
const TRANSPOSED = /\s*(?:\{\s*)?(?:\\top|T|\\mathrm\{T\}|\\mathsf\{T\})\s*\}?/y
const BASE_TEN = /\s*10\s*[\^⁰¹²³⁴⁵⁶⁷⁸⁹⁻*]/y
/** Two points in braces, primes and indices with them. */
const ARROW = /\s*\{\s*([A-Z](?:_\s*(?:\w|\{\s*\w+\s*\})|')*)\s*([A-Z](?:_\s*(?:\w|\{\s*\w+\s*\})|')*)\s*\}/y
const ENVIRONMENT = /\s*\{\s*([a-zA-Z]+)\*?\s*\}/y
const COLUMNS = /\s*\{[lcr|\s@{}]*\}/y

const aliasOf = (name: string): string => (Object.hasOwn(ALIASES, name) ? (ALIASES[name] as string) : name)

class Tokenizer extends NumberReader {
  run(): Token[] {
    while (this.at < this.text.length) {
      PIECE.lastIndex = this.at
      const m = PIECE.exec(this.text)
      if (!m) break
      this.at = PIECE.lastIndex
      const [, space, number, command, escaped, letters, chinese, raised, lowered, character] = m
      if (space !== undefined) this.spaced = true
      else if (number !== undefined) this.number(number)
      else if (command !== undefined) this.#command(command)
      else if (escaped !== undefined) this.#escaped(escaped)
      else if (letters !== undefined) this.#letters(letters)
      else if (chinese !== undefined) this.#chinese(chinese)
      else if (raised !== undefined) this.script('^', raised, SUPERSCRIPTS)
      else if (lowered !== undefined) this.script('_', lowered, SUBSCRIPTS)
      else if (character !== undefined) this.#character(character)
    }
    return this.tokens
  }

  #command(command: string): undefined {
    const name = aliasOf(command)
    if (name === 'left' || name === 'right') this.take(/\s*\.(?!\d)/y)
    if (name === 'begin' || name === 'end') return this.#environment(name)
    if (DROPPED_WITH_GROUP.has(name)) {
      this.#group()
      return
    }
    if (TEXT.has(name)) return this.#textGroup()
    if (name === 'mathbb' || name === 'mathbf' || name === 'Bbb') return this.#blackboard(name)
    if ((name === 'vec' || name === 'overrightarrow') && this.#arrow()) return
    if (name === 'vec' || name === 'hat' || name === 'boldsymbol') return this.#unitVector()
    if (name === 'overline' && this.take(/\s*\{\s*(?=[A-Z]\s*[A-Z])/y)) return this.#open('{')
    if (name === 'angle' || name === 'measuredangle') return this.#angle()
    if (LOOKS.has(name)) {
      this.spaced = true
      return
    }
    const sign = Object.hasOwn(SIGNS, name) ? SIGNS[name] : undefined
    if (sign !== undefined) this.#open(sign)
    else this.push('command', name)
  }

  /** A sign; brackets are counted. */
  #open(sign: string): undefined {
    if (sign === '(' || sign === '[' || sign === '\\{') this.brackets++
    if (sign === ')' || sign === ']' || sign === '\\}') this.brackets--
    this.push('sign', sign)
  }

  /** The raw inside of the group that opens here, or the next character. */
  #group(): string {
    this.take(/\s*/y)
    if (this.text[this.at] !== '{') return this.text[this.at++] ?? ''
    let depth = 0
    const start = this.at + 1
    for (; this.at < this.text.length; this.at++) {
      const c = this.text[this.at]
      if (c === '\\') this.at++
      else if (c === '{') depth++
      else if (c === '}' && --depth === 0) return this.text.slice(start, this.at++)
    }
    return this.text.slice(start)
  }

  #textGroup(): undefined {
    const inner = this.#group()
    const spaced = inner.replace(/[~\s]+/g, ' ').trim()
    // \mathrm { c m }, as a scanner writes it
    const words = /^(?:[a-zA-Z] )+[a-zA-Z]$/.test(spaced) ? spaced.replace(/ /g, '') : spaced
    if (words === ',') return this.push('sign', ',')
    if (words === '') {
      this.spaced = true
      return
    }
    const isWords = /[a-zA-Z]{2}/.test(words) && /^[a-zA-Z .,;:()'-]+$/.test(words)
    const joint = words.toLowerCase().replace(/^,\s*|\s*,$/g, '')
    if (Object.hasOwn(JOINTS, joint)) return this.push('sign', JOINTS[joint] as string)
    if (PLAIN_COMMANDS.has(words)) return this.push('command', aliasOf(words))
    if (isWords) return this.push('text', words)
    const tokenizer = new Tokenizer(inner, this.options, true, this.depth + 1)
    for (const token of tokenizer.run()) this.tokens.push(token)
  }

  #blackboard(name: string): undefined {
    const set = this.take(/\s*(?:\{\s*([A-Z])\s*\}|([A-Z])(?![a-zA-Z]))/y)
    if (set && name !== 'mathbf') this.push('command', set[1] ?? set[2] ?? '')
    else if (set) {
      const letter = set[1] ?? set[2] ?? ''
      this.push(/[RZNQ]/.test(letter) ? 'command' : 'letter', letter)
    } else this.#unitVector()
  }

  /** \vec{i} is a unit vector; other arrows and hats only decorate. */
  #unitVector(): undefined {
    const unit = this.take(/\s*(?:\{\s*([ijk])\s*\}|([ijk])(?![a-zA-Z]))/y) ?? this.take(/\s*\{\s*\\(i|j)math\s*\}/y)
    if (unit) this.push('command', `unit-${unit[1] ?? unit[2]}`)
    else this.spaced = true
  }

  /** \\overrightarrow{AB}: one vector between two points. */
  #arrow(): boolean {
    const ends = this.take(ARROW)
    if (!ends) return false
    const [from, to] = ends.slice(1).map((end) => end.replace(/[\s{}]/g, ''))
    this.push('command', `arrow.${from}.${to}`)
    return true
  }

  /** An angle ABC is CBA too: its vertex stands in the middle. */
  #angle(): undefined {
    this.spaced = true
    const [, a, b, c] = this.take(/\s*\{?\s*([A-Z])\s*([A-Z])\s*([A-Z])(?![a-zA-Z_'])\s*\}?/y) ?? []
    if (a && b && c) this.push('word', a < c ? a + b + c : c + b + a)
  }

  #environment(kind: 'begin' | 'end'): undefined {
    const name = this.take(ENVIRONMENT)?.[1] ?? ''
    if (/^(?:align|aligned|gather|gathered|equation|split|flushleft|center)$/.test(name)) return
    if (kind === 'begin' && name === 'array') this.take(COLUMNS)
    this.brackets += kind === 'begin' ? 1 : -1
    this.push(kind, name)
  }

  #escaped(character: string): undefined {
    if (character === '{' || character === '}') return this.#open(`\\${character}`)
    if (character === '\\') return this.push('sign', '\\\\')
    if (character === '|') return this.push('sign', '‖')
    if (character === '$') return this.push('text', '$')
    this.#character(character)
  }

  #letters(letters: string): undefined {
    const lower = letters.toLowerCase()
    if (letters.length > 1 && Object.hasOwn(JOINTS, lower)) return this.push('sign', JOINTS[lower] as string)
    if (lower === 'mod') return this.push('sign', 'mod')
    const before = this.tokens.at(-1)
    if (/^x$/i.test(letters) && before?.kind === 'number' && this.looksAt(BASE_TEN)) return this.push('sign', '*')
    if (letters === 'U' && /[)\]]/.test(before?.text ?? '') && this.looksAt(/\s*[([]/y)) return this.push('sign', '∪')
    if (letters === 'to' && before?.kind === 'number' && this.looksAt(/\s*[-+]?\d/y)) return this.push('sign', ':')
    // As computer algebra writes the imaginary unit: 5*I.
    if (letters === 'I' && before?.text === '*') return this.push('letter', 'i')
    if (letters.length === 1) return this.push('letter', letters)
    const name = aliasOf(letters)
    if ((PLAIN_COMMANDS.has(letters) && this.#isCall(letters)) || name === 'infty') return this.push('command', name)
    const call = /^(sqrt|arcsin|arccos|arctan|sin|cos|tan|log|ln|pi)([a-zA-Z])$/.exec(letters)
    if (call && !/^(?:cost|tank|sing|logs|pie|pin|pit|tang|sins)$/.test(letters)) {
      this.push('command', call[1] as string)
      return this.push('letter', call[2] as string)
    }
    this.push('word', letters)
  }

  /** min and sec are units as well. */
  #isCall(name: string): boolean {
    if (name === 'min' || name === 'max') return this.looksAt(/\s*[({]/y)
    return name !== 'sec' || this.looksAt(/\s*(?:[\^({\\]|[a-zA-Z](?![a-zA-Z]))/y)
  }

  #chinese(run: string): undefined {
    for (const piece of run.split(/(或者|或|以及|并且|和|且|与|及)/)) {
      if (piece === '') continue
      if (Object.hasOwn(JOINTS, piece)) this.push('sign', JOINTS[piece] as string)
      else this.push('text', piece)
    }
  }

  /** Behind a matrix, or brackets that hold several things: there a T is no exponent. */
  #isAfterRows(): boolean {
    const last = this.tokens.at(-1)
    if (last?.kind !== 'sign' || !')]'.includes(last.text)) return last?.kind === 'end'
    const open = this.tokens.findLastIndex((t) => t.kind === 'sign' && '(['.includes(t.text))
    return this.tokens.slice(open + 1).some((t) => t.kind === 'sign' && t.text === ',')
  }

  #character(c: string): undefined {
    if (c === '^') {
      if (this.take(CIRCLE)) return this.push('sign', '°')
      const primes = this.take(PRIMES)
      if (primes) return this.push('sign', (primes[1] as string).split('\\prime').length > 2 ? '″' : '′')
      if (this.#isAfterRows() && this.take(TRANSPOSED)) return this.push('sign', '⊤')
    }
    if (c === '*' && this.text[this.at] === '*') {
      this.at++
      return this.push('sign', '^')
    }
    const comparison = /^[<>!=]$/.test(c) ? this.#comparison(c) : undefined
    if (comparison) return this.push('sign', comparison)
    if (c === '.' && this.take(/\.\.+/y)) return this.push('sign', '…')
    if (c === '/' && this.take(/\//y)) return this.push('sign', '∥')
    if (c === '℃' || c === '℉') {
      this.push('sign', '°')
      return this.push('letter', c === '℃' ? 'C' : 'F')
    }
    const fraction = FRACTIONS[c]
    if (fraction) return this.fraction(fraction)
    const sign = CHARACTERS[c]
    if (sign !== undefined) return this.#open(sign)
    const command = COMMANDS[c]
    if (command !== undefined) return this.push('command', command)
    if (/[$£€¥￥₩₹¢]/.test(c)) return this.push('text', c === '￥' ? '¥' : c)
    if (c === '∠') return this.#angle()
    if (c !== '*' && SILENT.includes(c)) return
    if (c >= '\uff01' && c <= '\uff5e') return this.#wide(c)
    if (/[\u2460-\u2473]/.test(c)) return this.push('text', c)
    this.#open(c)
  }

  #comparison(c: string): string | undefined {
    const next = this.text[this.at]
    // Behind a digit the mark is a factorial: 5!=120.
    const isFactorial = c === '!' && !this.spaced && this.tokens.at(-1)?.kind !== 'letter'
    if (next !== '=' || c === '=' || isFactorial) return undefined
    this.at++
    return c === '<' ? '≤' : c === '>' ? '≥' : '≠'
  }

  /** Full-width letters and digits, all in a row. */
  #wide(first: string): undefined {
    let run = first
    while (/[\uff01-\uff5e]/.test(this.text[this.at] ?? '')) run += this.text[this.at++]
    const narrow = run.replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    for (const token of new Tokenizer(narrow, this.options, this.roman, this.depth + 1).run()) this.tokens.push(token)
  }
}

/** Every backslash is doubled (a text that was escaped twice), so none is a row separator. */
const isDoubled = (s: string) => /\\\\[a-zA-Z]/.test(s) && !/(?<!\\)\\(?:\\\\)*[a-zA-Z]/.test(s)

/** @throws Undecided where the text is longer than an answer is, or too deep */
export function tokenize(text: string, options: TokenizeOptions = { groupDigits: true }): Token[] {
  if (text.length > MAX_ANSWER) throw new Undecided(`the answer has more than ${MAX_ANSWER} characters`)
  return new Tokenizer(isDoubled(text) ? text.replaceAll('\\\\', '\\') : text, options, false, 0).run()
}
