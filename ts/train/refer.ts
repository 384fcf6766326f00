/** The untrained model's view of pairs, before the first step. */
import type { TrainableModel, TrainRow } from '../contracts/trainer.ts'
import { chunks, microBatches } from './batches.ts'
import type { ParsedTrainOptions } from './options.ts'
import type { References } from './references.ts'
import type { Entry } from './split.ts'

/**
 * Asks `model`, which must not have been trained yet, about the pairs that are not known.
 * @param encode leaves out pairs that are too long
 * @throws EngineError TRAINING where what it says is no number, STORE
 */
export async function refer(
  references: References,
  model: TrainableModel,
  all: readonly Entry[],
  encode: (part: readonly Entry[]) => Promise<{ rows: TrainRow[]; entries: Entry[] }>,
  o: ParsedTrainOptions,
): Promise<void> {
  const unknown = all.filter(({ key }) => !references.has(key))
  let done = 0
  for (const part of chunks(unknown, o.batchSize)) {
    const { rows, entries } = await encode(part)
    const keys = new Map(rows.map((row, i) => [row, (entries[i] as Entry).key]))
    for (const micro of microBatches(rows, o.microBatchTokens)) {
      const { logprobs = [] } = await model.evaluate(micro)
      const pairOf = (i: number) => [logprobs[2 * i] as number, logprobs[2 * i + 1] as number] as const
      await references.keep(micro.map((row, i) => ({ key: keys.get(row) as string, id: row.sample.id, pair: pairOf(i) })))
    }
    done += part.length
    o.onReference?.({ done, total: unknown.length })
  }
}
