/** `vocab.json` with `merges.txt`, as Qwen2's slow tokenizer saves them: what its tokenizer.json would say. */
import { join } from 'node:path'
import { EngineError, invalidModel } from '../../contracts/errors.ts'
import type { AddedToken } from './added-tokens.ts'
import { configTokens, readAddedTokensFile, readJsonFile, readOptional, specialNames, type TokenizerConfig } from './files.ts'
import { assembleTokenizer, vocab } from './hub.ts'
import type { Tokenizer } from './tokenizer.ts'

const VOCAB = 'vocab.json'
const MERGES = 'merges.txt'
const WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
/** The class's own names for roles of which the config says nothing. */
const END_OF_TEXT = '<|endoftext|>'
const ROLES = { unk_token: END_OF_TEXT, eos_token: END_OF_TEXT, pad_token: END_OF_TEXT }

function readMerges(bytes: Buffer, path: string, pieces: Record<string, number>): [string, string][] {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw invalidModel(`${path}: ${(error as Error).message}`, error)
  }
  return text.split('\n').flatMap((raw, i): [string, string][] => {
    const line = raw.trim()
    if (line === '' || (i === 0 && line.startsWith('#version:'))) return []
    const [left, right, ...more] = line.split(/\s+/) as [string, string?]
    if (right === undefined || more.length > 0) throw invalidModel(`${path}: line ${i + 1}: "${line}" is not two pieces`)
    const stranger = [left, right, left + right].find((piece) => !Object.hasOwn(pieces, piece))
    if (stranger !== undefined) throw invalidModel(`${path}: line ${i + 1}: "${stranger}" is not in ${VOCAB}`)
    return [[left, right]]
  })
}

/** With the ids that the folder gives them: those of added_tokens.json, overruled by the config's. */
async function readTokens(folder: string, config: TokenizerConfig): Promise<AddedToken[]> {
  const special = new Set(specialNames(config))
  const listed = (await readAddedTokensFile(folder)).map((t) => {
    const isSpecial = special.has(t.content)
    return { ...t, special: isSpecial, normalized: !isSpecial }
  })
  return [...new Map([...listed, ...configTokens(config)].map((t) => [t.content, t])).values()]
}

export async function openBytePairTokenizer(folder: string, named: TokenizerConfig): Promise<Tokenizer | undefined> {
  const pieces = (await readJsonFile(folder, VOCAB, vocab)) as Record<string, number> | undefined
  const bytes = await readOptional(folder, MERGES)
  if (!pieces && !bytes) return undefined
  if (!pieces || !bytes) throw invalidModel(`${folder}: no tokenizer: ${pieces ? MERGES : VOCAB} is missing`)
  const { tokenizer_class: kind } = named
  if (kind && !/^Qwen2Tokenizer(Fast)?$/.test(kind)) {
    const what = `${VOCAB} and ${MERGES} of a ${kind}: those of Qwen2Tokenizer are read`
    throw new EngineError('ERR_ENGINE_UNSUPPORTED_MODEL', `${folder}: ${what}; save the tokenizer with its tokenizer.json`)
  }
  const config = { ...ROLES, ...named }
  const bytePieces = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
  const words = { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Isolated', invert: false }
  const json = {
    model: { type: 'BPE', vocab: pieces, merges: readMerges(bytes, join(folder, MERGES), pieces) },
    added_tokens: await readTokens(folder, config),
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [words, bytePieces] },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
  }
  return assembleTokenizer(folder, VOCAB, json, config)
}
