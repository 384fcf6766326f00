/**
 * Reads `tokenizer.model`: the SentencePiece protocol buffer with its pieces, scores and normaliser flags. Strict:
 * anything that is no such file ends in one typed error that names the file and the byte.
 */
import { EngineError, invalidModel } from '../../contracts/errors.ts'

/** As in sentencepiece_model.proto. */
export const PIECE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

export interface SentencePieceModel {
  pieces: { text: string; score: number; type: number }[]
  byteFallback: boolean
  addDummyPrefix: boolean
  removeExtraWhitespaces: boolean
}

const BPE = 2
const unsupported = (message: string) => new EngineError('ERR_ENGINE_UNSUPPORTED_MODEL', message)
const MAX_PIECES = 4_000_000

/** A message's fields, one after the other. */
class Wire {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #end: number
  readonly #path: string
  at: number

  constructor(bytes: Uint8Array, path: string, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#path = path
    this.at = at
    this.#end = end
  }

  fail(what: string): never {
    throw invalidModel(`${this.#path}: not a SentencePiece model: ${what} at byte ${this.at}`)
  }

  get size(): number {
    return this.#end - this.at
  }

  get more(): boolean {
    return this.at < this.#end
  }

  varint(): number {
    let value = 0
    for (let shift = 1, i = 0; i < 10; i++, shift *= 128) {
      if (this.at >= this.#end) this.fail('the file ends inside a number')
      const byte = this.#bytes[this.at++] as number
      value += (byte & 127) * shift
      if (byte < 128) return value
    }
    return this.fail('a number is too long')
  }

  #take(length: number): number {
    if (length > this.#end - this.at) this.fail('a field passes the end')
    const from = this.at
    this.at += length
    return from
  }

  field(): { number: number; type: number } {
    const tag = this.varint()
    return { number: Math.floor(tag / 8), type: tag % 8 }
  }

  skip(type: number): void {
    if (type === 0) this.varint()
    else if (type === 1) this.#take(8)
    else if (type === 2) this.#take(this.varint())
    else if (type === 5) this.#take(4)
    else this.fail(`unknown wire type ${type}`)
  }

  message(type: number): Wire {
    if (type !== 2) this.fail('a message is expected')
    const length = this.varint()
    const from = this.#take(length)
    return new Wire(this.#bytes, this.#path, from, from + length)
  }

  text(type: number): string {
    if (type !== 2) this.fail('a text is expected')
    const length = this.varint()
    const from = this.#take(length)
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#bytes.subarray(from, from + length))
    } catch {
      return this.fail('a text is not valid UTF-8')
    }
  }

  float(type: number): number {
    if (type !== 5) this.fail('a float is expected')
    return this.#view.getFloat32(this.#take(4), true)
  }

  number(type: number): number {
    if (type !== 0) this.fail('a number is expected')
    return this.varint()
  }
}

function readPiece(wire: Wire) {
  const piece = { text: '', score: 0, type: PIECE.normal as number }
  while (wire.more) {
    const { number, type } = wire.field()
    if (number === 1) piece.text = wire.text(type)
    else if (number === 2) piece.score = wire.float(type)
    else if (number === 3) piece.type = wire.number(type)
    else wire.skip(type)
  }
  return piece
}

function readTrainer(wire: Wire): { modelType: number; byteFallback: boolean } {
  const trainer = { modelType: 1, byteFallback: false }
  while (wire.more) {
    const { number, type } = wire.field()
    if (number === 3) trainer.modelType = wire.number(type)
    else if (number === 35) trainer.byteFallback = wire.number(type) !== 0
    else wire.skip(type)
  }
  return trainer
}

function readNormalizer(wire: Wire) {
  const normalizer = { charsmapBytes: 0, addDummyPrefix: true, removeExtraWhitespaces: true, escapeWhitespaces: true }
  while (wire.more) {
    const { number, type } = wire.field()
    if (number === 2) normalizer.charsmapBytes = wire.message(type).size
    else if (number === 3) normalizer.addDummyPrefix = wire.number(type) !== 0
    else if (number === 4) normalizer.removeExtraWhitespaces = wire.number(type) !== 0
    else if (number === 5) normalizer.escapeWhitespaces = wire.number(type) !== 0
    else wire.skip(type)
  }
  return normalizer
}

/** What encoding relies on. */
function checkPieces(pieces: SentencePieceModel['pieces'], byteFallback: boolean, path: string): void {
  const bad = pieces.findIndex((p) => p.text === '' || !Number.isFinite(p.score))
  if (bad >= 0)
    throw invalidModel(`${path}: piece ${bad} has ${pieces[bad]?.text === '' ? 'no text' : 'a score that is no number'}`)
  if (!pieces.some((p) => p.type === PIECE.unknown)) throw invalidModel(`${path}: no piece stands for unknown characters`)
  const bytes = new Set(pieces.flatMap((p) => (p.type === PIECE.byte ? [byteOf(p.text)] : [])))
  if (bytes.has(undefined) || (byteFallback && bytes.size < 256))
    throw invalidModel(`${path}: of the 256 byte pieces <0x00> … <0xFF> some are missing or misnamed`)
}

/** The byte that a piece like <0x0A> is named for. */
export function byteOf(piece: string): number | undefined {
  const hex = /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1]
  return hex === undefined ? undefined : Number.parseInt(hex, 16)
}

/** @throws EngineError INVALID_MODEL naming file and byte, UNSUPPORTED_MODEL for models other than plain BPE */
export function readSentencePieceModel(bytes: Uint8Array, path: string): SentencePieceModel {
  const wire = new Wire(bytes, path)
  const pieces: SentencePieceModel['pieces'] = []
  let trainer = { modelType: 1, byteFallback: false }
  let normalizer = { charsmapBytes: 0, addDummyPrefix: true, removeExtraWhitespaces: true, escapeWhitespaces: true }
  while (wire.more) {
    const { number, type } = wire.field()
    if (number === 1) {
      pieces.push(readPiece(wire.message(type)))
      if (pieces.length > MAX_PIECES) wire.fail('too many pieces')
    } else if (number === 2) trainer = readTrainer(wire.message(type))
    else if (number === 3) normalizer = readNormalizer(wire.message(type))
    else wire.skip(type)
  }
  if (pieces.length === 0) wire.fail('it has no pieces')
  checkPieces(pieces, trainer.byteFallback, path)
  if (trainer.modelType !== BPE)
    throw unsupported(`${path}: a SentencePiece BPE model (type ${BPE}) is expected, this is of type ${trainer.modelType}`)
  if (normalizer.charsmapBytes > 0 || !normalizer.escapeWhitespaces) {
    throw unsupported(`${path}: SentencePiece models with a character map of their own are not supported`)
  }
  const { addDummyPrefix, removeExtraWhitespaces } = normalizer
  return { pieces, byteFallback: trainer.byteFallback, addDummyPrefix, removeExtraWhitespaces }
}
