/** SentencePiece models written here piece by piece, and damaged ones. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { seededRandom } from '../../../ts/contracts/random.ts'
import { SentencePiece } from '../../../ts/engine/tokenizer/sentencepiece.ts'
import { PIECE, readSentencePieceModel } from '../../../ts/engine/tokenizer/sentencepiece-model.ts'
import { goldenFolders } from '../../helpers/golden.ts'

type Piece = [text: string, score?: number, type?: number]
interface Flags {
  modelType?: number
  byteFallback?: boolean
  dummyPrefix?: boolean
  removeExtra?: boolean
  charsmap?: Uint8Array
}

/** One field of a protocol buffer message. */
function field(number: number, value: number | string | Uint8Array): number[] {
  if (typeof value === 'number') return [number * 8, value]
  const bytes = [...Buffer.from(value as string)]
  return [number * 8 + 2, ...varint(bytes.length), ...bytes]
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]
}

function float(number: number, value: number): number[] {
  return [number * 8 + 5, ...new Uint8Array(Float32Array.of(value).buffer)]
}

const message = (number: number, bytes: number[]) => field(number, Uint8Array.from(bytes))

function modelBytes(pieces: Piece[], flags: Flags = {}): Uint8Array {
  const { modelType = 2, byteFallback = false, dummyPrefix = false, removeExtra = false, charsmap } = flags
  const trainer = [...field(3, modelType), ...varint(35 * 8), Number(byteFallback)]
  const normalizer = [...(charsmap ? field(2, charsmap) : []), ...field(3, Number(dummyPrefix)), ...field(4, Number(removeExtra))]
  return Uint8Array.from([
    ...pieces.flatMap(([text, score = 0, type = 1]) => message(1, [...field(1, text), ...float(2, score), ...field(3, type)])),
    ...message(2, trainer),
    ...message(3, normalizer),
  ])
}

const UNKNOWN: Piece = ['<unk>', 0, PIECE.unknown]
const LETTERS: Piece[] = ['a', 'b', 'c', '▁'].map((c, i) => [c, -100 - i])

/** Pieces that a text is encoded to. */
function encode(text: string, pieces: Piece[], flags?: Flags): (string | undefined)[] {
  const model = new SentencePiece(readSentencePieceModel(modelBytes([UNKNOWN, ...LETTERS, ...pieces], flags), 'x.model'))
  return model.encode(text).map((id) => model.piece(id))
}

test('the best score is joined first, the leftmost among equals', () => {
  assert.equal(
    encode('abc', [
      ['ab', -2],
      ['bc', -1],
    ]),
    ['a', 'bc'],
  )
  assert.equal(encode('aaa', [['aa', -1]]), ['aa', 'a'])
  assert.equal(
    encode('abab', [
      ['ab', -1],
      ['abab', -5],
    ]),
    ['abab'],
  )
})

test('an unused piece may stand between two merges, but not in the result', () => {
  const unused: Piece = ['ab', -1, PIECE.unused]
  assert.equal(encode('ab', [unused]), ['a', 'b'])
  assert.equal(encode('abc', [unused, ['abc', -2]]), ['abc'])
})

test('user-defined pieces are matched whole, longest first, and never joined', () => {
  const user: Piece[] = [
    ['ab', 0, PIECE.userDefined],
    ['abca', 0, PIECE.userDefined],
  ]
  assert.equal(encode('abcab', [...user, ['ca', -1]]), ['abca', 'b'])
  assert.equal(encode('cabc', [...user, ['abc', -1]]), ['c', 'ab', 'c'])
})

test('a run of unknown characters is one token; with byte fallback they become bytes', () => {
  assert.equal(encode('aπ≤b', []), ['a', '<unk>', 'b'])
  const bytes = Array.from({ length: 256 }, (_, b): Piece => {
    return [`<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`, 0, PIECE.byte]
  })
  assert.equal(encode('aπ', bytes, { byteFallback: true }), ['a', '<0xCF>', '<0x80>'])
  assert.equal(encode('\ud800', bytes, { byteFallback: true }), ['<0xEF>', '<0xBF>', '<0xBD>'])
  assert.equal(encode('<0x41>', bytes, { byteFallback: true }).length, 6, 'what looks like a byte piece is text')
})

