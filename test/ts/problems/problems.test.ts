import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import type { Problem } from '../../../ts/contracts/problem.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { curate, type Dropped, type ProblemRow, questionType, readProblems } from '../../../ts/problems/index.ts'
import { canDecide, ruleVerifier, verifyAnswer } from '../../../ts/verify/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-problems-'))
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
async function rows(path: string): Promise<ProblemRow[]> {
  const all: ProblemRow[] = []
  for await (const row of readProblems(path)) all.push(row)
  return all
}
const problems = async (path: string) => (await rows(path)).map((r) => ('problem' in r ? r.problem : r))

test("the reference's seeds, JSON lines and CSV say the same", async () => {
  const expected = { id: 'a', question: 'How many, "really"?', answer: '3', image: join(folder, 'a.png') }
  const json = file('p.json', JSON.stringify([{ id: 'a', question: expected.question, correct_answer: 3, image_path: 'a.png' }]))
  const jsonl = file('p.jsonl', `${JSON.stringify({ id: 'a', question: expected.question, answer: '3', image: 'a.png' })}\n\n`)
  const csv = file('p.csv', '\ufeffid,question,answer,image\r\na,"How many, ""really""?",3,a.png\r\n')
  for (const path of [json, jsonl, csv]) assert.equal(await problems(path), [expected], path)
})

test('parquet with embedded images, and columns of the user', async () => {
  const path = join(folder, 'p.parquet')
  parquetWriteFile({
    filename: path,
    columnData: [
      { name: 'id', data: ['a', 'b'], type: 'STRING' },
      { name: 'question', data: ['Q1', 'Q2'], type: 'STRING' },
      { name: 'answer', data: ['1', '2'], type: 'STRING' },
      { name: 'image', data: [Uint8Array.of(137, 80, 255), Uint8Array.of(1)], type: 'BYTE_ARRAY' },
      { name: 'level', data: [3, 4], type: 'INT32' },
    ],
  })
  const [first] = (await problems(path)) as Problem[]
  assert.equal(first?.image, Uint8Array.of(137, 80, 255))
  assert.equal(first?.meta, { level: 3 })
})

test('bad rows name line and field, the others go on', async () => {
  const path = file(
    'bad.jsonl',
    ['{"id":"a","question":"q","answer":"1"}', 'not json', '{"id":"b","question":"","answer":"1"}', '[]', '{"question":"q","answer":"1"}', '{"id":"a","question":"q","answer":"1"}', '{"id":"c","question":"q"}', '{"id":"d","question":"q","answer":"1","image":7}', '{"id":"e","question":"q","answer":"1"}'].join('\n'),
  ) // biome-ignore format: one line per row
  const all = await rows(path)
  assert.equal(
    all.map((r) =>
      'problem' in r ? 'ok' : `${r.row} ${/valid JSON|"question"|object|"id"|"answer"|"image"/.exec(r.error)?.[0]}`,
    ),
    ['ok', '2 valid JSON', '3 "question"', '4 object', '5 "id"', '6 "id"', '7 "answer"', '8 "image"', 'ok'],
  )
})

test('files that cannot be read are errors of their own', async () => {
  for (const [path, message] of [
    [join(folder, 'none.jsonl'), /no such file/],
    [file('x.txt', ''), /end in \.json/],
    [file('x.json', '{}'), /list of problems/],
    [file('x.csv', 'id,question\n"a'), /x\.csv/],
    [file('x.parquet', 'PAR1 nonsense'), /x\.parquet/],
  ] as const) {
    const error = await rows(path).catch((e: unknown) => e)
    assert.instance(error, EngineError, path)
    assert.match((error as Error).message, message)
  }
})

const base = { verifier: ruleVerifier(), isVerifiable: (a: string) => canDecide(a, a) }
async function droppedOf(list: Problem[], options: object = {}): Promise<(Dropped['reason'] | 'kept')[]> {
  const out: (Dropped['reason'] | 'kept')[] = []
  for await (const { dropped } of curate({ problems: list, ...base, ...options } as never)) out.push(dropped?.reason ?? 'kept')
  return out
}
const p = (id: string, question: string, answer = '5', image?: string): Problem => ({
  id,
  question,
  answer,
  ...(image && { image }),
})

