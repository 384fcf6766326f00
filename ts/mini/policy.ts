/** The mini policy: how it is trained from nothing, and how it is asked. */
import { join } from 'node:path'
import { initModel, openTrainable } from '../engine/trainable.ts'
import { type FolderOptions, type OpenedPolicy, openPolicy } from '../kit/index.ts'
import { IN_DOMAIN } from '../tasks/index.ts'
import { miniModelFiles } from '../tasks/mini-model.ts'
import { runTraining, type TrainProgress, type TrainResult } from '../train/index.ts'
import { writtenSolutions } from './problems.ts'

/** Arithmetic repeats its digits, so nothing is held against a repetition. */
export const MINI_SAMPLING = { temperature: 1, topK: 50, topP: 0.95, repetitionPenalty: 1, maxTokens: 160 } as const

/** Peak rate, warm-up and batch of a model of this size trained from random weights. */
const RECIPE = {
  learningRate: 1e-3,
  batchSize: 32,
  warmupSteps: 200,
  weightDecay: 0.05,
  decay: 'matrices',
  beta2: 0.98,
  freeze: [],
  microBatchTokens: 16_384,
} as const

const INIT_SEED = 1
const EVALUATED = 480

export interface PolicyTraining {
  out: string
  /** Solutions seen; each is seen once. */
  samples: number
  seed: number
  /** Name of the problems that are seen: another one, other problems. */
  series: string
  /** A policy to go on from; random weights where absent. */
  from?: string
  signal?: AbortSignal
  onProgress?: (progress: TrainProgress) => void
}

/** Trains a policy on written solutions and leaves it in `out`. Goes on where an earlier run was stopped. */
export async function trainMiniPolicy({ out, samples, seed, series, from, ...rest }: PolicyTraining): Promise<TrainResult> {
  const { signal, onProgress } = rest
  const init = from ?? join(out, 'init')
  if (!from) await initModel({ files: miniModelFiles(), out: init, seed: INIT_SEED })
  return runTraining(
    {
      ...RECIPE,
      freeze: [...RECIPE.freeze],
      task: 'policy',
      init,
      out,
      seed,
      data: writtenSolutions(IN_DOMAIN, series, samples),
      evalData: writtenSolutions(IN_DOMAIN, 'evaluation', EVALUATED),
      evalEvery: 250,
      checkpointEvery: 250,
      resume: true,
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    },
    openTrainable,
  )
}

/** The policy in `model`, asked as it was trained, with the sampling above. */
export function openMiniPolicy(model: string, engine: Omit<FolderOptions, 'model'> = {}): Promise<OpenedPolicy> {
  return openPolicy({ model, sampling: MINI_SAMPLING, ...engine })
}
