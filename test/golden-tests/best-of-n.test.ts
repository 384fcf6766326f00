/** Aggregated values and choices of the reference's Best-of-N code. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { aggregate, aggregationOf, selectBest } from '../../ts/select/index.ts'
import { GOLDEN_ROOT, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('best-of-n')

interface Item {
  prm_scores: number[][]
  values: Record<string, number[]>
  selected: Record<string, number>
}
const items: Item[] = readJson(join(GOLDEN_ROOT, 'best-of-n/items.json'))

test('values and choices of every item', () => {
  let ran = 0
  items.forEach((item, i) => {
    for (const [name, expected] of Object.entries(item.values)) {
      aggregationOf(name)
      item.prm_scores.forEach((scores, candidate) => {
        const actual = aggregate(scores, name) as number
        const off = Math.abs(actual - (expected[candidate] as number)) / Math.max(1e-12, Math.abs(expected[candidate] as number))
        assert.ok(off <= 1e-6, `item ${i}, ${name}, candidate ${candidate}: ${actual} is not ${expected[candidate]}`)
      })
      const chosen = selectBest({ id: i, scores: item.prm_scores }, name)
      const expectedChoice = item.selected[name] as number
      assert.ok(chosen.includes(expectedChoice), `item ${i}, ${name}: chose ${chosen}, not ${expectedChoice}`)
      // The reference takes the first of equals; ours names them all, so the others must be equal in the reference too.
      for (const c of chosen) assert.is(expected[c], expected[expectedChoice], `item ${i}, ${name}: ${chosen}`)
      ran++
    }
  })
  console.log(`golden/best-of-n: ${ran} cases ran`)
  assert.ok(ran > 0)
})

test.run()
