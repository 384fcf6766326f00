/** Reading a policy's text: blocks, reasoning before them, and hostile texts in linear time. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { capRollout, MAX_ROLLOUT_CHARS, MAX_ROLLOUT_STEPS, readRollout } from '../../../ts/contracts/read-rollout.ts'
import { hasReasoning, opensReasoning, solutionStart } from '../../../ts/contracts/reasoning.ts'

const read = (text: string, more: { truncated?: boolean; maxSteps?: number; isReasoning?: boolean } = {}) =>
  readRollout(text, { truncated: false, ...more })
const GOOD = '<step> one </step>\n<step>two</step><answer> 42 </answer>'
const WHOLE = { outcome: 'complete', steps: ['one', 'two', '42'], answer: '42' }

test('the answer is the last step', () => {
  assert.equal(read(GOOD), WHOLE)
  assert.equal(read(`Sure! ${GOOD} Done.`), WHOLE)
  assert.equal(read('<answer>42</answer>'), { outcome: 'complete', steps: ['42'], answer: '42' })
  assert.equal(read(GOOD, { maxSteps: 1 }), { outcome: 'stopped', steps: ['one'], answer: null })
  assert.equal(read(GOOD, { maxSteps: 3 }), WHOLE)
  assert.equal(read(GOOD, { truncated: true }), { ...WHOLE, outcome: 'truncated' })
})

test('text that does not fit is unparsed; closed blocks are returned all the same', () => {
  const cases: [string, string[]][] = [
    ['', []],
    ['I am sorry.', []],
    ['<step>one</step>', ['one']],
    ['<step>one</step><step>tw', ['one']],
    ['<step>a<step>b</step></step><answer>5</answer>', ['a<step>b', '5']],
    ['<step></step><answer>5</answer>', ['', '5']],
    ['<step>a</step> and so <answer>5</answer>', ['a', '5']],
    ['</step><step>a</step><answer>5</answer>', ['a', '5']],
    ['<answer>5</answer><step>a</step>', ['5', 'a']],
    ['<step>a</step><answer>5</answer><answer>6</answer>', ['a', '5', '6']],
    ['<step>a</step><answer>5</answer></step>', ['a', '5']],
    ['<answer>5 <step>a</step>', ['a']],
    ['<step>a</answer><answer>5</answer>', ['5']],
  ]
  for (const [text, steps] of cases) {
    const { outcome, steps: found } = read(text)
    assert.equal([outcome, found], ['unparsed', steps], text)
  }
})

test('reasoning before the steps is set aside, however it names their tags', () => {
  const thoughts = [
    '<think>\nI should write <step>steps</step> and an <answer>answer</answer>.\n</think>\n\n',
    '<think></think>',
    '  <think>a</think><think>b <step></think>',
    'Okay. <think>so</think>',
    'I should write <step>steps</step>.\n</think>\n',
    '<step>1</step><answer>1</answer>\n</think>',
    '<think>a <think>b</think> <answer>7</answer> </think>',
    '<think>they ask for <think> and <step>x</step></think>',
    '<thinking><answer>1</answer></thinking>',
    '[THINK]<step>a</step>[/THINK]',
    '◁think▷<step>a</step>◁/think▷',
  ]
  for (const thought of thoughts) assert.equal(read(thought + GOOD), WHOLE, thought)
  for (const end of ['</think>', 'so </think>', '<think>again</think>'])
    assert.equal(read(end + GOOD, { isReasoning: true }), WHOLE, end)
  assert.equal(read(`${thoughts[0]}<step>one</step>`, { maxSteps: 1 }), { outcome: 'stopped', steps: ['one'], answer: null })
})

test('reasoning that is cut or never ends holds no steps; between steps it is no reasoning before them', () => {
  const open = '<think>first <step>a</step> then <answer>5</answer>'
  assert.equal(read(open), { outcome: 'unparsed', steps: [], answer: null })
  assert.equal(read(open, { truncated: true }), { outcome: 'truncated', steps: [], answer: null })
  for (const opened of [open.slice('<think>'.length), open, GOOD])
    assert.equal(read(opened, { isReasoning: true }), { outcome: 'unparsed', steps: [], answer: null })
  assert.ok(opensReasoning('<|im_start|>assistant\n<think>\n') && opensReasoning('[INST]a[/INST][THINK]'))
  assert.not.ok(opensReasoning('what is <think>?') || opensReasoning('<think>\n\n</think>\n\n'))
  assert.equal(read('', { truncated: true }), { outcome: 'truncated', steps: [], answer: null })
  assert.is(read('<step>a</step><think>hm</think><answer>5</answer>').outcome, 'unparsed')
  assert.equal(read('<step>The tag <think> opens it.</step><answer>5</answer>').steps, ['The tag <think> opens it.', '5'])
  assert.equal([hasReasoning(GOOD), hasReasoning(open), solutionStart(GOOD), solutionStart(open)], [false, true, 0, open.length])
})

test('a text beyond the limits is truncated', () => {
  const long = `<step>${'x'.repeat(MAX_ROLLOUT_CHARS)}</step>${GOOD}`
  assert.equal(read(long), { outcome: 'truncated', steps: [], answer: null })
  assert.is(capRollout(`${'x'.repeat(MAX_ROLLOUT_CHARS - 1)}😀`).length, MAX_ROLLOUT_CHARS - 1)
  assert.is(capRollout(long).length, MAX_ROLLOUT_CHARS)
  const many = `${'<step>a</step>'.repeat(MAX_ROLLOUT_STEPS)}<answer>5</answer>`
  assert.equal([read(many).outcome, read(many).steps.length], ['truncated', MAX_ROLLOUT_STEPS])
  assert.is(read(many.slice('<step>a</step>'.length)).outcome, 'complete')
})

// WHY twice the length and a wide bound: what is quadratic takes four times as long, and seconds; what is linear, milliseconds.
test('hostile texts take time in proportion to their length', () => {
  const atoms = ['<step>', '</step>', '<answer>', '<step></answer>', '<step>a</step>', '<think>', '</think>', '<think></think>']
  for (const atom of [...atoms, '<think><step>', '<answer><step>', '[THINK]', '<step> ', '<', '</']) {
    const start = process.cpuUsage()
    for (const text of [atom.repeat(MAX_ROLLOUT_CHARS / atom.length), `${atom.repeat(100_000)}${GOOD}`]) read(text)
    const { user, system } = process.cpuUsage(start)
    assert.ok(user + system < 2e6, `${atom}: ${(user + system) / 1e3} ms`)
  }
})

test.run()
