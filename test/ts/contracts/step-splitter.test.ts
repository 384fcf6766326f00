/** Steps of policies that write no tags. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { stepSplitter } from '../../../ts/contracts/step-splitter.ts'

const test = suite('step splitter')

const CASES: [name: string, text: string, steps: string[]][] = [
  ['blank-line', 'First.\nmore\n\nSecond.\n \n\nThird.', ['First.\nmore', 'Second.', 'Third.']],
  ['line', 'First.\n\nSecond.\nThird.', ['First.', 'Second.', 'Third.']],
  ['step-n', 'Let us see.\nStep 1: a\nb\n**Step 2**: c', ['Let us see.', 'Step 1: a\nb', '**Step 2**: c']],
  ['heading', '### One\nx\n\n### Two\ny', ['### One\nx', '### Two\ny']],
  ['regex:---', 'a---b--- c', ['a', 'b', 'c']],
  ['blank-line', '<think>no\n\nyes</think>A\n\nB', ['A', 'B']],
  ['blank-line', ' \n\n ', []],
]

for (const [name, text, steps] of CASES) {
  test(`${name}: ${JSON.stringify(text).slice(0, 40)}`, () => {
    const splitter = stepSplitter(name)
    assert.equal(splitter.split(text), steps)
    assert.equal(splitter.split(splitter.join(steps)), name.startsWith('regex') ? ['a\n\nb\n\nc'] : steps)
  })
}

test('what begins inside of reasoning has steps behind its end alone', () => {
  const { split } = stepSplitter('blank-line')
  assert.equal([split('a\n\nb', true), split('a\n\nb</think>\n\nA\n\nB', true)], [[], ['A', 'B']])
})

test('neighbours are merged, the answer stays by itself', () => {
  const text = ['a', 'b', 'c', 'd', 'answer'].join('\n\n')
  assert.equal(stepSplitter('blank-line/3').split(text), ['a\n\nb', 'c\n\nd', 'answer'])
  assert.equal(stepSplitter('blank-line/9').split(text).length, 5)
  assert.equal(stepSplitter('blank-line/1').split(text), [text])
})

test('an unknown name is refused with the nearest, a broken pattern with why', () => {
  assert.throws(() => stepSplitter('blank-lines'), /blank-line/)
  assert.throws(() => stepSplitter('regex:('), /regex:\(/)
})

test.run()
