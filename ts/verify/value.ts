/** An answer -> what kind of answer it is: expression, list, tuple, set, relation, ratio, matrix or words. */
import {
  builderParts,
  closesAt,
  isAssignments,
  isBalanced,
  isBracket,
  isMinutes,
  isSign,
  joined,
  RELATIONS,
  restricts,
  signed,
  stripEnds,
  textOfTokens,
} from './brackets.ts'
import { MAX_DEPTH, MAX_ITEMS, Undecided } from './limits.ts'
import { readNumeral } from './numerals.ts'
import { NotAnExpression, Parser } from './parser.ts'
import { several, splitQuantity } from './quantity.ts'
import { splitAt, type Token, type TokenizeOptions } from './token.ts'
import { tokenize } from './tokens.ts'
import type { Node } from './tree.ts'
import type { Unit } from './units.ts'

export type Value =
  /** `noun`: what was counted; `also`: another reading, such as 5 m as five metres and as 5·m. */
  | { kind: 'expression'; node: Node; isPercent?: boolean; unit?: Unit; noun?: string; also?: Value }
  /** Written without brackets or in braces: order does not count. `joint`: the words between. */
  | { kind: 'list'; items: Value[]; isBraced: boolean; joint: ',' | 'or' | 'and' }
  /** (a, b), [a, b): a point or an interval; which one, the other side may tell. */
  | { kind: 'tuple'; open: string; close: string; items: Value[] }
  | { kind: 'set'; operator: '∪' | '∩' | '∖'; items: Value[] }
  /** ℝ, ℤ, …, or ∅. */
  | { kind: 'named-set'; name: string }
  /** {x | condition} */
  | { kind: 'builder'; condition: Value }
  /** a = b = c, a < x ≤ b, x ∈ A: sides and the signs between them. */
  | { kind: 'relation'; sides: Value[]; signs: string[]; left: string }
  | { kind: 'ratio'; parts: Node[] }
  | { kind: 'words'; text: string }

export interface Answer {
  value: Value
  /** Letters that stand for any whole number. */
  parameters: ReadonlySet<string>
}

export function parseAnswer(text: string, options: TokenizeOptions): Answer {
  const parameters = new Set<string>()
  // WHY first: one hundred and five is no list.
  const numeral = readNumeral(text)
  const tokens = joined(tokenize(numeral ?? text, options))
  if (!isBalanced(tokens)) return { value: { kind: 'words', text }, parameters }
  const value = new AnswerParser(text, parameters).list(stripEnds(tokens))
  return { value, parameters }
}

class AnswerParser {
  readonly #text: string
  readonly #parameters: Set<string>
  #depth = 0

  constructor(text: string, parameters: Set<string>) {
    this.#text = text
    this.#parameters = parameters
  }

