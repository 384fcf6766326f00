/** Where a run begins: anew, or at the newest checkpoint of the run that it goes on with. */
import { invalidArgument } from '../contracts/errors.ts'
import type { TrainableModel } from '../contracts/trainer.ts'
import type { Checkpoints, RunPosition } from './checkpoints.ts'
import type { ParsedTrainOptions } from './options.ts'

export function startOf(identity: Record<string, unknown>): RunPosition {
  const evaluation = { bestEvalLoss: null, bestStep: null, evaluationsWithoutGain: 0 }
  return { step: 0, identity, ...evaluation, loss: null, numSamples: 0, numSkipped: 0, seconds: 0 }
}

/** Content by which a run knows what it began with; a run of an earlier version does not tell. */
const CONTENTS = ['pictures', 'evalPictures', 'initHash']

export function checkSame(out: string, identity: Record<string, unknown>, stored: Record<string, unknown>): void {
  // The weights count by their hash, wherever their folder lies now.
  const isCompared = (key: string) => !(CONTENTS.includes(key) && !(key in stored)) && !(key === 'init' && 'initHash' in stored)
  const keys = [...new Set([...Object.keys(identity), ...Object.keys(stored)])].filter(isCompared)
  const changed = keys.filter((key) => JSON.stringify(identity[key]) !== JSON.stringify(stored[key]))
  if (changed.length === 0) return
  const describe = (key: string) => `${key} was ${JSON.stringify(stored[key])}, is ${JSON.stringify(identity[key])}`
  throw invalidArgument(`${out}: the run to be resumed had other options: ${changed.map(describe).join('; ')}`)
}

/**
 * Where to go on; undefined at the beginning. A folder with checkpoints is continued only on demand, and only by the run
 * that wrote them.
 */
export async function findStart(
  o: ParsedTrainOptions,
  checkpoints: Checkpoints,
  identity: Record<string, unknown>,
): Promise<RunPosition | undefined> {
  const last = await checkpoints.lastStep()
  if (last === undefined) return undefined
  if (!o.resume) throw invalidArgument(`${o.out} holds checkpoints up to step ${last}; resume the run or name another folder`)
  const found = await checkpoints.newestWhole((warning) => o.onWarning?.(warning))
  if (!found) return undefined
  // The weights are compared when the model is open.
  checkSame(o.out, { ...identity, initHash: found.identity['initHash'] }, found.identity)
  if (found.bestStep !== null) await checkpoints.checkBest()
  return found
}

/** @throws EngineError INVALID_ARGUMENT: the state is of another model, or the run began with other weights */
export async function loadStart(
  o: ParsedTrainOptions,
  checkpoints: Checkpoints,
  model: TrainableModel,
  found: RunPosition,
  identity: Record<string, unknown>,
): Promise<void> {
  await checkpoints.loadState(model, found.step)
  checkSame(o.out, identity, found.identity)
}