test('duplicates, broken images, unverifiable answers, proofs and leaks are dropped', async () => {
  const hashImage = async (image: unknown) => {
    if (image === 'broken.png') throw new Error('truncated')
    return String(image)
  }
  const question = 'A train leaves the station at nine and travels for three hours; how far does it go?'
  const list = [
    p('1', 'What is 2 + 3?'), p('2', 'what is 2+3'), p('3', 'What is 2 + 3?', '5', 'a.png'), p('4', 'Look', '5', 'broken.png'),
    p('5', 'Prove that 2 is even', 'it is'), p('6', 'Which animal is shown?', 'a large grey elephant'), p('7', question), p('8', 'Other', '7', 'leaked.png'),
  ] // biome-ignore format: one problem per cell
  const testSet = [p('t1', question.replace('nine', 'nine')), p('t2', 'Unlike', '1', 'leaked.png')]
  assert.equal(await droppedOf(list, { hashImage, testSet }), [
    'kept',
    'duplicate',
    'kept',
    'image',
    'type',
    'unverifiable',
    'leak',
    'leak',
  ])
})

test('of several pictures all make a problem, any makes a leak, and one that is broken drops it', async () => {
  const hashImage = async (image: unknown) => {
    if (image === 'broken.png') throw new Error('truncated')
    return String(image)
  }
  const several = (id: string, ...images: string[]): Problem => ({ ...p(id, 'Which is more?'), images })
  const list = [
    several('1', 'a.png', 'b.png'), several('2', 'a.png', 'c.png'), several('3', 'a.png', 'b.png'), several('4', 'b.png', 'a.png'),
    several('5', 'd.png', 'broken.png'), several('6', 'e.png', 'leaked.png'),
  ] // biome-ignore format: by rows
  const testSet = [{ ...p('t1', 'Unlike', '1'), images: ['other.png', 'leaked.png'] }]
  assert.equal(await droppedOf(list, { hashImage, testSet }), ['kept', 'kept', 'duplicate', 'kept', 'image', 'leak'])
})

test('problems that differ in a sign, a relation, a decimal point or their answer are no duplicates and no leaks', async () => {
  const groups = [
    [['Compute 12 + 7.', '19'], ['Compute 12 - 7.', '5'], ['Compute 12 \\times 7.', '84']],
    [['Solve x^2 - 4 > 0 for x.', 'x<-2 or x>2'], ['Solve x^2 - 4 < 0 for x.', '-2<x<2'], ['Solve x^2 - 4 ≤ 0 for x.', '[-2,2]']],
    [['What is |3| + 1?', '4'], ['What is -3 + 1?', '-2'], ['What is 3/1?', '3'], ['What is 3.1?', '3.1'], ['What is 31?', '31']],
    [['What is 5!?', '5'], ['What is 5?', '5'], ['What is 5%?', '5']], // the same answer does not make them one
    [["What is f'(2)?", '7'], ['What is f(2)?', '7'], ['What is f²(2)?', '7'], ['What is f_2?', '7'], ['What is f2?', '7']],
    [['Find the sum.', '7'], ['Find the sum.', '8'], ['Find 2 * (3 + 4).', '7'], ['Find 2 * 3 + 4.', '7'], ['Find 2½.', '7'], ['Find 21/2.', '7']],
    [['Is x = 3 : 4?', 'yes'], ['Is x = 3 4?', 'yes'], ['Is x ∈ A ∪ B?', 'yes'], ['Is x ∈ A ∩ B?', 'yes']],
  ] // biome-ignore format: one group per line
  for (const group of groups) {
    const list = group.map(([question, answer], i) => p(`${i}`, question as string, answer))
    assert.equal(await droppedOf(list), Array(list.length).fill('kept'), JSON.stringify(group))
    for (const [i, one] of list.entries()) {
      const testSet = list.filter((_, j) => j !== i)
      assert.equal(await droppedOf([one], { testSet }), ['kept'], JSON.stringify(one))
    }
  }
})

test('choices that a problem lists beside its question are part of it', async () => {
  const asked = (id: string, choices: unknown) => ({ ...p(id, 'Which of these is it?', 'A'), meta: { choices } })
  const list = [
    asked('1', ['2', '3']),
    asked('2', ['2', '-3']),
    asked('3', { A: '2', B: '3' }),
    asked('4', ['2', '3']),
    p('5', 'Which of these is it?', 'A'),
  ]
  assert.equal(await droppedOf(list), ['kept', 'kept', 'kept', 'duplicate', 'kept'])
})

