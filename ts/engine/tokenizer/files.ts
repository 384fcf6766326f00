/** The JSON files around a tokenizer: tokenizer_config.json, added_tokens.json, the chat template in its places. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { invalidModel } from '../../contracts/errors.ts'
import type { AddedToken } from './added-tokens.ts'

const token = z.union([z.string(), z.looseObject({ content: z.string() }).transform((t) => t.content)])
const optionalToken = token.nullish()
// No vocabulary comes near it; without a bound one wrong id would make tables of any size.
const MAX_ID = 2 ** 24
export const isTokenId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0 && (id as number) <= MAX_ID
export const tokenId = z.custom<number>(isTokenId, 'must be a token id')

const flag = z.boolean().default(false)
/** What tokenizer.json and tokenizer_config.json both say of an added token. */
export const addedTokenFields = {
  content: z.string(),
  special: flag,
  lstrip: flag,
  rstrip: flag,
  single_word: flag,
  normalized: flag,
}

/** Named in tokenizer_config.json, or in special_tokens_map.json. */
const specialTokens = {
  bos_token: optionalToken,
  eos_token: optionalToken,
  unk_token: optionalToken,
  sep_token: optionalToken,
  pad_token: optionalToken,
  cls_token: optionalToken,
  mask_token: optionalToken,
  additional_special_tokens: z.array(token).nullish(),
}
const configSchema = z.looseObject({
  ...specialTokens,
  tokenizer_class: z.string().nullish(),
  add_bos_token: z.boolean().nullish(),
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
  added_tokens_decoder: z
    .record(
      z
        .string()
        .regex(/^\d+$/)
        .refine((key) => Number(key) <= MAX_ID),
      z.looseObject(addedTokenFields),
    )
    .nullish(),
})
export type TokenizerConfig = z.output<typeof configSchema>

/** Bytes of a file of the folder; undefined where it is absent. */
export async function readOptional(folder: string, name: string): Promise<Buffer | undefined> {
  const path = join(folder, name)
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw invalidModel(`${path}: ${error.message}`, error)
  })
}

/** A JSON file checked against `schema`; undefined where it is absent. */
export async function readJsonFile<S extends z.ZodType>(
  folder: string,
  name: string,
  schema: S,
): Promise<z.output<S> | undefined> {
  const bytes = await readOptional(folder, name)
  if (bytes === undefined) return undefined
  const path = join(folder, name)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw invalidModel(`${path}: ${(error as Error).message}`, error)
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  throw invalidModel(`${path}: ${parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`)
}

export async function readTokenizerConfig(folder: string): Promise<TokenizerConfig> {
  const config = (await readJsonFile(folder, 'tokenizer_config.json', configSchema)) ?? {}
  const map = (await readJsonFile(folder, 'special_tokens_map.json', z.looseObject(specialTokens))) ?? {}
  const absent = Object.keys(specialTokens).filter((key) => config[key] === undefined && map[key] !== undefined)
  return { ...config, ...Object.fromEntries(absent.map((key) => [key, map[key]])) }
}

/** Tokens that the config calls special, in the order in which transformers adds those that nothing else names. */
export function specialNames(config: TokenizerConfig): string[] {
  const { bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token } = config
  const roles = [bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token]
  return [...new Set([...roles, ...(config.additional_special_tokens ?? [])])].filter((name) => typeof name === 'string')
}

/** The config's added_tokens_decoder, in rising order of ids. */
export function configTokens(config: TokenizerConfig): AddedToken[] {
  return Object.entries(config.added_tokens_decoder ?? {})
    .map(([id, { single_word, ...token }]) => ({ ...token, id: Number(id), singleWord: single_word }))
    .sort((a, b) => a.id - b.id)
}

/** added_tokens.json, which old versions wrote: ids alone, for tokens that are looked for as they stand. */
export async function readAddedTokensFile(folder: string): Promise<Omit<AddedToken, 'special'>[]> {
  const names = (await readJsonFile(folder, 'added_tokens.json', z.record(z.string(), tokenId))) ?? {}
  const plain = { lstrip: false, rstrip: false, singleWord: false, normalized: false }
  return Object.entries(names).map(([content, id]) => ({ ...plain, content, id }))
}

/** chat_template.jinja, chat_template.json, or the config's own; of several the one named default. */
export async function readChatTemplate(folder: string, config: TokenizerConfig): Promise<string | undefined> {
  const file = await readOptional(folder, 'chat_template.jinja')
  if (file) return file.toString('utf8')
  const json = await readJsonFile(folder, 'chat_template.json', z.looseObject({ chat_template: z.string() }))
  if (json) return json.chat_template
  const own = config.chat_template
  if (Array.isArray(own)) return (own.find((t) => t.name === 'default') ?? own[0])?.template
  return own ?? undefined
}
