/** The mini policy: how it is trained from nothing, and how it is asked. */
import { join } from 'node:path'
import type { Policy } from '../contracts/policy.ts'
import { checkpointHash } from '../engine/checkpoint-hash.ts'
import { Engine } from '../engine/engine.ts'
import { initModel, openTrainable } from '../engine/trainable.ts'
import { nativePolicy } from '../policy/native.ts'
import { IN_DOMAIN } from '../tasks/index.ts'
import { miniModelFiles } from '../tasks/mini-model.ts'
import { runTraining, statePath, type TrainProgress, type TrainResult } from '../train/index.ts'
import { workedSolutions } from './problems.ts'

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
const HELD_OUT = 480

export const CHECKPOINT_EVERY = 250
/** An early checkpoint is a weaker policy, which a PRM can be tried on. */
const KEEP_ALL = 1000

export interface PolicyTraining {
  out: string
  /** Solutions seen; each is seen once. */
  samples: number
  seed: number
  signal?: AbortSignal
  onProgress?: (progress: TrainProgress) => void
}

/** Trains a policy on worked solutions and leaves it in `out`. Goes on where an earlier run was stopped. */
export async function trainMiniPolicy({ out, samples, seed, signal, onProgress }: PolicyTraining): Promise<TrainResult> {
  const init = join(out, 'init')
  await initModel(miniModelFiles(), init, { seed: INIT_SEED })
  return runTraining(
    {
      ...RECIPE,
      freeze: [...RECIPE.freeze],
      task: 'policy',
      init,
      out,
      seed,
      data: workedSolutions(IN_DOMAIN, `policy/${seed}`, samples),
      evalData: workedSolutions(IN_DOMAIN, 'heldout', HELD_OUT),
      evalEvery: 250,
      checkpointEvery: CHECKPOINT_EVERY,
      keepCheckpoints: KEEP_ALL,
      resume: true,
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    },
    openTrainable,
  )
}

/** The policy as it was after `step` steps of the run in `run`, as a checkpoint folder in `out`. */
export async function exportPolicy(run: string, step: number, out: string): Promise<void> {
  await using model = await openTrainable({
    ...{
      task: 'policy',
      init: join(run, 'init'),
      compute: 'bf16',
      freeze: [],
      recompute: false,
      seed: 0,
      lossWeight: 'token',
      saveAs: 'full',
    },
  })
  await model.loadState(statePath(run, step))
  await model.saveModel(out, { dtype: 'bf16', record: { training: { step } } })
}

export interface MiniPolicy extends AsyncDisposable {
  readonly engine: Engine
  readonly policy: Policy
}

export async function openMiniPolicy(model: string, threads?: number): Promise<MiniPolicy> {
  const engine = await Engine.open({ model, ...(threads && { threads }) })
  const policy = nativePolicy(engine, {
    model,
    modelHash: checkpointHash(model),
    template: 'prefill',
    sampling: MINI_SAMPLING,
  })
  return { engine, policy, [Symbol.asyncDispose]: () => engine.close() }
}
