/** `mm-prm eval --contamination`: what a set shares with problems, training sets in their forms, and search runs. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startCli } from '../helpers/cli.ts'

const POLICY = join(import.meta.dirname, '../../models/mini-policy')
const test = suite<{ folder: string }>('contamination')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'mm-prm-contamination-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }))

const run = (...args: string[]) => startCli(args).ended
const QUESTION = 'The rectangle has sides of 3 and 6. What is its area?'

/** Three problems of MM-K12's form: the first shares its text, the second its picture, the third nothing. */
async function makeSet(folder: string): Promise<string> {
  const set = join(folder, 'mmk12')
  mkdirSync(set)
  const picture = (name: string, red: number) =>
    sharp({ create: { width: 32, height: 32, channels: 3, background: { r: red, g: 9, b: 9 } } }).toFile(join(set, name))
  for (const [i, name] of ['a.png', 'b.png', 'c.png'].entries()) await picture(name, 60 * i + 20)
  await picture('other.bmp.png', 255)
  const rows = [
    { id: 'text', question: `<image>\n${QUESTION}`, correct_answer: '18', image_path: 'a.png' },
    { id: 'picture', question: 'Find x.', correct_answer: '7', image_path: 'b.png' },
    { id: 'new', question: 'Find y.', correct_answer: '8', image_path: 'c.png' },
  ]
  writeFileSync(join(set, 'test.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
  const responses = join(folder, 'written.jsonl')
  writeFileSync(responses, rows.map(({ id }) => JSON.stringify({ id, responses: ['\\boxed{7}'] })).join('\n'))
  return set
}

async function contamination(folder: string, set: string, against: string) {
  const out = join(folder, 'out')
  rmSync(out, { recursive: true, force: true })
  const task = ['--task', 'mmk12', '--data', set, '--limit', '3', '-n', '1', '--responses', join(folder, 'written.jsonl')]
  const { code, stderr } = await run('eval', ...task, '--out', out, '--contamination', against)
  assert.is(code, 0, stderr)
  const read = () => JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')).tasks.mmk12.contamination
  const first = read()
  if (against.endsWith('trl.jsonl')) {
    assert.is((await run('eval', '--regrade', out)).code, 0)
    assert.equal(read(), first, 'what was asked for stays')
  }
  return first
}

test('a database’s password is not kept, so a run that needs one is named again', async ({ folder }) => {
  const set = await makeSet(folder)
  const task = ['--task', 'mmk12', '--data', set, '--limit', '3', '-n', '1', '--responses', join(folder, 'written.jsonl')]
  const url = 'postgres://me:pa55w0rd@127.0.0.1:1/runs?sslmode=require&password=pa55w0rd'
  const out = join(folder, 'out')
  // Without a #RUN no database is asked.
  const { code } = await run('eval', ...task, '--out', out, '--contamination', url)
  assert.is(code, 1)
  const record = readFileSync(join(out, 'run.json'), 'utf8')
  assert.match(record, /postgres:\/\/\*\*\*@127/)
  assert.not.match(record, /pa55w0rd/)
  assert.match((await run('eval', '--regrade', out)).stderr, /passwords are not kept: name the run again/)
})

test('problems and training sets share texts, whatever their spelling, and pictures, whatever their file', async ({ folder }) => {
  const set = await makeSet(folder)
  const copy = join(folder, 'copy.webp')
  await sharp(join(set, 'b.png')).webp({ lossless: true }).toFile(copy)
  const steps = ['3 · 6 = 18.', '18']
  const asked = QUESTION.toUpperCase()
  const forms: Record<string, object[]> = {
    'problems.jsonl': [
      { id: 1, question: asked, answer: '18' },
      { id: 2, question: 'Solve for x in it', answer: '7', image: 'copy.webp' },
    ],
    'steps.jsonl': [
      { id: 'p/1', problemId: 'p', question: asked, steps, labels: [1, 1], image: 'copy.webp' },
      { id: 'p/1', problemId: 'p', question: asked, steps, labels: [1, 0], image: 'copy.webp' },
    ],
    'trl.jsonl': [{ prompt: asked, completions: steps, labels: [true, true], images: ['copy.webp'] }],
    'conversations.jsonl': [
      {
        image: 'copy.webp',
        conversations: [
          { from: 'human', value: '' },
          { from: 'gpt', value: `<image>\nQuestion: ${asked}\nProcess: a<prm>` },
        ],
      },
    ],
  }
  for (const [name, rows] of Object.entries(forms)) {
    const file = join(folder, name)
    writeFileSync(file, [...rows, { nothing: 1 }].map((row) => JSON.stringify(row)).join('\n'))
    const found = await contamination(folder, set, file)
    const expected = { against: file, unread: 1, problems: 2, byText: 1, byPicture: 1, ids: ['text', 'picture'] }
    assert.equal(found, expected, name)
  }
})

test('a search run, by its folder or its run.db', async ({ folder }) => {
  const set = await makeSet(folder)
  const problems = [
    { id: 1, question: QUESTION, answer: '18' },
    { id: 2, question: 'Solve for x', answer: '7', image: join(set, 'b.png') },
  ]
  const file = join(folder, 'searched.jsonl')
  writeFileSync(file, problems.map((row) => JSON.stringify(row)).join('\n'))
  const out = join(folder, 'run')
  const search = ['search', '--problems', file, '--out', out, '--model', POLICY, '--num-rollouts', '2', '--max-tokens', '8']
  const searched = await run(...search, '--threads', '1')
  assert.is(searched.code, 0, searched.stderr)
  for (const path of [out, join(out, 'run.db')]) {
    const { against, ...found } = await contamination(folder, set, path)
    assert.is(against, path)
    assert.equal(found, { unread: 0, problems: 2, byText: 1, byPicture: 1, ids: ['text', 'picture'] })
  }
})

test('what holds no question, or is not there, is refused before anything is graded', async ({ folder }) => {
  const set = await makeSet(folder)
  writeFileSync(join(folder, 'none.jsonl'), '{"nothing":1}')
  for (const [name, message] of [
    ['none.jsonl', /none\.jsonl: no row there has a question/],
    ['absent.jsonl', /absent\.jsonl/],
    ['mmk12', /mmk12: there is no run in this directory/],
  ] as const) {
    const task = ['--task', 'mmk12', '--data', set, '--limit', '3', '--responses', join(folder, 'written.jsonl')]
    const { code, stderr } = await run(
      'eval',
      ...task,
      '--out',
      join(folder, name, '../o'),
      '--resume',
      '--contamination',
      join(folder, name),
    )
    assert.is(code, 1, stderr)
    assert.match(stderr, message)
  }
})

test.run()
