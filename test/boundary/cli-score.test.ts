/** `mm-prm score` as a process: lines in, lines out, bad lines in their place, exit codes, nothing lost to a slip. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const [IMAGE = ''] = picturesOf(MODEL)
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const work = mkdtempSync(join(tmpdir(), 'mm-prm-score-'))
const INPUT = join(work, 'input.jsonl')
const PICTURE = join(work, 'chart.png')
const BROKEN = join(work, 'broken.png')
cpSync(IMAGE, PICTURE)
cpSync(PICTURE, BROKEN)
truncateSync(BROKEN, 200)
test.after(() => rmSync(work, { recursive: true, force: true }))

function score(lines: readonly (object | string | Buffer)[], args: readonly string[] = []) {
  const rows = lines.map((line) => (typeof line === 'object' && !Buffer.isBuffer(line) ? JSON.stringify(line) : line))
  writeFileSync(INPUT, Buffer.concat(rows.flatMap((row) => [Buffer.from(row as string), Buffer.from('\n')])))
  const argv = [MAIN, 'score', '--input', INPUT, ...(args.includes('--model') ? [] : ['--model', MODEL])]
  const { status, stdout, stderr } = spawnSync(process.execPath, [...argv, ...args], { encoding: 'utf8' })
  return { status, stderr, out: parse(stdout) }
}

const parse = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

const STEPS = ['Read the chart.', '12 + 30 = 42.']
const GOOD = [
  { id: 'a', question: 'How many fruits?', image: 'chart.png', steps: STEPS },
  { id: 2, question: 'How many fruits?', image: null, solutions: [STEPS, ['I guess 41.']] },
  { id: 'c', question: 'A literal <prm> and <IMG_CONTEXT><|im_end|>', steps: ['<prm>'] },
]

test('scores are those of the engine, in input order; progress goes to standard error', async () => {
  const { status, stderr, out } = score(GOOD)
  assert.is(status, 0, stderr)
  await using engine = await Engine.open({ model: MODEL })
  const [a, b, c] = GOOD as [(typeof GOOD)[0], (typeof GOOD)[0], (typeof GOOD)[0]]
  assert.equal(out, [
    { id: 'a', scores: await engine.scoreSteps({ question: a.question, image: PICTURE, steps: STEPS }) },
    { id: 2, scores: await engine.scoreSteps({ question: b.question, solutions: [STEPS, ['I guess 41.']] }) },
    { id: 'c', scores: await engine.scoreSteps({ question: c.question, steps: ['<prm>'] }) },
  ])
  assert.match(stderr, /opening .*\n.*scoring .*3 lines/s)

  const file = join(work, 'scores.jsonl')
  const named = score(GOOD, ['--output', file])
  assert.is(named.status, 0, named.stderr)
  assert.equal(named.out, [])
  assert.equal(parse(readFileSync(file, 'utf8')), out)
})

const BAD: [line: object | string | Buffer, id: string | number | null, message: RegExp][] = [
  ['not json', null, /not valid JSON/],
  ['[1]', null, /a JSON object is expected/],
  ['{"id":"x"} {}', null, /not valid JSON/],
  [Buffer.from('{"id":"\xff"}', 'latin1'), null, /not valid UTF-8/],
  [{ question: 'q', steps: ['a'] }, null, /"id"/],
  [{ id: { a: 1 }, question: 'q', steps: ['a'] }, null, /"id"/],
  [{ id: 1, steps: ['a'] }, 1, /"question"/],
  [{ id: 2, question: 'q' }, 2, /exactly one of "steps", "solution" and "solutions"/],
  [{ id: 3, question: 'q', steps: ['a'], solutions: [['a']] }, 3, /exactly one of "steps", "solution" and "solutions"/],
  [{ id: 4, question: 'q', steps: [] }, 4, /at least one step/],
  [{ id: 5, question: 'q', steps: ['a', ''] }, 5, /steps\[1\]: is empty/],
  [{ id: 6, question: 'q', steps: ['a', 7] }, 6, /"steps" must be a list of strings/],
  [{ id: 7, question: 'q', solutions: [] }, 7, /at least one solution/],
  [{ id: 8, question: 'q', step: ['a'] }, 8, /unknown key "step" \(did you mean "steps"\?\)/],
  [{ id: 9, question: 'q', steps: ['a'], image: 'none.png' }, 9, /none\.png: no such file/],
  [{ id: 10, question: 'q', steps: ['a'], image: 'broken.png' }, 10, /broken\.png: the PNG data cannot be decoded/],
  [{ id: 11, question: 'q', steps: ['a'], image: 'https://x.org/y.png' }, 11, /https URLs are not fetched/],
  [{ id: 12, question: 'q', steps: ['a'], image: '' }, 12, /"image" must be a path or a data URI/],
  [{ id: 13, question: 'x'.repeat(50_000), steps: ['a'] }, 13, /the model has \d+ positions/],
]

test('a bad line is reported in its place, the others go on, exit code 3', () => {
  const { status, out, stderr } = score(BAD.flatMap(([line]) => [line, GOOD[0] as object]))
  assert.is(status, 3, stderr)
  assert.is(out.length, 2 * BAD.length)
  BAD.forEach(([, id, message], i) => {
    const { error, ...rest } = out[2 * i]
    assert.equal(rest, { id })
    assert.equal(Object.keys(error), ['code', 'message', 'line'])
    assert.is(error.code, 'ERR_ENGINE_INVALID_ARGUMENT')
    assert.match(error.message, message)
    assert.is(error.line, 2 * i + 1)
    assert.equal(out[2 * i + 1].scores, out[1].scores)
  })
})

test('a candidate without steps has no scores, a blank step is an error of its candidate; the others keep theirs', () => {
  const line = { id: 1, question: 'q', solutions: [STEPS, [], ['a', ' '], ['I guess 41.']] }
  const whole = { id: 2, question: 'q', solutions: [STEPS, ['I guess 41.']] }
  const { status, out, stderr } = score([line, whole])
  assert.is(status, 3, stderr)
  const [first, last] = out[1].scores
  assert.equal(out[0].scores, [first, [], null, last])
  assert.equal(Object.keys(out[0]), ['id', 'scores', 'errors'])
  assert.is(out[0].errors.length, 1)
  const [{ candidate, code, message }] = out[0].errors
  assert.equal([candidate, code], [2, 'ERR_ENGINE_INVALID_ARGUMENT'])
  assert.match(message, /solutions\[2\]\[1\]: is empty/)

  const empty = score([{ id: 1, question: '2+3', solutions: [['2+3=5', '5'], [], ['6']] }])
  assert.is(empty.status, 0, empty.stderr)
  assert.equal(empty.out[0].scores.map((s: number[]) => s.length), [2, 0, 1]) // biome-ignore format: short
  assert.not('errors' in empty.out[0])
})

test('wrong options: exit code 2 and the nearest known one', () => {
  const wrong: [string[], RegExp][] = [
    [['--modle', 'x'], /unknown option --modle \(did you mean "model"\?\)/],
    [['--dtype', 'f16'], /--dtype must be one of f32, bf16/],
    [['--threads', '0'], /--threads must be a positive whole number/],
    [['--threads', '99999'], /--threads must be a positive whole number, at most 1024, got "99999"/],
    [['--threads', ''], /--threads must be a positive whole number, at most 1024, got ""/],
    [['--max-tiles', 'many'], /--max-tiles must be a positive whole number/],
    [['--max-tiles', '1025'], /--max-tiles must be a positive whole number, at most 1024, got "1025"/],
    [['more.jsonl'], /unexpected argument "more\.jsonl"/],
  ]
  for (const [args, message] of wrong) {
    const { status, stderr } = score(GOOD, args)
    assert.is(status, 2, stderr)
    assert.match(stderr, message)
  }
})

test('a run that cannot start touches neither its input nor earlier results', () => {
  const earlier = join(work, 'earlier.jsonl')
  writeFileSync(earlier, 'earlier\n')
  const cannot: [string[], RegExp][] = [
    [['--output', earlier, '--model', join(work, 'no-model')], /no-model: no such folder/],
    [['--output', earlier, '--scoring', 'mm-prn'], /no scoring family "mm-prn" \(did you mean "mm-prm"\?\)/],
    [['--output', INPUT], /--output .*: is the input file/],
    [['--output', join(work, 'no/folder')], /cannot write .*no\/folder/],
  ]
  for (const [args, message] of cannot) {
    const { status, stderr } = score(GOOD, args)
    assert.is(status, 1, stderr)
    assert.match(stderr, message)
    assert.not.match(stderr, /opening/)
  }
  const unrecognised = score(GOOD, ['--output', earlier, '--model', pickCheckpoint({ scoring: 'named' })])
  assert.is(unrecognised.status, 1)
  assert.match(unrecognised.stderr, /name the scoring family: (?=.*mm-prm, )(?=.*qwen2\.5-math-prm)(?=.*math-shepherd)/)
  assert.is(readFileSync(earlier, 'utf8'), 'earlier\n')
  assert.is(parse(readFileSync(INPUT, 'utf8')).length, GOOD.length)
})

test('a raw text is cut into steps, which stand beside the scores that those steps have', async () => {
  const question = 'How many fruits?'
  const text = 'Read the chart.\n\n12 + 30\n= 42.\n\n\n42'
  const tagged = '<step>Read the chart.</step><step>12 + 30 = 42.</step><answer>42</answer>'
  const texts = [text, tagged].map((solution, id) => ({ id, question, solution }))
  const byBlankLine = score([
    ...texts,
    { id: 'empty', question, solution: ' \n' },
    { id: 'two', question, solution: 'a', steps: ['a'] },
  ])
  assert.is(byBlankLine.status, 3, byBlankLine.stderr)
  const cut = [
    ['Read the chart.', '12 + 30\n= 42.', '42'],
    ['Read the chart.', '12 + 30 = 42.', '42'],
  ]
  await using engine = await Engine.open({ model: MODEL })
  const expected = await Promise.all(
    cut.map(async (steps, id) => ({ id, steps, scores: await engine.scoreSteps({ question, steps }) })),
  )
  assert.equal(byBlankLine.out.slice(0, 2), expected)
  assert.match(byBlankLine.out[2].error.message, /"solution" has no steps: the text is empty/)
  assert.match(byBlankLine.out[3].error.message, /exactly one of "steps", "solution" and "solutions"/)
  const byLine = score(texts.slice(0, 1), ['--steps', 'line'])
  assert.equal(byLine.out[0].steps, ['Read the chart.', '12 + 30', '= 42.', '42'])
  assert.match(score(texts, ['--steps', 'blank-lime']).stderr, /no step splitter "blank-lime".*blank-line/)
})

test.run()
