/** Several data sets: whose samples a batch holds, in which order, and that it depends on nothing but seed and number. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chunks, epochOrder } from '../../../ts/train/batches.ts'
import { epochBatches, epochCounts, type MixedSet, slotsOf } from '../../../ts/train/mixture.ts'

const setOf = (first: number, size: number, weight: number, perGroup = 1): MixedSet => ({
  weight,
  members: Array.from({ length: size }, (_, i) => ({ index: first + i, group: `g${first + Math.floor(i / perGroup)}` })),
})
const count = (list: readonly number[], of: (n: number) => boolean) => list.filter(of).length

test('one set: the order is that of its epochs, whatever its weight', () => {
  const set = setOf(0, 23, 7)
  const groups = set.members.map(({ group }) => group)
  for (const epoch of [0, 1, 5]) assert.equal(epochBatches([set], 3, 4, epoch), chunks(epochOrder(groups, 3, epoch), 4))
})

test('shares follow the weights in every batch, however large the sets are', () => {
  const sets = [setOf(0, 10, 2), setOf(100, 290, 1)]
  assert.equal(epochCounts(sets), [200, 100])
  const batches = epochBatches(sets, 1, 6, 0)
  assert.is(batches.length, 50)
  for (const batch of batches)
    assert.is(
      count(batch, (n) => n < 100),
      4,
    )
  for (const weights of [
    [1, 1, 1],
    [0.3, 5, 1.7],
    [1e-3, 1],
  ]) {
    const total = weights.reduce((a, b) => a + b)
    const slots = slotsOf(weights, 1000)
    for (const [k, weight] of weights.entries())
      for (const n of [10, 333, 1000]) {
        const met = count(slots.slice(0, n), (slot) => slot === k)
        assert.ok(Math.abs(met - (n * weight) / total) <= weights.length, `${weights}: ${met} of ${n}`)
      }
  }
})

test('no sample of a set comes twice before all of it came once, across epochs', () => {
  const sets = [setOf(0, 7, 1), setOf(100, 30, 1)]
  const epochs = Array.from({ length: 6 }, (_, epoch) => epochBatches(sets, 9, 5, epoch).flat())
  for (const [low, high, size] of [
    [0, 100, 7],
    [100, 200, 30],
  ] as const) {
    const met = epochs.flat().filter((n) => n >= low && n < high)
    for (const pass of chunks(met, size)) assert.is(new Set(pass).size, pass.length)
  }
  assert.equal(
    epochs.map((epoch) => epoch.length),
    Array(6).fill(37),
  )
})

test('the seed and the number of the epoch decide, and each set by itself', () => {
  const sets = [setOf(0, 20, 1), setOf(100, 20, 1)]
  assert.equal(epochBatches(sets, 4, 8, 3), epochBatches(sets, 4, 8, 3))
  assert.not.equal(epochBatches(sets, 4, 8, 3), epochBatches(sets, 5, 8, 3))
  const own = (batches: number[][]) => batches.flat().filter((n) => n < 100)
  assert.not.equal(
    own(epochBatches(sets, 4, 8, 0)),
    epochBatches(sets, 4, 8, 0)
      .flat()
      .filter((n) => n >= 100)
      .map((n) => n - 100),
  )
  // Another second set of the same share changes nothing of the first one.
  const other = [setOf(0, 20, 1), setOf(100, 20, 1, 4)]
  assert.equal(own(epochBatches(sets, 4, 8, 2)), own(epochBatches(other, 4, 8, 2)))
})

test('groups stay side by side in a batch', () => {
  const sets = [setOf(0, 40, 3, 4), setOf(100, 40, 1, 2)]
  for (const batch of epochBatches(sets, 2, 16, 0)) {
    const groups = batch.map((n) => (n < 100 ? `a${n >> 2}` : `b${n >> 1}`))
    const runs = groups.filter((group, i) => group !== groups[i - 1])
    assert.is(new Set(runs).size, runs.length)
  }
})

test.run()