test('the same question in other clothes is one, where its answer is the same', async () => {
  const groups = [
    ['Compute 12 - 7.', 'compute  12−7', 'Compute $12-7$?', 'Compute “12 - 7”.'],
    ["Find x^2: the right-angled triangle's side", 'find $x^{2}$, the right angled triangle’s side', 'Find x², the right-angled triangle’s side.'],
    ['求 3 与 4 的和。', '求3与4的和', '求３与４的和？'],
  ] // biome-ignore format: one group per line
  for (const group of groups) {
    const reasons = ['kept', ...Array(group.length - 1).fill('duplicate')]
    assert.equal(await droppedOf(group.map((question, i) => p(`${i}`, question))), reasons)
    const testSet = [p('t', group[0] as string)]
    assert.equal(
      await droppedOf(
        group.map((question, i) => p(`${i}`, question)),
        { testSet },
      ),
      ['leak', ...reasons.slice(1)],
    )
  }
  const isSameAnswer = (a: Problem, b: Problem) => verifyAnswer(a.answer, b.answer).match
  const written = [p('1', 'What is 1 / 2?', '0.5'), p('2', 'What is 1/2?', '1/2'), p('3', 'What is 1/2?', '2')]
  assert.equal(await droppedOf(written, { isSameAnswer }), ['kept', 'duplicate', 'kept'])
  const long =
    'A train leaves the station at nine with three coaches and travels for 3 hours at 60 km/h; how far, in km, does the train go in all of this time?'
  const testSet = [p('t', long, '180')]
  const near = [p('a', long.replace('three coaches', 'four coaches'), '180'), p('b', long.replace('3 hours', '4 hours'), '240')]
  assert.equal(await droppedOf(near, { testSet, leakOverlap: 0.4 }), ['leak', 'kept'])
})

test('a policy tells which problems are too easy, too hard, or need no image', async () => {
  const rates: Record<string, number> = { easy: 8, hard: 0, fair: 4, blind: 4 }
  const policy = {
    identity: {},
    rollouts: async ([request]: { problem: Problem; count: number }[]) => {
      const { id, image } = (request as { problem: Problem }).problem
      const right = id === 'blind' && !image ? 8 : image ? (rates[id] as number) : 0
      return [
        Array.from({ length: 8 }, (_, i) => ({
          outcome: 'complete',
          steps: [`<answer>${i < right ? 5 : 6}</answer>`],
          text: '',
        })),
      ]
    },
  }
  const list = Object.keys(rates).map((id) => p(id, `Question ${id}`, '5', `${id}.png`))
  const hashImage = async (image: unknown) => String(image)
  assert.equal(await droppedOf(list, { policy, hashImage, maxTextOnlyRate: 0.5 }), [
    'pass-rate',
    'pass-rate',
    'kept',
    'text-only',
  ])
  const error = await droppedOf(list, { maxTextOnlyRate: 0.5 }).catch((e: unknown) => e)
  assert.match((error as Error).message, /need a policy/)
})

test('many problems in flight: the same verdicts in the same order, from the same questions', async () => {
  const list = Array.from({ length: 9 }, (_, i) => p(`${i}`, `Question ${i}`))
  const run = async (inFlight: number) => {
    const asked: string[] = []
    let atOnce = 0
    let most = 0
    const policy = scriptedPolicy(async ({ problem, seed, count }, index) => {
      if (index === 0) {
        most = Math.max(most, ++atOnce)
        asked.push(`${problem.id} ${seed} ${count}`)
        await new Promise((r) => setTimeout(r, 10 - Number(problem.id)))
        atOnce--
      }
      const answer = index < Number(problem.id) ? '5' : '6'
      return { outcome: 'complete', steps: [`<answer>${answer}</answer>`], text: '' }
    })
    const reasons = await droppedOf(list, { policy, inFlight, n: 7, seed: 3 })
    return { reasons, asked: asked.sort(), most }
  }
  const one = await run(1)
  const many = await run(4)
  assert.equal(one.reasons, ['pass-rate', ...Array(6).fill('kept'), 'pass-rate', 'pass-rate'])
  assert.equal([many.reasons, many.asked], [one.reasons, one.asked])
  assert.equal([one.most, many.most], [1, 4])
})

test('question types', () => {
  const type = (question: string, answer: string) => questionType(p('x', question, answer), base.isVerifiable)
  assert.is(type('Which? (A) 1 (B) 2', 'B'), 'choice')
  assert.is(type('Is it even?', 'Yes'), 'yes-no')
  assert.is(type('How many?', '1,250'), 'number')
  assert.is(type('Simplify', 'x^2+1'), 'expression')
  assert.is(type('Show that x > 0', 'x>0'), 'proof')
})

test.run()
