/**
 * SentencePiece BPE: of all neighbouring pairs whose joined text is a piece, the one with the best score is joined
 * first, the leftmost among equals; what is no piece in the end falls back to its bytes. A heap over a linked
 * list keeps it near linear on texts of any length.
 */
import { byteOf, PIECE, type SentencePieceModel } from './sentencepiece-model.ts'

const SPACE = '▁'

interface Symbol {
  text: string
  previous: number
  next: number
}
interface Candidate {
  left: number
  score: number
  /** Joined length when the candidate was made: tells stale ones. */
  length: number
}

/** What an unused piece was joined from: it may stand between two merges, but not in the result. */
type Parts = Map<string, readonly [string, string]>

/** Best score first, then leftmost. */
class CandidateHeap {
  readonly #items: Candidate[] = []

  static #before(a: Candidate, b: Candidate): boolean {
    return a.score > b.score || (a.score === b.score && a.left < b.left)
  }

  push(item: Candidate): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!CandidateHeap.#before(item, items[parent] as Candidate)) break
      items[at] = items[parent] as Candidate
      at = parent
    }
    items[at] = item
  }

  pop(): Candidate | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (items.length === 0 || !last) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && CandidateHeap.#before(items[child + 1] as Candidate, items[child] as Candidate)) child++
      if (!CandidateHeap.#before(items[child] as Candidate, last)) break
      items[at] = items[child] as Candidate
      at = child
    }
    items[at] = last
    return top
  }
}

const firstCharacter = (text: string, at: number) => String.fromCodePoint(text.codePointAt(at) as number)

function withoutExtraSpaces(text: string): string {
  const s = text.replace(/ +/g, ' ').replace(/^ /, '')
  let end = s.length
  while (end > 0 && (s[end - 1] === ' ' || s[end - 1] === SPACE)) end-- // a written ▁ at the end goes too
  return s.slice(0, end)
}

export class SentencePiece {
  readonly addDummyPrefix: boolean
  readonly vocabSize: number
  readonly #model: SentencePieceModel
  readonly #idOf = new Map<string, number>()
  readonly #byteIds: number[] = []
  readonly #unknown: number
  /** Pieces that are matched whole before any merge: longest first, by their first character. */
  readonly #userDefined = new Map<string, string[]>()
  readonly #isFixed = new Set<string>()

  constructor(model: SentencePieceModel) {
    this.#model = model
    this.addDummyPrefix = model.addDummyPrefix
    this.vocabSize = model.pieces.length
    model.pieces.forEach(({ text, type }, id) => {
      if (type === PIECE.byte) this.#byteIds[byteOf(text) as number] = id
      else if (type === PIECE.normal || type === PIECE.userDefined || type === PIECE.unused) this.#idOf.set(text, id)
    })
    this.#unknown = model.pieces.findIndex((p) => p.type === PIECE.unknown)
    const userDefined = model.pieces.filter((p) => p.type === PIECE.userDefined).map((p) => p.text)
    for (const piece of userDefined.sort((a, b) => b.length - a.length)) {
      this.#isFixed.add(piece)
      const first = firstCharacter(piece, 0)
      const others = this.#userDefined.get(first)
      if (others) others.push(piece)
      else this.#userDefined.set(first, [piece])
    }
  }

  /** Id of an exact piece of any kind. */
  pieceId(piece: string): number | undefined {
    const id = this.#idOf.get(piece) ?? this.#model.pieces.findIndex((p) => p.text === piece)
    return id >= 0 ? id : undefined
  }

  piece(id: number): string | undefined {
    return this.#model.pieces[id]?.text
  }

  isControl(id: number): boolean {
    const type = this.#model.pieces[id]?.type
    return type === PIECE.control || type === PIECE.unknown
  }

  /** Bytes that a piece stands for; ▁ is a space. */
  bytes(id: number): Uint8Array {
    const piece = this.#model.pieces[id]
    if (!piece || this.isControl(id)) return new Uint8Array()
    const byte = this.#byteIds.indexOf(id)
    return byte >= 0 ? Uint8Array.of(byte) : new TextEncoder().encode(piece.text.replaceAll(SPACE, ' '))
  }

  encode(text: string): number[] {
    const normal = this.#normalize(text)
    if (normal === '') return []
    const symbols = this.#split(normal)
    const parts = this.#merge(symbols)
    const ids: number[] = []
    for (let at = 0; at >= 0; at = (symbols[at] as Symbol).next) this.#emit((symbols[at] as Symbol).text, parts, ids)
    return ids
  }

  #normalize(text: string): string {
    let s = Buffer.from(text).toString('utf8') // lone surrogates become U+FFFD
    if (this.#model.removeExtraWhitespaces) s = withoutExtraSpaces(s)
    if (s === '') return ''
    return (this.addDummyPrefix ? SPACE : '') + s.replaceAll(' ', SPACE)
  }

  #split(text: string): Symbol[] {
    const texts: string[] = []
    for (let at = 0; at < text.length; ) {
      const character = firstCharacter(text, at)
      const symbol = this.#userDefined.get(character)?.find((piece) => text.startsWith(piece, at)) ?? character
      texts.push(symbol)
      at += symbol.length
    }
    return texts.map((t, i) => ({ text: t, previous: i - 1, next: i + 1 < texts.length ? i + 1 : -1 }))
  }

  /** Joins symbols in place. */
  #merge(symbols: Symbol[]): Parts {
    const heap = new CandidateHeap()
    const parts: Parts = new Map()
    const consider = (left: number) => {
      const right = left >= 0 ? (symbols[left] as Symbol).next : -1
      if (right < 0) return
      const [a, b] = [symbols[left] as Symbol, symbols[right] as Symbol]
      if (this.#isFixed.has(a.text) || this.#isFixed.has(b.text)) return
      const id = this.#idOf.get(a.text + b.text)
      if (id === undefined) return
      const { score, type } = this.#model.pieces[id] as { score: number; type: number }
      heap.push({ left, score, length: a.text.length + b.text.length })
      if (type === PIECE.unused) parts.set(a.text + b.text, [a.text, b.text])
    }
    for (let i = 0; i + 1 < symbols.length; i++) consider(i)
    for (let best = heap.pop(); best; best = heap.pop()) {
      const left = symbols[best.left] as Symbol
      const right = left.next >= 0 ? symbols[left.next] : undefined
      if (left.text === '' || !right || left.text.length + right.text.length !== best.length) continue
      left.text += right.text
      right.text = ''
      left.next = right.next
      if (right.next >= 0) (symbols[right.next] as Symbol).previous = best.left
      consider(left.previous)
      consider(best.left)
    }
    return parts
  }

  #emit(text: string, parts: Parts, ids: number[]): void {
    const id = this.#idOf.get(text)
    const joinedFrom = parts.get(text)
    if (joinedFrom) for (const part of joinedFrom) this.#emit(part, parts, ids)
    else if (id !== undefined) ids.push(id)
    else if (this.#model.byteFallback) {
      for (const byte of new TextEncoder().encode(text)) ids.push(this.#byteIds[byte] as number)
    } else if (ids.at(-1) !== this.#unknown) ids.push(this.#unknown) // a run of unknown characters is one token
  }
}