test('flags for blanks', () => {
  assert.equal(encode('a', [], { dummyPrefix: true }), ['▁', 'a'])
  assert.equal(encode('', [], { dummyPrefix: true }), [])
  assert.equal(encode(' a  b ', []), ['▁', 'a', '▁', '▁', 'b', '▁'])
  assert.equal(encode(' a  b ▁', [], { removeExtra: true }), ['a', '▁', 'b'])
  assert.equal(encode(`${'▁'.repeat(100_000)}a`, [], { removeExtra: true }).length, 100_001)
})

test('models that cannot be encoded with are refused by name', () => {
  const refusal = (bytes: Uint8Array) => {
    try {
      readSentencePieceModel(bytes, 'x.model')
    } catch (error) {
      assert.instance(error, EngineError)
      return `${(error as EngineError).code} ${(error as Error).message}`
    }
    throw new Error('should have been refused')
  }
  const zero: Piece = ['<0x00>', 0, PIECE.byte]
  assert.match(refusal(new Uint8Array()), /INVALID_MODEL x\.model: .*no pieces/)
  assert.match(refusal(modelBytes([['a']])), /INVALID_MODEL x\.model: no piece stands for unknown/)
  assert.match(refusal(modelBytes([UNKNOWN, ['']])), /piece 1 has no text/)
  assert.match(refusal(modelBytes([UNKNOWN, ['a', Number.NaN]])), /piece 1 has a score/)
  assert.match(refusal(modelBytes([UNKNOWN, zero], { byteFallback: true })), /256 byte pieces/)
  assert.match(refusal(modelBytes([UNKNOWN, ['<0xZZ>', 0, PIECE.byte]])), /misnamed/)
  assert.match(refusal(modelBytes([UNKNOWN], { modelType: 1 })), /UNSUPPORTED_MODEL x\.model: .*type 1/)
  assert.match(refusal(modelBytes([UNKNOWN], { charsmap: Uint8Array.of(1, 2) })), /UNSUPPORTED_MODEL x\.model: .*character map/)
  const good = modelBytes([UNKNOWN, ['a']])
  assert.match(refusal(good.subarray(0, 5)), /passes the end at byte 2/)
})

test('damaged files end in a typed error or in a model that encodes, soon', () => {
  const files = goldenFolders('tokenizers').map((f) => join(f.path, 'tokenizer.model'))
  const good = readFileSync(files.find(existsSync) as string)
  const random = seededRandom('fuzz')
  const counts = { models: 0, errors: 0 }
  const start = performance.now()
  for (let round = 0; round < 3000 && performance.now() - start < 60_000; round++) {
    const bytes = Buffer.from(random() < 0.3 ? good.subarray(0, Math.floor(random() * good.length)) : good)
    const changes = 1 + Math.floor(3 * random())
    for (let i = 0; i < changes; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    try {
      const model = new SentencePiece(readSentencePieceModel(bytes, 'x.model'))
      const ids = model.encode('Step 1: ∠A = 118° \ud800 <0x41> ▁▁ 是')
      assert.ok(ids.every((id) => Number.isInteger(id) && id >= 0 && id < model.vocabSize))
      for (const id of ids) assert.instance(model.bytes(id), Uint8Array)
      counts.models++
    } catch (error) {
      assert.instance(error, EngineError, String(error))
      assert.match((error as Error).message, /^x\.model: /)
      counts.errors++
    }
  }
  console.log(`SentencePiece: ${counts.models} damaged files read, ${counts.errors} refused`)
  assert.ok(counts.models > 100 && counts.errors > 100)
})

test.run()
