/** Opens the tokenizer of a model folder: tokenizer.json, else tokenizer.model, else vocab.json with merges.txt. */
import { invalidModel } from '../../contracts/errors.ts'
import { openBytePairTokenizer } from './byte-pairs.ts'
import { readTokenizerConfig } from './files.ts'
import { openHubTokenizer } from './hub.ts'
import { openSentencePieceTokenizer } from './slow.ts'
import type { Tokenizer } from './tokenizer.ts'

export { TokenDecoder, type Tokenizer } from './tokenizer.ts'

/** @throws EngineError INVALID_MODEL naming the file, or what is absent */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const config = await readTokenizerConfig(folder)
  const tokenizer =
    (await openHubTokenizer(folder, config)) ??
    (await openSentencePieceTokenizer(folder, config)) ??
    (await openBytePairTokenizer(folder, config))
  if (tokenizer) return tokenizer
  throw invalidModel(
    `${folder}: no tokenizer: neither tokenizer.json nor tokenizer.model nor vocab.json with merges.txt is there`,
  )
}
