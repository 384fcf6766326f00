/** Log-probabilities of tokens that are given: what a model makes of a text that another wrote. */
import { setImmediate } from 'node:timers/promises'
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument } from '../contracts/errors.ts'
import type { GeneratorContext } from './generator.ts'
import { settle } from './settle.ts'

/** Logits in memory at once; a large vocabulary fills it in some hundred rows. */
const MAX_LOGIT_BYTES = 256 * 2 ** 20
/** Logits looked at in one go: some ten milliseconds, in which nothing else of this process runs. */
const LOGITS_PER_TURN = 2 ** 20

export type LogprobsContext = Pick<GeneratorContext, 'native' | 'info' | 'folder' | 'tokenizer'>

/**
 * log p(token j + 1 | tokens to j) for j from `first` to the last but one. A text whose rows are too many at once is computed in
 * several passes, each anew from the beginning.
 * @throws EngineError INVALID_ARGUMENT (a reward head in place of the vocabulary's), ABORTED
 */
export async function tokenLogprobs(
  { native, info, folder, tokenizer }: LogprobsContext,
  { tokens, first, signal }: { tokens: readonly number[]; first: number; signal?: AbortSignal | undefined },
): Promise<number[]> {
  const { vocab, numClasses } = info.decoder
  if (numClasses > 0) throw invalidArgument(`${info.architecture} has a reward head: it gives tokens no probabilities`)
  const strange = tokens.findIndex((id) => id >= vocab)
  if (strange >= 0) throw invalidArgument(`token ${strange} is ${tokens[strange]}, the vocabulary has ${vocab}`)
  const step = Math.max(1, Math.floor(MAX_LOGIT_BYTES / (4 * vocab)))
  const result: number[] = []
  for (let from = first; from < tokens.length - 1; from += step) {
    const to = Math.min(from + step, tokens.length - 1)
    const { values, width } = await settle(
      native().forward({
        sequences: [Int32Array.from(tokens.slice(0, to))],
        wanted: [Int32Array.from({ length: to - from }, (_, i) => from + i)],
        images: [],
        imageToken: folder.imageToken(tokenizer),
        output: 'logits',
        hidden: false,
      }),
      signal,
    )
    const logits = values[0] as Float32Array
    const rowsPerTurn = Math.max(1, Math.floor(LOGITS_PER_TURN / width))
    for (let row = from; row < to; row++) {
      const at = (row - from) * width
      result.push(logSoftmax(logits.subarray(at, at + width))(tokens[row + 1] as number))
      if ((row - from) % rowsPerTurn < rowsPerTurn - 1) continue
      await setImmediate()
      throwIfAborted(signal)
    }
  }
  return result
}

/** log p of any id, of one row of logits. */
export function logSoftmax(row: Float32Array): (id: number) => number {
  let top = Number.NEGATIVE_INFINITY
  for (const logit of row) top = Math.max(top, logit)
  let sum = 0
  for (const logit of row) sum += Math.exp(logit - top)
  const log = Math.log(sum)
  return (id) => (row[id] as number) - top - log
}
