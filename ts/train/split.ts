/** Which samples are learnt from, set by set, and which are held out to be evaluated on. */
import { invalidArgument } from '../contracts/errors.ts'
import type { TrainSample } from '../contracts/trainer.ts'
import { isHeldOut } from './batches.ts'
import { epochCounts, epochSize, type MixedSet } from './mixture.ts'
import type { ParsedTrainOptions } from './options.ts'
import type { TrainSets } from './sets.ts'

/** A sample before it is read. */
export interface Entry {
  /** Of its reference. */
  readonly key: string
  readonly load: () => Promise<TrainSample>
}

/** What is learnt from, and what is held out. */
export interface Split {
  readonly train: readonly MixedSet[]
  readonly held: readonly Entry[]
}

/** @throws EngineError INVALID_ARGUMENT where nothing is left of a set, or nothing to evaluate on */
export function splitOf(o: ParsedTrainOptions, data: TrainSets, evalData: TrainSets | undefined): Split {
  const { evalFraction, seed, task, groupPaths } = o
  const held: Entry[] = []
  const train = data.sets.map(({ weight }, k) => {
    const members: { index: number; group: string }[] = []
    for (const { index, group } of data.members(k)) {
      if (evalFraction > 0 && isHeldOut(group, evalFraction, seed)) held.push({ key: String(index), load: () => data.at(index) })
      else members.push({ index, group: task === 'prm' && groupPaths ? group : String(index) })
    }
    return { members, weight }
  })
  for (const { index } of evalData?.members(0) ?? []) {
    held.push({ key: `eval ${index}`, load: async () => (evalData as TrainSets).at(index) })
  }
  checkShares(data, train)
  const evaluates = evalFraction > 0 || evalData !== undefined
  if (evaluates && held.length === 0) {
    throw invalidArgument(`train: no sample is there to evaluate on: evalFraction ${evalFraction} holds none out`)
  }
  return { train, held }
}

function checkShares({ sets }: TrainSets, train: readonly MixedSet[]): void {
  const of = (k: number) => (sets.length > 1 ? ` of ${sets[k]?.name}` : '')
  const empty = train.findIndex(({ members }) => members.length === 0)
  if (empty >= 0) throw invalidArgument(`train: no sample${of(empty)} is left to train on`)
  const starved = epochCounts(train).indexOf(0)
  if (starved < 0) return
  const weight = sets[starved]?.weight
  throw invalidArgument(`train: a weight of ${weight} gives no sample${of(starved)} to the ${epochSize(train)} of an epoch`)
}
