/** `tokenizer.json` through @huggingface/tokenizers. A second instance without added tokens reads users' text. */
import { join } from 'node:path'
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { invalidModel } from '../../contracts/errors.ts'
import { readChatTemplate, readJsonFile, type TokenizerConfig, tokenId } from './files.ts'
import { AddedTokens, decodeBytes, type Tokenizer } from './tokenizer.ts'

const addedToken = z.looseObject({ id: tokenId, content: z.string(), special: z.boolean().default(false) })
const schema = z.looseObject({
  // Pieces with their ids; a list of pieces and scores in Unigram models.
  model: z.looseObject({ type: z.string().optional(), vocab: z.union([z.record(z.string(), tokenId), z.array(z.unknown())]) }),
  added_tokens: z.array(addedToken).default([]),
  decoder: z.unknown(),
})

/** GPT-2's printable stand-ins -> bytes. */
function byteLevelTable(): Map<string, number> {
  const isPrintable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255)
  const table = new Map<string, number>()
  let next = 256
  for (let b = 0; b < 256; b++) table.set(String.fromCodePoint(isPrintable(b) ? b : next++), b)
  return table
}

const mentions = (value: unknown, type: string): boolean => JSON.stringify(value ?? null).includes(`"type":"${type}"`)

// WHY no spread into Math.max: a published vocabulary has more ids than a call may have arguments.
function highest(ids: Iterable<number>): number {
  let found = -1
  for (const id of ids) found = Math.max(found, id)
  return found
}

/** How a piece's text stands for bytes. */
function pieceBytes(decoder: unknown): (piece: string) => Uint8Array {
  if (mentions(decoder, 'ByteLevel')) {
    const table = byteLevelTable()
    return (piece) => {
      const bytes = [...piece].map((c) => table.get(c))
      return bytes.every((b) => b !== undefined) ? Uint8Array.from(bytes as number[]) : new TextEncoder().encode(piece)
    }
  }
  const hasByteFallback = mentions(decoder, 'ByteFallback')
  return (piece) => {
    const byte = hasByteFallback ? /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1] : undefined
    return byte === undefined ? new TextEncoder().encode(piece.replaceAll('▁', ' ')) : Uint8Array.of(Number.parseInt(byte, 16))
  }
}

export async function openHubTokenizer(folder: string, config: TokenizerConfig): Promise<Tokenizer | undefined> {
  const json = await readJsonFile(folder, 'tokenizer.json', schema)
  if (!json) return undefined
  let all: HubTokenizer
  let plain: HubTokenizer
  try {
    all = new HubTokenizer(json, config)
    plain = new HubTokenizer({ ...json, added_tokens: [] }, { ...config, added_tokens_decoder: {} })
    for (const tokenizer of [all, plain]) tokenizer.encode('a 1') // a damaged step of it shows at work only
  } catch (error) {
    throw invalidModel(`${join(folder, 'tokenizer.json')}: ${(error as Error).message}`, error)
  }
  // Tokens that only the config calls special are special too, as in transformers.
  const named = new Set(config.additional_special_tokens ?? [])
  const special = new Set(json.added_tokens.filter((t) => t.special || named.has(t.content)).map((t) => t.id))
  const added = new Map(json.added_tokens.map((t) => [t.id, t.content]))
  const toBytes = pieceBytes(json.decoder)
  const whole = (text: string) => all.encode(text, { add_special_tokens: true }).ids
  const without = (text: string) => all.encode(text, { add_special_tokens: false }).ids
  const vocab = all.get_vocab(true)
  const tokenizer: Tokenizer = {
    vocabSize: Math.max(highest(vocab.values()), highest(added.keys())) + 1,
    prefixIds: whole('a').slice(0, whole('a').length - without('a').length),
    prefixEverySegment: true,
    added: new AddedTokens(new Map(json.added_tokens.map((t) => [t.content, t.id]))),
    eosId: config.eos_token ? all.token_to_id(config.eos_token) : undefined,
    encode: without,
    encodePlain: (text) => plain.encode(text, { add_special_tokens: false }).ids,
    pieceId: (piece) => all.token_to_id(piece),
    isSpecial: (id) => special.has(id),
    bytes: (id) => {
      if (special.has(id)) return new Uint8Array()
      const name = added.get(id)
      return name === undefined ? toBytes(all.id_to_token(id) ?? '') : new TextEncoder().encode(name)
    },
    decode: (ids, { skipSpecial = false } = {}) => {
      const text = decodeBytes(tokenizer, ids, (id) => (skipSpecial ? '' : (added.get(id) ?? '')))
      return mentions(json.decoder, 'Strip') ? text.replace(/^ /, '') : text
    },
    chat: {
      template: await readChatTemplate(folder, config),
      bosToken: config.bos_token ?? '',
      eosToken: config.eos_token ?? '',
    },
  }
  return tokenizer
}
