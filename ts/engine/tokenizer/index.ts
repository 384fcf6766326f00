/** Opens the tokenizer of a model folder: `tokenizer.json` where there is one, else `tokenizer.model`. */
import { invalidModel } from '../../contracts/errors.ts'
import { readTokenizerConfig } from './files.ts'
import { openHubTokenizer } from './hub.ts'
import { openSentencePieceTokenizer } from './slow.ts'
import type { Tokenizer } from './tokenizer.ts'

export { TokenDecoder, type Tokenizer } from './tokenizer.ts'

/** @throws EngineError INVALID_MODEL naming the file, or what is absent */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const config = await readTokenizerConfig(folder)
  const tokenizer = (await openHubTokenizer(folder, config)) ?? (await openSentencePieceTokenizer(folder, config))
  if (!tokenizer) throw invalidModel(`${folder}: no tokenizer: neither tokenizer.json nor tokenizer.model is there`)
  return tokenizer
}
