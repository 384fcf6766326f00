/** Rows of preferences as others write them, and which samples of several sets are held out. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TrainSample } from '../../../ts/contracts/trainer.ts'
import { readDataset } from '../../../ts/train/data.ts'
import type { ParsedTrainOptions } from '../../../ts/train/options.ts'
import { TrainSets } from '../../../ts/train/sets.ts'
import { splitOf } from '../../../ts/train/split.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-pairs-'))
test.after(() => rmSync(folder, { recursive: true }))

async function read(row: object): Promise<Omit<TrainSample, 'id' | 'group'>> {
  const path = join(folder, 'pairs.jsonl')
  writeFileSync(path, JSON.stringify(row))
  const { samples } = await readDataset(path, 'pairs', 'error')
  const { id: _, group: __, ...rest } = samples[0] as TrainSample
  return rest
}
const user = { role: 'user', content: 'What is 3 + 4?' }
const assistant = (content: string) => ({ role: 'assistant', content })
const EXPECTED = { question: user.content, turns: [user], steps: [], reply: '7', rejected: { reply: '8' } }

test('texts, messages, conversations with their prompt in them, and questions with answers: one sample', async () => {
  const told = { chosen: '7', rejected: '8' }
  const said = { chosen: [assistant('7')], rejected: [assistant('8')] }
  assert.equal(await read({ prompt: user.content, ...told }), EXPECTED)
  assert.equal(await read({ question: user.content, ...told }), EXPECTED)
  assert.equal(await read({ prompt: [user], ...said }), EXPECTED)
  assert.equal(await read({ chosen: [user, assistant('7')], rejected: [user, assistant('8')] }), EXPECTED)
  const system = { role: 'system', content: 'Be brief.' }
  const withSystem = { ...EXPECTED, turns: [system, user] }
  assert.equal(await read({ system: 'Be brief.', question: user.content, ...told }), withSystem)
  assert.equal(await read({ prompt: [system, user], ...said }), withSystem)
  const turns = [user, assistant('Which base?'), { role: 'user', content: 'Ten.' }]
  const long = await read({ prompt: turns, ...said })
  assert.equal([long.turns, long.question], [turns, 'What is 3 + 4?\n\nTen.'])
})

test('pictures: a column of them, and parts of messages that say where they stand', async () => {
  const image = 'data:image/png;base64,AAAA'
  const shown = await read({ image, question: '<image>\nHow many?', chosen: '7', rejected: '8' })
  assert.equal([shown.image, shown.turns], [image, [{ role: 'user', content: '<image>\nHow many?' }]])
  const content = [{ type: 'text', text: 'Here ' }, { type: 'image' }, { type: 'text', text: ' how many?' }]
  const parts = await read({ images: [image], prompt: [{ role: 'user', content }], chosen: '7', rejected: '8' })
  assert.equal([parts.image, parts.turns?.[0]?.content], [image, 'Here <image> how many?'])
})

test("solutions in steps are asked by the policy's template; the answer step may stand among them", async () => {
  const [good, bad] = [
    { steps: ['3 + 4 = 7', '7'], answer: '7' },
    { steps: ['I guess.'], answer: '8' },
  ]
  const expected = { question: user.content, steps: ['3 + 4 = 7'], answer: '7', rejected: bad }
  assert.equal(await read({ question: user.content, chosen: good, rejected: bad }), expected)
})

test('what is wrong with a row is said', async () => {
  const refusal = (row: object) => read(row).then(String, (error: Error) => error.message)
  const told = { chosen: '7', rejected: '8' }
  for (const [row, says] of [
    [told, /"prompt" must be a text or a list of messages/],
    [{ prompt: 3, ...told }, /"prompt" must be a text/],
    [{ prompt: [null], ...told }, /prompt\[0\]: "role" must be one of/],
    [{ prompt: [{ role: 'user', content: [null] }], ...told }, /prompt\[0\]: "content" must be a string, or parts/],
    [{ prompt: [assistant('hm')], ...told }, /must hold a turn of the user/],
    [{ prompt: [user, assistant('hm')], ...told }, /must not end in a turn of the assistant/],
    [{ prompt: 'q', chosen: [user], rejected: '8' }, /"chosen" must end in a turn of the assistant/],
    [{ prompt: 'q', chosen: 7, rejected: '8' }, /"chosen" must be a text, messages, or/],
    [{ chosen: [user, assistant('7')], rejected: [assistant('8')] }, /have other turns in front/],
    [{ question: 'q', chosen: { steps: [' '], answer: '7' }, rejected: { steps: [], answer: '8' } }, /chosen\.steps must be/],
    [{ question: 'q', chosen: { steps: [], answer: 7 }, rejected: { steps: [], answer: '8' } }, /chosen\.answer must be/],
    [
      { prompt: [user, assistant('?'), user], chosen: { steps: [], answer: '7' }, rejected: { steps: [], answer: '8' } },
      /answers in steps go with a "question" alone/,
    ],
  ] as const)
    assert.match(await refusal(row), says)
})

test('a problem that two sets share is held out of both, or of neither', () => {
  const setOf = (name: string, first: number) => {
    const samples = Array.from({ length: 40 }, (_, i) => ({ id: `${i}`, group: `p${first + i}`, question: 'q', steps: [] }))
    const data = { samples, skipped: [], size: 40, fingerprint: name, at: (i: number) => samples[i] as TrainSample }
    return { name, weight: 1, data }
  }
  const sets = new TrainSets([setOf('a', 0), setOf('b', 20)])
  const options = { evalFraction: 0.4, seed: 3, task: 'prm', groupPaths: true } as ParsedTrainOptions
  const { train, held } = splitOf(options, sets, undefined)
  const problem = (index: number) => (index < 40 ? index : index - 20)
  const learnt = new Set(train.flatMap(({ members }) => members.map(({ index }) => problem(index))))
  assert.ok(held.length > 20)
  for (const { key } of held) assert.not(learnt.has(problem(Number(key))), key)
  assert.is(
    train.reduce((n, { members }) => n + members.length, held.length),
    80,
  )
})

test.run()
