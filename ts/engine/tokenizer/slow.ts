/** SentencePiece `tokenizer.model` with added tokens beside it, as InternLM2 checkpoints come. */
import { join } from 'node:path'
import { type AddedToken, AddedTokens } from './added-tokens.ts'
import { configTokens, readAddedTokensFile, readChatTemplate, readOptional, type TokenizerConfig } from './files.ts'
import { SentencePiece } from './sentencepiece.ts'
import { readSentencePieceModel } from './sentencepiece-model.ts'
import { decodeBytes, remembering, type Tokenizer } from './tokenizer.ts'

/** InternLM2's own tokenizer drops blanks before signs and contractions when it decodes a whole text. */
function cleanUp(text: string): string {
  return text
    .replace(/ (?=[.?!,])/g, '')
    .replace(/ ' /g, "'")
    .replace(/ (?=n't|'m|'s|'ve|'re)/g, '')
}

/** added_tokens.json, overruled by the config's decoder; the model has no normaliser that a token could go through. */
async function readAddedTokens(folder: string, config: TokenizerConfig): Promise<AddedToken[]> {
  const listed = (await readAddedTokensFile(folder)).map((t) => ({ ...t, special: true }))
  const all = [...listed, ...configTokens(config).map((t) => ({ ...t, normalized: false }))]
  return [...new Map(all.map((t) => [t.content, t])).values()]
}

export async function openSentencePieceTokenizer(folder: string, config: TokenizerConfig): Promise<Tokenizer | undefined> {
  const bytes = await readOptional(folder, 'tokenizer.model')
  if (!bytes) return undefined
  const model = new SentencePiece(readSentencePieceModel(bytes, join(folder, 'tokenizer.model')))
  const tokens = await readAddedTokens(folder, config)
  const added = new AddedTokens(tokens)
  const special = new Set(tokens.filter((t) => t.special).map((t) => t.id))
  const pieceId = (piece: string) => added.ids.get(piece) ?? model.pieceId(piece)
  const bos = config.bos_token ?? '<s>'
  const eos = config.eos_token ?? '</s>'
  const bosId = config.add_bos_token === false ? undefined : pieceId(bos)
  const tokenizer: Tokenizer = {
    vocabSize: Math.max(model.vocabSize - 1, ...added.ids.values()) + 1,
    prefixIds: bosId === undefined ? [] : [bosId],
    prefixEverySegment: false,
    eosId: pieceId(eos),
    added,
    encode: (text) => added.split(text, (part) => model.encode(part)),
    encodePlain: remembering((text) => model.encode(text)),
    pieceId,
    isSpecial: (id) => special.has(id) || (!added.names.has(id) && model.isControl(id)),
    bytes: (id) => {
      if (special.has(id)) return new Uint8Array()
      const name = added.names.get(id)
      return name === undefined ? model.bytes(id) : new TextEncoder().encode(name)
    },
    decode: (ids, { skipSpecial = false } = {}) => {
      const text = decodeBytes(tokenizer, ids, (id) => (skipSpecial ? '' : (added.names.get(id) ?? model.piece(id) ?? '')))
      const clean = config.tokenizer_class === 'InternLM2Tokenizer' ? cleanUp(text) : text
      return model.addDummyPrefix ? clean.replace(/^ /, '') : clean
    },
    chat: { template: await readChatTemplate(folder, config), bosToken: bos, eosToken: eos },
  }
  return tokenizer
}
