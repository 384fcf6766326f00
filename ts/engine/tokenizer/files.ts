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

const configSchema = z.looseObject({
  tokenizer_class: z.string().nullish(),
  add_bos_token: z.boolean().nullish(),
  bos_token: optionalToken,
  eos_token: optionalToken,
  additional_special_tokens: z.array(token).nullish(),
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
  return (await readJsonFile(folder, 'tokenizer_config.json', configSchema)) ?? {}
}

/** Added tokens of a SentencePiece folder: added_tokens.json, overruled by the config's decoder. */
export async function readAddedTokens(folder: string, config: TokenizerConfig): Promise<AddedToken[]> {
  const plain = { special: true, lstrip: false, rstrip: false, singleWord: false, normalized: false }
  const names = (await readJsonFile(folder, 'added_tokens.json', z.record(z.string(), tokenId))) ?? {}
  const tokens = new Map(Object.entries(names).map(([content, id]) => [content, { ...plain, content, id }]))
  for (const [key, { content, special, lstrip, rstrip, single_word }] of Object.entries(config.added_tokens_decoder ?? {}))
    tokens.set(content, { ...plain, content, id: Number(key), special, lstrip, rstrip, singleWord: single_word })
  return [...tokens.values()]
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
