/** The mini PRM: trained from the policy on the labels of its own search. */
import { openTrainable } from '../engine/trainable.ts'
import { type Recipe, runTraining, type TrainProgress, type TrainResult } from '../train/index.ts'

const RECIPE: Recipe = {
  template: 'prefill-prm',
  // WHY not higher: labels of one bit move the weights slowly, and on labels about pictures alone noise at 8e-4 wiped out
  // what the policy had learnt to see before it was put to use; at 1e-4 a hundred steps were enough.
  learningRate: 1.5e-4,
  epochs: 2,
  batchSize: 32,
  warmupRatio: 0.03,
  weightDecay: 0.05,
  decay: 'matrices',
  freeze: [],
  microBatchTokens: 16_384,
}

/** For runs long enough to be judged on the way: the best weights are kept. */
export const EVALUATED: Recipe = { evalFraction: 0.1, evalEvery: 50 }

export interface PrmTraining {
  /** Folder of the policy. */
  init: string
  /** File of samples. */
  data: string
  out: string
  recipe?: Recipe
  signal?: AbortSignal
  onProgress?: (progress: TrainProgress) => void
}

export function trainMiniPrm({ init, data, out, recipe, signal, onProgress }: PrmTraining): Promise<TrainResult> {
  return runTraining(
    {
      ...RECIPE,
      ...recipe,
      ...{ task: 'prm', init, data, out, resume: true },
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    },
    openTrainable,
  )
}
