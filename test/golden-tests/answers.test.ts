/**
 * Answer pairs with the verdict that a maths teacher gives. No wrong answer may be accepted; of all verdicts at least
 * 99 in 100 must be the teacher's. What differs is printed.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { verifyAnswer } from '../../ts/verify/index.ts'
import { GOLDEN_ROOT, needAreas } from '../helpers/golden.ts'

await needAreas('answers')

interface Pair {
  id: string
  gold: string
  pred: string
  expected: boolean
  choices?: string[]
}

const REQUIRED = 0.99
const folder = join(GOLDEN_ROOT, 'answers')

for (const file of readdirSync(folder).filter((name) => name.endsWith('.jsonl'))) {
  test(`a teacher's verdicts: ${file}`, () => {
    const pairs: Pair[] = readFileSync(join(folder, file), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const wrong = pairs.filter(({ gold, pred, expected, choices }) => verifyAnswer(gold, pred, { choices }).match !== expected)
    for (const { id, gold, pred, expected } of wrong)
      console.log(`differs (${id}): gold ${gold} pred ${pred}: expected ${expected}`)
    console.log(`golden/answers/${file}: ${pairs.length} pairs ran, ${pairs.length - wrong.length} agree`)
    assert.equal(
      wrong.filter(({ expected }) => !expected).map(({ id }) => id),
      [],
      'wrong answers are accepted',
    )
    assert.ok(pairs.length > 0 && wrong.length <= (1 - REQUIRED) * pairs.length)
  })
}

test.run()
