/**
 * In which order several data sets are met. Every set is walked through in seeded orders of its own, one after another
 * through all epochs, so none of its samples comes twice before all came once; how many samples of a batch are of which set
 * follows the weights. Pure: an epoch's batches depend on its number, the seed and the sets alone.
 */
import { chunks, epochOrder } from './batches.ts'

export interface MixedSet {
  /** Numbers of its samples, as the batches name them, and the group of each. */
  readonly members: readonly { readonly index: number; readonly group: string }[]
  readonly weight: number
}

/** Which set each sample of an epoch is of: spread evenly, each set by its share of the weights. */
export function slotsOf(weights: readonly number[], count: number): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const due = weights.map(() => 0)
  return Array.from({ length: count }, () => {
    weights.forEach((weight, k) => {
      due[k] = (due[k] as number) + weight / total
    })
    const next = due.indexOf(Math.max(...due))
    due[next] = (due[next] as number) - 1
    return next
  })
}

/** `count` samples of a set from the `start`-th that is ever drawn of it. */
function drawn({ members }: MixedSet, seed: string, start: number, count: number): number[] {
  const groups = members.map(({ group }) => group)
  const all: number[] = []
  let skip = start % members.length
  for (let pass = Math.floor(start / members.length); all.length < count; pass++) {
    const order = epochOrder(groups, seed, pass)
    for (const i of order.slice(skip, skip + count - all.length)) all.push((members[i] as { index: number }).index)
    skip = 0
  }
  return all
}

/** Samples of an epoch: as many as all sets hold together. */
export const epochSize = (sets: readonly MixedSet[]) => sets.reduce((sum, { members }) => sum + members.length, 0)

/** How many of them are of each set. */
export function epochCounts(sets: readonly MixedSet[]): number[] {
  const slots = epochSlots(sets)
  return sets.map((_, k) => slots.filter((slot) => slot === k).length)
}

const epochSlots = (sets: readonly MixedSet[]) =>
  slotsOf(
    sets.map(({ weight }) => weight),
    epochSize(sets),
  )

/** Batches of an epoch. Samples of one set lie side by side in a batch, so that groups stay together. */
export function epochBatches(sets: readonly MixedSet[], seed: number, batchSize: number, epoch: number): number[][] {
  const counts = epochCounts(sets)
  const lists = sets.map((set, k) => {
    const count = counts[k] as number
    return drawn(set, k === 0 ? String(seed) : `${seed}/set/${k}`, epoch * count, count).values()
  })
  return chunks(epochSlots(sets), batchSize).map((batch) =>
    [...batch].sort((a, b) => a - b).map((slot) => (lists[slot] as ArrayIterator<number>).next().value as number),
  )
}
