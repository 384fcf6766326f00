/** `mm-prm generate` as a process: lines in, lines out, exit codes. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'
import { goldenModels, readJson } from '../helpers/golden.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const [IMAGE = ''] = picturesOf(MODEL)
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const work = mkdtempSync(join(tmpdir(), 'mm-prm-generate-'))
test.after(() => rmSync(work, { recursive: true, force: true }))

function generate(lines: readonly (object | string)[], args: readonly string[], model = MODEL) {
  const input = join(work, 'input.jsonl')
  writeFileSync(input, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'))
  const argv = [MAIN, 'generate', '--model', model, '--input', input, ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
  return {
    status,
    stderr,
    out: stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  }
}

cpSync(IMAGE, join(work, 'chart.png'))
const LINES = [
  { id: 'a', question: 'How many apples?', image: 'chart.png' },
  { id: 2, question: 'How many oranges?', steps: ['Read the chart.'] },
  { id: 'c', question: 'How many apples?', image: `data:image/png;base64,${readFileSync(join(work, 'chart.png'), 'base64')}` },
]
const ARGS = ['-n', '3', '--seed', '11', '--max-tokens', '12', '--top-k', '50', '--top-p', '0.9', '--repetition-penalty', '1.05']

test('a line depends on the seed, its id and content, never on the others', () => {
  const all = generate(LINES, ARGS)
  assert.is(all.status, 0, all.stderr)
  assert.equal(
    all.out.map((line) => line.id),
    ['a', 2, 'c'],
  )
  for (const { completions } of all.out) {
    assert.is(completions.length, 3)
    for (const c of completions) {
      assert.equal(Object.keys(c), ['text', 'steps', 'answer', 'finish', 'tokens'])
      assert.ok(c.tokens >= 1 && c.tokens <= 12)
    }
  }
  const reversed = generate([...LINES].reverse(), [...ARGS, '--threads', '1'])
  assert.equal(reversed.out.reverse(), all.out)
  assert.equal(generate([LINES[1] as object], ARGS).out[0], all.out[1])
  const more = generate([LINES[1] as object], [...ARGS, '-n', '5']).out[0].completions
  assert.equal(more.slice(0, 3), all.out[1].completions)
  assert.not.equal(all.out[0].completions, all.out[2].completions, 'same question and picture, other id')
  assert.not.equal(generate(LINES, [...ARGS, '--seed', '12']).out, all.out)
})

test('bad lines stand in their places, the others go on', () => {
  const lines = [
    LINES[0] as object,
    '{"id": 1',
    { id: 'x' },
    { id: 'y', question: 'q', step: ['a'] },
    { id: 'z', question: 'q', image: 'none.png' },
  ]
  const { status, out } = generate([...lines, LINES[1] as object], ARGS)
  assert.is(status, 3)
  assert.equal(
    out.map((line) => line.error?.line),
    [undefined, 2, 3, 4, 5, undefined],
  )
  assert.match(out[1].error.message, /JSON/)
  assert.match(out[2].error.message, /"question"/)
  assert.match(out[3].error.message, /did you mean "steps"/)
  assert.match(out[4].error.message, /none\.png/)
})

test('wrong options are told before the model is opened', () => {
  const wrong: [string[], RegExp][] = [
    [['--top-p', '0'], /--top-p must be a number above 0 and at most 1/],
    [['-n', '0'], /--n must be a positive whole number/],
    [['-n', '65537'], /--n must be a positive whole number, at most 65536/],
    [['--temperature', 'hot'], /--temperature/],
    [['--seed', '-1'], /--seed/],
    [['--order', 'vlm'], /--order must be one of vllm, hf/],
    [['--max-token', '3'], /did you mean "max-tokens"/],
  ]
  for (const [args, message] of wrong) {
    const { status, stderr } = generate(LINES, args, '/no/such/model')
    assert.is(status, 2)
    assert.match(stderr, message)
  }
  assert.match(generate(LINES, ['--template', 'prefil']).out[0].error.message, /did you mean "prefill"/)
})

test('every golden checkpoint with a vocabulary head writes', () => {
  let ran = 0
  for (const { name, path } of goldenModels()) {
    const heads = readJson(join(path, 'config.json')).architectures as string[]
    const { status, out, stderr } = generate([{ id: name, question: 'What is 2 + 3?' }], ['-n', '2', '--max-tokens', '5'], path)
    if (heads.some((head) => /^Qwen2For.*Model$|Classification$/.test(head))) {
      assert.is(status, 3)
      assert.match(out[0].error.message, /reward head/)
    } else {
      assert.is(status, 0, `${name}: ${stderr} ${JSON.stringify(out[0])}`)
      assert.is(out[0].completions.length, 2)
    }
    ran++
  }
  assert.ok(ran > 0)
})

test.run()