  list(tokens: readonly Token[]): Value {
    if (++this.#depth > MAX_DEPTH) throw new Undecided('lists are too deep within each other')
    try {
      return this.#list(tokens)
    } finally {
      this.#depth--
    }
  }

  #list(tokens: readonly Token[]): Value {
    const groups = splitAt(tokens, [';', '\\\\']).parts.filter((group) => group.length > 0)
    if (groups.length > 1 && groups.every(isAssignments)) {
      return { kind: 'list', items: groups.map((group) => this.list(group)), isBraced: false, joint: ',' }
    }
    // 2 hours and 30 minutes
    const amount = tokens.some((t) => isSign(t, 'and')) ? several(tokens) : undefined
    if (amount) return { ...amount.value, node: amount.node, kind: 'expression' }
    const system = this.#system(tokens)
    if (system) return system
    const { parts, found } = splitAt(tokens, [',', ';', 'and', 'or', '\\\\'])
    const items = parts.map(stripEnds).filter((part) => part.length > 0 && (restricts(part, parts) || !this.#declares(part)))
    if (items.length > MAX_ITEMS) throw new Undecided(`a list has more than ${MAX_ITEMS} items`)
    const joint = found.includes('or') ? 'or' : found.includes('and') ? 'and' : ','
    const values = items.flatMap((item) => this.#bothSigns(item))
    if (values.length === 1) return values[0] as Value
    return shared({ kind: 'list', items: values, isBraced: false, joint: values.length > items.length ? 'or' : joint })
  }

  /** \begin{cases} of equations is a list of them; a function by cases stays words. */
  #system(tokens: readonly Token[]): Value | undefined {
    const [first, last] = [tokens[0], tokens.at(-1)]
    if (first?.kind !== 'begin' || first.text !== 'cases' || last?.kind !== 'end' || last.text !== 'cases') return undefined
    const inner = tokens.slice(1, -1)
    if (inner.some((t) => isSign(t, '&'))) return { kind: 'words', text: this.#text }
    return this.list(stripEnds(inner))
  }

  /** k ∈ ℤ, "k is an integer", k为整数: says which letter stands for whole numbers. */
  #declares(part: readonly Token[]): boolean {
    const tokens = part.filter((t) => !isSign(t, '(', ')'))
    const set = /^(?:Z|N)(?:[\^_].*)?$/
    const at = tokens.findIndex((t) => isSign(t, '∈'))
    const isNames = at > 0 && tokens.slice(0, at).every((t) => t.kind === 'letter' || isSign(t, ',', 'and'))
    if (isNames && set.test(textOfTokens(tokens.slice(at + 1)).replace(/^\\/, ''))) {
      const letters = tokens.slice(0, at).filter((t) => t.kind === 'letter')
      if (letters.length === 0) return false
      for (const letter of letters) this.#parameters.add(letter.text)
      return true
    }
    const said =
      /^\s*(?:for |where |with )?(?:any |all |every )?(?:integers? )?\$?([a-zA-Z])\$?(?: ?is)?(?: an?)?(?: any)?(?: arbitrary)? ?(?:integers?|whole numbers?|为(?:任意)?整数|是(?:任意)?整数)?$/
    const text = textOfTokens(part)
    const letter = /integer|whole number|整数/.test(text) ? said.exec(text)?.[1] : undefined
    if (letter) this.#parameters.add(letter)
    return letter !== undefined
  }

  /** a ± b is two answers. */
  #bothSigns(item: readonly Token[]): Value[] {
    const trailing = this.#withoutDeclaration(item)
    if (!trailing.some((t) => isSign(t, '±', '∓'))) return [this.item(trailing)]
    return [1, -1].map((sign) => this.item(trailing.map((t) => (isSign(t, '±', '∓') ? signed(t, sign) : t))))
  }

  /** x = kπ (k ∈ ℤ) */
  #withoutDeclaration(item: readonly Token[]): readonly Token[] {
    if (!isSign(item.at(-1), ')')) return item
    const at = item.findLastIndex((t) => isSign(t, '('))
    if (at > 0 && restricts(item.slice(at + 1, -1), [item.slice(0, at)])) throw new Undecided('whole numbers of an inequality')
    return at > 0 && this.#declares(item.slice(at)) ? item.slice(0, at) : item
  }

  /** One answer, perhaps a relation. */
  item(tokens: readonly Token[]): Value {
    const { parts, found } = splitAt(tokens, RELATIONS)
    if (found.length === 0) return this.side(tokens)
    // "= 42" and "≈ 14.14" are what follows.
    const from = parts.findIndex((part) => part.length > 0)
    if (from > 0) return this.item(tokens.slice(from))
    if (parts.some((part) => part.length === 0)) return this.#words(tokens)
    return this.#relation(parts, found)
  }

