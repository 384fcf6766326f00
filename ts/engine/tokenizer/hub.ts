/**
 * `tokenizer.json`: normaliser, pre-tokeniser and model are those of @huggingface/tokenizers; added tokens are laid
 * over the text here, so that users' text can go through the same model without them.
 */
import { join } from 'node:path'
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { invalidModel } from '../../contracts/errors.ts'
import { type AddedToken, AddedTokens } from './added-tokens.ts'
import {
  addedTokenFields,
  configTokens,
  isTokenId,
  readChatTemplate,
  readJsonFile,
  specialNames,
  type TokenizerConfig,
  tokenId,
} from './files.ts'
import { pieceDecoder } from './piece-bytes.ts'
import { decodeBytes, remembering, type Tokenizer } from './tokenizer.ts'

const addedToken = z
  .looseObject({ id: tokenId, ...addedTokenFields })
  .transform((t): AddedToken => ({ ...t, singleWord: t.single_word }))
/** Pieces with their ids; a list of pieces and scores in Unigram models. */
export const vocab = z
  .custom<object>((value) => typeof value === 'object' && value !== null)
  .check((ctx) => {
    // WHY not z.record: it copies, and a published vocabulary has 150,000 entries.
    const bad = Array.isArray(ctx.value) ? undefined : Object.entries(ctx.value).find(([, id]) => !isTokenId(id))
    if (bad) ctx.issues.push({ code: 'custom', input: bad[1], path: [bad[0]], message: `${bad[1]} is no token id` })
  })
const schema = z.looseObject({
  model: z.looseObject({ type: z.string().optional(), vocab }),
  added_tokens: z.array(addedToken).default([]),
  decoder: z.unknown(),
})
export type TokenizerJson = z.output<typeof schema>

/** The library's parts, without added tokens. */
class Pipeline {
  readonly #hub: HubTokenizer
  readonly model: NonNullable<HubTokenizer['model']>

