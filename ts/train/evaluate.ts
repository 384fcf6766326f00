/** Loss and accuracy on what is held out, and the threshold that parts its right steps from the wrong ones. */
import { invalidArgument, trainingError } from '../contracts/errors.ts'
import type { TrainableModel, TrainRow } from '../contracts/trainer.ts'
import { chunks, microBatches } from './batches.ts'
import { type ParsedTrainOptions, preferenceOf } from './options.ts'
import { Rewards } from './rewards.ts'
import type { Entry } from './split.ts'
import { fitThreshold, type HeldOutStep } from './threshold.ts'

/** What goes into metrics.jsonl. */
export interface Evaluation {
  evalLoss: number
  evalAccuracy: number
  evalTerms: number
  /** dpo: see rewards.ts. */
  evalMargin?: number
  /** prm: undefined where nothing parts right and wrong. */
  threshold: number | undefined
}

/** What an evaluation tells of the steps whose label counts. */
function heldOutSteps({ labels, markerWeights }: TrainRow, predictions: Float32Array | undefined): HeldOutStep[] {
  const all = Array.from(predictions ?? [], (score, i) => ({
    score,
    label: labels[i] as number,
    weight: markerWeights[i] as number,
  }))
  return all.filter(({ weight }) => weight > 0)
}

/**
 * @param encode leaves out samples that are too long
 * @throws EngineError INVALID_ARGUMENT where no weight is left, TRAINING where the loss is no number
 */
export async function evaluate(
  model: TrainableModel,
  held: readonly Entry[],
  encode: (part: readonly Entry[]) => Promise<{ rows: TrainRow[] }>,
  o: ParsedTrainOptions,
  step: number,
): Promise<Evaluation> {
  let [loss, weight, correct, terms] = [0, 0, 0, 0]
  const steps: HeldOutStep[] = []
  const rewards = new Rewards(preferenceOf(o))
  for (const part of chunks(held, o.batchSize)) {
    const { rows } = await encode(part)
    for (const micro of microBatches(rows, o.microBatchTokens)) {
      const result = await model.evaluate(micro)
      rewards.add(micro, result.logprobs)
      loss += result.loss
      weight += result.weight
      correct += result.numCorrect
      terms += result.numTerms
      for (const [i, row] of micro.entries()) steps.push(...heldOutSteps(row, result.predictions[i]))
    }
  }
  const evalLoss = loss / weight
  if (weight === 0) throw invalidArgument('train: the samples to evaluate on are all too long or carry no weight')
  if (!Number.isFinite(evalLoss)) throw trainingError(`step ${step}: the loss of the evaluation is ${evalLoss}`)
  const { margin } = rewards.means()
  return {
    evalLoss,
    evalAccuracy: terms > 0 ? correct / terms : 0,
    evalTerms: terms,
    ...(margin !== undefined && { evalMargin: margin }),
    threshold: fitThreshold(steps),
  }
}