  /** Behind a value ≈ says it again, roughly; behind an unknown comes its value. */
  #relation(parts: readonly Token[][], signs: readonly string[]): Value {
    const kept = { parts: [...parts], signs: [...signs] }
    for (let i = 0; i < kept.signs.length; i++) {
      if (kept.signs[i] !== '≈' && kept.signs[i] !== '∼') continue
      const before = kept.parts[i] as Token[]
      const isGeometry = kept.signs[i] === '∼' && /[A-Z]{2}/.test(textOfTokens(before))
      if (isGeometry) continue
      const isUnknown =
        before.some((t) => t.kind === 'letter' || t.kind === 'word') &&
        !before.some((t) => t.kind === 'number' || t.text === 'pi')
      if (isUnknown && i === 0) kept.signs[i] = '='
      else {
        kept.parts.splice(i + 1)
        kept.signs.splice(i)
      }
    }
    if (kept.parts.length === 1) return this.side(kept.parts[0] as Token[])
    if (kept.signs.length === 1 && kept.signs[0] === '≡') return this.#congruence(kept.parts as [Token[], Token[]])
    const left = textOfTokens(kept.parts[0] as Token[])
    const sides = kept.parts.map((part) => this.side(part))
    const last = sides.at(-1)
    if (kept.signs.at(-1) === '∈' && last?.kind === 'list') sides[sides.length - 1] = { ...last, isBraced: true }
    return { kind: 'relation', sides, signs: kept.signs, left }
  }

  /** x ≡ 3 (mod 7): the sides are x, 3 and 7. */
  #congruence([left, right]: [Token[], Token[]]): Value {
    const at = right.findIndex((t) => isSign(t, 'mod'))
    const isBracketed = at > 0 && isSign(right[at - 1], '(')
    const residue = at < 0 ? right : right.slice(0, isBracketed ? at - 1 : at)
    const modulus = at < 0 ? [] : right.slice(at + 1, isBracketed ? -1 : undefined)
    const sides = [left, residue, ...(modulus.length > 0 ? [modulus] : [])].map((side) => this.side(side))
    return { kind: 'relation', sides, signs: ['≡'], left: textOfTokens(left) }
  }

  /** What stands on one side of a relation. */
  side(given: readonly Token[]): Value {
    const tokens = stripEnds(given)
    if (++this.#depth > MAX_DEPTH) throw new Undecided('brackets are too deep within each other')
    try {
      return (
        this.#setOperation(tokens) ??
        this.#named(tokens) ??
        this.#bracketed(tokens) ??
        this.#ratio(tokens) ??
        this.#expression(tokens)
      )
    } finally {
      this.#depth--
    }
  }

  #setOperation(tokens: readonly Token[]): Value | undefined {
    for (const operator of ['∪', '∖', '∩'] as const) {
      const { parts, found } = splitAt(tokens, [operator])
      if (found.length === 0) continue
      if (parts.some((part) => part.length === 0)) return undefined
      return { kind: 'set', operator, items: parts.map((part) => this.side(part)) }
    }
    return undefined
  }

  #named(tokens: readonly Token[]): Value | undefined {
    const [first] = tokens
    if (tokens.length === 1 && first?.kind === 'command' && /^(?:emptyset|[RZNQC])$/.test(first.text)) {
      return { kind: 'named-set', name: first.text }
    }
    if (tokens.length === 2 && isSign(first, '\\{') && isSign(tokens[1], '\\}')) return { kind: 'named-set', name: 'emptyset' }
    return undefined
  }

  #bracketed(tokens: readonly Token[]): Value | undefined {
    const [first, last] = [tokens[0], tokens.at(-1)]
    if (first?.kind === 'letter' && isSign(tokens[1], '(') && closesAt(tokens, 1) === tokens.length - 1)
      return this.#labelled(tokens)
    if (isSign(last, '⊤')) {
      const row = this.#bracketed(tokens.slice(0, -1))
      return row?.kind === 'tuple' ? { ...row, open: '⟨', close: '⟩' } : undefined
    }
    if (!first || !isBracket(first) || closesAt(tokens, 0) !== tokens.length - 1) return undefined
    const inner = tokens.slice(1, -1)
    if (first.text === '\\{') return this.#braced(inner)
    if (first.text === '{' && splitAt(inner, ['|']).found.length === 1) return this.#braced(inner)
    if (first.text === '{') {
      const value = this.list(inner)
      return value.kind === 'words' ? undefined : value.kind === 'list' ? { ...value, isBraced: false } : value
    }
    const { parts } = splitAt(inner, [',', ';'])
    if (parts.length > 1) {
      if (parts.some((part) => part.length === 0)) return undefined
      return { kind: 'tuple', open: first.text, close: (last as Token).text, items: parts.map((part) => this.item(part)) }
    }
    const hasRelation = splitAt(inner, RELATIONS).found.length > 0 || splitAt(inner, ['∪', '∩', '∖']).found.length > 0
    return hasRelation || isBracket(inner[0]) ? this.item(inner) : undefined
  }

  /** P(3, 4): a point with its name. f(x, y) is read likewise, and its name is f. */
  #labelled(tokens: readonly Token[]): Value | undefined {
    const point = this.#bracketed(tokens.slice(1))
    if (point?.kind !== 'tuple') return undefined
    const name = (tokens[0] as Token).text
    return { kind: 'relation', sides: [this.side(tokens.slice(0, 1)), point], signs: ['='], left: name }
  }

  #braced(inner: readonly Token[]): Value {
    const parts = builderParts(inner)
    if (parts) {
      const head = this.item(parts[0])
      const condition = this.list(parts[1])
      // {x ∈ A | x > 0}: both hold.
      if (head.kind !== 'relation') return { kind: 'builder', condition }
      const isReal = head.sides[1]?.kind === 'named-set' && head.sides[1].name === 'R'
      return {
        kind: 'builder',
        condition: isReal ? condition : { kind: 'list', items: [head, condition], isBraced: false, joint: 'and' },
      }
    }
    const value = this.list(inner)
    return value.kind === 'list' ? { ...value, isBraced: true } : { kind: 'list', items: [value], isBraced: true, joint: ',' }
  }

  #ratio(tokens: readonly Token[]): Value | undefined {
    const { parts, found } = splitAt(tokens, [':'])
    if (found.length === 0 || parts.some((part) => part.length === 0 || isMinutes(part))) return undefined
    const nodes = parts.map((part) => this.#tryNode(part))
    return nodes.every((node) => node !== undefined) ? { kind: 'ratio', parts: nodes as Node[] } : undefined
  }

  #tryNode(tokens: readonly Token[]): Node | undefined {
    try {
      return new Parser(tokens).expression()
    } catch (error) {
      if (!(error instanceof NotAnExpression)) throw error
      return undefined
    }
  }

  #expression(tokens: readonly Token[]): Value {
    const quantity = splitQuantity(tokens)
    const plain = quantity?.isCertain ? undefined : this.#tryNode(tokens)
    const isPercent = isSign(tokens.at(-1), '%')
    const direct: Value | undefined = plain && { kind: 'expression', node: plain, ...(isPercent && { isPercent }) }
    if (!quantity) return direct ?? this.#words(tokens)
    const counted = { ...quantity.value, node: quantity.node, kind: 'expression' } satisfies Value
    return direct ? { ...direct, also: counted } : counted
  }

  #words(tokens: readonly Token[]): Value {
    const text = textOfTokens(tokens)
    if (EVERYTHING.test(text)) return { kind: 'named-set', name: 'R' }
    if (NOTHING.test(text)) return { kind: 'named-set', name: 'emptyset' }
    const numeral = readNumeral(text)
    const node = numeral === undefined ? undefined : this.#tryNode(tokenize(numeral))
    return node ? { kind: 'expression', node, ...(numeral?.endsWith('%') && { isPercent: true }) } : { kind: 'words', text }
  }
}

const EVERYTHING = /^(?:the )?(?:set of )?(?:all|any|every) reals?(?: numbers?| values?)?(?: of \w)?$|^[全任一]\S{0,2}实数$/i
const NOTHING =
  /^(?:the )?(?:empty set|null set)$|^(?:there (?:is|are) )?no (?:real )?solutions?$|^空集$|^(?:方程)?无(?:实数)?解$/i

/** k = 3, 4, 5: the name is that of all of them. */
function shared(list: Extract<Value, { kind: 'list' }>): Value {
  const [first, ...rest] = list.items
  if (first?.kind !== 'relation' || first.signs.length !== 1 || !['=', '∈'].includes(first.signs[0] as string)) return list
  if (!/^[a-zA-Z](?:_\w+)?$/.test(first.left) || !rest.every((item) => item.kind === 'expression')) return list
  const values: Value = { kind: 'list', items: [first.sides[1] as Value, ...rest], isBraced: false, joint: list.joint }
  return { ...first, sides: [first.sides[0] as Value, values] }
}
