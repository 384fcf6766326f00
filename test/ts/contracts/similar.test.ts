/** Steps that say the same: by their results first, then by their letters. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { areSimilar, diversity, evaluate, groupSimilar, ratio } from '../../../ts/contracts/similar.ts'

test('sums of plain numbers are worked out, anything else is not', () => {
  const values = {
    '3 + 4 * 2': 11,
    '(3+4)*2': 14,
    '-2 - -3': 1,
    '10 / 4': 2.5,
    '2(3)': undefined,
    x: undefined,
    '1 / 0': undefined,
    '': undefined,
    '(1': undefined,
  }
  for (const [text, value] of Object.entries(values)) assert.is(evaluate(text), value, text)
})

test('the ratio counts what both have in one order', () => {
  assert.is(ratio('abcd', 'abcd'), 1)
  assert.is(ratio('abcd', 'bd'), 4 / 6)
  assert.is(ratio('abc', 'cba'), 2 / 6)
  assert.is(ratio('', 'a'), 0)
  assert.is(ratio('abab', 'baba'), 6 / 8)
})

test('other results are never alike, equal ones are where the words are', () => {
  assert.ok(areSimilar('So we get 3 + 4 = 7 apples.', 'So we get 4 + 3 = 7 apples.'))
  assert.ok(areSimilar('The total is 12 = 6 * 2', 'The total is 12 = 2 * 6.'))
  assert.not(areSimilar('So we get 3 + 4 = 7.', 'So we get 3 + 4 = 8.'))
  assert.not(areSimilar('There are 12 pens in it.', 'There are 13 pens in it.'))
  assert.ok(areSimilar('There are 1,200 pens in the box.', 'There are 1200 pens in that box.'))
  assert.not(areSimilar('There are 12 pens.', 'Twelve is 12, which follows from the table above.'))
  assert.ok(areSimilar('Add the two sides together.', 'Add the two sides togethers'))
  assert.equal(groupSimilar(['a = 1 now', 'b is quite different', 'a = 1 now.', 'a = 2 now']), [[0, 2], [1], [3]])
  assert.equal(groupSimilar([]), [])
})

test('diversity is 0 of equal texts and grows', () => {
  assert.is(diversity(['a']), undefined)
  assert.is(diversity(['abc', 'abc', 'abc']), 0)
  assert.is(diversity(['ab', 'cd']), 1)
  assert.is(diversity(['ab', 'ab', 'cd']), 2 / 3)
})

test.run()
