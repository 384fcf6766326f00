/** Which samples make up which step: a seeded order per epoch, batches, micro-batches by tokens. Pure. */
import { hash32, seededRandom } from '../contracts/random.ts'
import { type TrainRow, tokensOf } from '../contracts/trainer.ts'

/** A seeded permutation of whole groups; samples of one group stay together, in their own order. */
export function epochOrder(groups: readonly string[], seed: number | string, epoch: number): number[] {
  const random = seededRandom(`${seed}/epoch/${epoch}`)
  const members = new Map<string, number[]>()
  groups.forEach((group, i) => {
    const list = members.get(group)
    if (list) list.push(i)
    else members.set(group, [i])
  })
  const lists = [...members.values()]
  for (let i = lists.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[lists[i], lists[j]] = [lists[j] as number[], lists[i] as number[]]
  }
  return lists.flat()
}

/** Whether a problem is held out: decided by its name alone, so no problem is ever on both sides. */
export function isHeldOut(group: string, fraction: number, seed: number): boolean {
  return hash32(group, seed) / 2 ** 32 < fraction
}

export function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}

/** Rows in order, cut where the next group would pass `maxTokens`; a group alone may pass it. */
export function microBatches(rows: readonly TrainRow[], maxTokens: number): TrainRow[][] {
  const batches: TrainRow[][] = []
  let tokens = 0
  for (let at = 0; at < rows.length; ) {
    const group = (rows[at] as TrainRow).sample.group
    let end = at
    let size = 0
    while (end < rows.length && rows[end]?.sample.group === group) size += tokensOf(rows[end++] as TrainRow)
    const members = rows.slice(at, end)
    const last = batches.at(-1)
    if (last && tokens + size <= maxTokens) {
      last.push(...members)
      tokens += size
    } else {
      batches.push(members)
      tokens = size
    }
    at = end
  }
  return batches
}