  constructor(json: TokenizerJson, config: TokenizerConfig) {
    this.#hub = new HubTokenizer({ ...json, added_tokens: [] }, { ...config, added_tokens_decoder: {} })
    if (!this.#hub.model) throw new Error('it has no model')
    this.model = this.#hub.model
  }

  normalize(text: string): string {
    return this.#hub.normalizer?.normalize(text) ?? text
  }

  /** Ids of normalised text. */
  encode(text: string, atStart: boolean): number[] {
    if (text === '') return []
    const words = this.#hub.pre_tokenizer?.pre_tokenize(text, { section_index: atStart ? 0 : 1 }) ?? [text]
    return this.model
      ._call(words)
      .flatMap((piece: string) => this.model.tokens_to_ids.get(piece) ?? this.model.unk_token_id ?? [])
  }

  /** Names of the tokens that a whole text gets in front. */
  prefix(): string[] {
    const text = '\0'
    const tokens = this.#hub.post_processor?.post_process([text], null, true).tokens ?? [text]
    return tokens.slice(0, tokens.indexOf(text))
  }
}

/**
 * As transformers has them: those of the file, then those that the config alone has, with the ids that follow. What the
 * config says of a token counts.
 */
function addedTokens(json: TokenizerJson, config: TokenizerConfig, pieces: ReadonlyMap<string, number>): AddedToken[] {
  const tokens = new Map(json.added_tokens.map((t) => [t.content, t]))
  let next = Math.max(highest(pieces.values()), highest(json.added_tokens.map((t) => t.id))) + 1
  const idOf = (content: string) => tokens.get(content)?.id ?? pieces.get(content) ?? next++
  for (const token of configTokens(config)) tokens.set(token.content, { ...token, id: idOf(token.content) })
  const plain = { lstrip: false, rstrip: false, singleWord: false, normalized: false }
  for (const content of specialNames(config)) {
    tokens.set(content, { ...plain, content, ...tokens.get(content), special: true, id: idOf(content) })
  }
  return [...tokens.values()]
}

/** WHY not the post-processor alone: transformers rebuilds Llama's from this switch of the config. */
function prefixNames(pipeline: Pipeline, config: TokenizerConfig): string[] {
  const isLlama = /^(Code)?Llama/.test(config.tokenizer_class ?? '')
  if (!isLlama || typeof config.add_bos_token !== 'boolean') return pipeline.prefix()
  return config.add_bos_token && config.bos_token ? [config.bos_token] : []
}

// WHY no spread into Math.max: a published vocabulary has more ids than a call may have arguments.
function highest(ids: Iterable<number>): number {
  let found = -1
  for (const id of ids) found = Math.max(found, id)
  return found
}

export async function openHubTokenizer(folder: string, config: TokenizerConfig): Promise<Tokenizer | undefined> {
  const json = await readJsonFile(folder, 'tokenizer.json', schema)
  return json && assembleTokenizer(folder, 'tokenizer.json', json, config)
}

/** @param file where `json` comes from, for messages */
export async function assembleTokenizer(
  folder: string,
  file: string,
  json: TokenizerJson,
  config: TokenizerConfig,
): Promise<Tokenizer> {
  let pipeline: Pipeline
  let prefix: string[]
  let tokens: AddedToken[]
  let inNormalized: AddedTokens
  try {
    pipeline = new Pipeline(json, config)
    prefix = prefixNames(pipeline, config)
    tokens = addedTokens(json, config, pipeline.model.tokens_to_ids)
    const normalized = tokens.filter((t) => t.normalized).map((t) => ({ ...t, content: pipeline.normalize(t.content) }))
    inNormalized = new AddedTokens(normalized)
    pipeline.encode(pipeline.normalize('a 1'), true) // a damaged step of it shows at work only
  } catch (error) {
    throw invalidModel(`${join(folder, file)}: ${(error as Error).message}`, error)
  }
  const { model } = pipeline
  const inRaw = new AddedTokens(tokens.filter((t) => !t.normalized))
  const added = new AddedTokens(tokens)
  const special = new Set(tokens.filter((t) => t.special).map((t) => t.id))
  const pieceId = (piece: string) => added.ids.get(piece) ?? model.tokens_to_ids.get(piece)
  const { toBytes, stripsFirstSpace } = pieceDecoder(json.decoder)
  const tokenizer: Tokenizer = {
    vocabSize: Math.max(highest(model.tokens_to_ids.values()), highest(added.names.keys())) + 1,
    prefixIds: prefix.map((name) => {
      const id = pieceId(name)
      if (id === undefined) throw invalidModel(`${join(folder, file)}: post_processor: no token "${name}"`)
      return id
    }),
    prefixEverySegment: true,
    added,
    eosId: config.eos_token ? pieceId(config.eos_token) : undefined,
    encode: (text) =>
      inRaw.split(text, (part, first) =>
        inNormalized.split(pipeline.normalize(part), (rest, atStart) => pipeline.encode(rest, first && atStart)),
      ),
    encodePlain: remembering((text, atStart) => pipeline.encode(pipeline.normalize(text), atStart)),
    pieceId,
    isSpecial: (id) => special.has(id),
    bytes: (id) => {
      if (special.has(id)) return new Uint8Array()
      const name = added.names.get(id)
      return name === undefined ? toBytes(model.vocab[id] ?? '') : new TextEncoder().encode(name)
    },
    decode: (ids, { skipSpecial = false } = {}) => {
      const text = decodeBytes(tokenizer, ids, (id) => (skipSpecial ? '' : (added.names.get(id) ?? '')))
      return stripsFirstSpace ? text.replace(/^ /, '') : text
    },
    chat: {
      template: await readChatTemplate(folder, config),
      bosToken: config.bos_token ?? '',
      eosToken: config.eos_token ?? '',
    },
  }
  return tokenizer
}
