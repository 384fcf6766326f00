/** One optimizer step: gradients over micro-batches, clipping, AdamW at the schedule's rate. */
import { trainingError } from '../contracts/errors.ts'
import type { TrainableModel, TrainRow } from '../contracts/trainer.ts'
import { microBatches } from './batches.ts'
import { type ParsedTrainOptions, preferenceOf } from './options.ts'
import { Rewards } from './rewards.ts'
import { scheduleFactor } from './schedule.ts'

/** What goes into metrics.jsonl. */
export interface StepReport {
  /** The mean that the gradient is of. */
  loss: number
  accuracy: number
  learningRate: number
  gradNorm: number
  samples: number
  numTokens: number
  numRows: number
  numImageRows: number
  /** dpo: means over the pairs, see rewards.ts. */
  margin?: number
  chosenReward?: number
  rejectedReward?: number
  seconds: number
}

const weightOf = (rows: readonly TrainRow[]) => rows.reduce((sum, row) => sum + row.weight, 0)
const idsOf = (rows: readonly TrainRow[]) => rows.map((row) => row.sample.id).join(', ')

function requireFinite(value: number, what: string, step: number, rows: readonly TrainRow[]): void {
  if (!Number.isFinite(value)) throw trainingError(`step ${step + 1}: ${what} is ${value} on the samples ${idsOf(rows)}`)
}

/**
 * Step number `step`, counted from 0; undefined, and no weight moved, where the rows hold nothing to learn.
 * @throws EngineError TRAINING naming the samples; the weights are those before the step
 */
export async function takeStep(
  model: TrainableModel,
  rows: readonly TrainRow[],
  o: ParsedTrainOptions,
  step: number,
  totalSteps: number,
): Promise<StepReport | undefined> {
  const start = performance.now()
  const parts = microBatches(rows, o.microBatchTokens).filter((part) => weightOf(part) > 0)
  // WHY no optimizer step: decay and old moments would move the weights though nothing was seen.
  if (parts.length === 0) return undefined
  const weight = weightOf(rows)
  const rewards = new Rewards(preferenceOf(o))
  const total = { loss: 0, numCorrect: 0, numTerms: 0, numTokens: 0, numRows: 0, numImageRows: 0 }
  for (const part of parts) {
    const scale = o.averageOver === 'batch' ? 1 / weight : 1 / (weightOf(part) * parts.length)
    const { loss, logprobs, ...counts } = await model.accumulate(part, scale)
    rewards.add(part, logprobs)
    requireFinite(loss, 'the loss', step, part)
    total.loss += loss * scale
    for (const key of ['numCorrect', 'numTerms', 'numTokens', 'numRows', 'numImageRows'] as const) total[key] += counts[key]
  }
  const warmup = o.warmupSteps ?? Math.ceil(totalSteps * o.warmupRatio)
  const learningRate = o.learningRate * scheduleFactor(o.schedule, step, warmup, totalSteps)
  const { beta1, beta2, eps, weightDecay } = o
  const decay = { weightDecay, decayVectors: o.decay === 'all' }
  const gradNorm = await model.step({ learningRate, beta1, beta2, eps, ...decay, maxNorm: o.clip })
  requireFinite(gradNorm, "the gradients' norm", step, rows)
  const { loss, numCorrect, numTerms, ...counts } = total
  const seconds = (performance.now() - start) / 1000
  const means = { loss, accuracy: numCorrect / numTerms, ...rewards.means() }
  return { ...means, learningRate, gradNorm, samples: rows.length, ...counts, seconds }
}
