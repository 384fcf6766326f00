/** A sample as it is returned: where it stops, what its text reads as. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { toCompletion } from '../../../ts/engine/completion.ts'
import type { NativeSample } from '../../../ts/engine/native.ts'
import type { Tokenizer } from '../../../ts/engine/tokenizer/index.ts'

/** Every byte is a token. */
const tokenizer = { bytes: (id: number) => Uint8Array.of(id) } as unknown as Tokenizer
const TEXT = '<step>one</step><step>two</step><answer>42</answer>'

function sampled(text: string, maxSteps?: number, finish: NativeSample['finish'] = 'length', isReasoning = false) {
  const native = { tokens: Int32Array.from(Buffer.from(text)), finish, logprobs: new Float32Array() } as NativeSample
  return toCompletion(tokenizer, { strings: [], maxSteps, isReasoning }, native, 3, 7)
}

test('steps end with the answer, as a PRM scores them', () => {
  const { sample, steps, answer, outcome } = sampled(`${TEXT}!`, undefined, 'stop')
  assert.equal({ sample, steps, answer, outcome }, { sample: 3, steps: ['one', 'two', '42'], answer: '42', outcome: 'complete' })
  assert.is(sampled(TEXT).outcome, 'truncated')
  assert.equal(sampled('Hello.!', undefined, 'stop').steps, [])
})

test('maxSteps counts the steps behind the reasoning', () => {
  for (const thought of ['', '<think>a <step>step</step> and <step>another</step></think>', 'So <think></think>']) {
    const { text, steps, outcome, finish } = sampled(thought + TEXT, 1)
    assert.equal(
      { text, steps, outcome, finish },
      {
        ...{ text: `${thought}<step>one</step>`, steps: ['one'], outcome: 'stopped', finish: 'steps' },
      },
    )
  }
  assert.is(sampled('<think><step>one</step><step>two</step>', 1).outcome, 'truncated')
})

test('where the prompt has opened the reasoning, steps count behind its end alone', () => {
  const open = (text: string, maxSteps?: number) => sampled(text, maxSteps, 'length', true)
  for (const thought of [
    'a <step>step</step> and <step>another</step></think>',
    '<think>again: <step>a</step></think>',
    '</think>',
  ]) {
    const { text, steps, outcome, startsInReasoning } = open(thought + TEXT, 1)
    assert.equal(
      { text, steps, outcome, startsInReasoning },
      { text: `${thought}<step>one</step>`, steps: ['one'], outcome: 'stopped', startsInReasoning: true },
    )
  }
  for (const maxSteps of [undefined, 1]) assert.equal(open(`Perhaps ${TEXT}`, maxSteps).steps, [])
  assert.not.ok('startsInReasoning' in sampled(TEXT))
})

test.run()
