/** Data for judges in words: which analyses are kept, paired and balanced; from the command line, resumed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Critic } from '../../../ts/contracts/critic.ts'
import { analyse, balanced, imitationRows, preferenceRows, readConclusion } from '../../../ts/critics/index.ts'
import { completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'
import { startCli } from '../../helpers/cli.ts'

const ASKED = 'Verification: Is the step correct (Yes/No)?'
const taught = { id: 'a#0/1', question: 'What is 3 + 4?', steps: ['Add.', '3 + 4 = 8', 'It is 8.'], step: 1, isRight: false }

test('conclusions: the word behind the last question', () => {
  const cases = {
    [`Good. ${ASKED} Yes`]: true,
    [`${ASKED} **No**.`]: false,
    [`${ASKED} Yes\nBut: ${ASKED} no`]: false,
    [`${ASKED} Perhaps`]: undefined,
    [`${ASKED} Nope`]: undefined,
    [`${ASKED}`]: undefined,
    Yes: undefined,
  }
  for (const [text, says] of Object.entries(cases)) assert.is(readConclusion(text), says, text)
})

test('analyses that come to the label are imitated, and preferred to those that do not', async () => {
  const asked: string[] = []
  const words = ['a No', 'b Yes', 'c No', 'd Maybe', 'a No', 'e Yes', 'f Yes']
  const critic: Critic = {
    name: 'teacher',
    write: async ({ messages, sample, sampling }) => {
      asked.push(messages.at(-1)?.content ?? '')
      assert.equal([sampling.temperature, sampling.topP, sampling.maxTokens, sampling.seed], [0.95, 0.95, 3072, 5])
      const [start, end] = (words[sample] as string).split(' ')
      return `${start} ${ASKED} ${end}`
    },
    choose: async () => [],
  }
  const found = await analyse(critic, taught, { n: 7, seed: 5 })
  assert.equal(found, {
    agreeing: [`a ${ASKED} No`, `c ${ASKED} No`], // the same words twice are one analysis
    disagreeing: [`b ${ASKED} Yes`, `e ${ASKED} Yes`, `f ${ASKED} Yes`],
    unread: 1,
  })
  assert.match(asked[0] as string, /Previous Steps: Add\.\nNow Step: 3 \+ 4 = 8\n/)
  assert.not.match(asked[0] as string, /It is 8/)
  const rows = imitationRows(taught, found)
  assert.equal(
    rows.map(({ id, messages }) => [id, messages.map((m) => m.role).join(), messages.at(-1)?.content]),
    [
      ['a#0/1/0', 'system,user,assistant', `a ${ASKED} No`],
      ['a#0/1/1', 'system,user,assistant', `c ${ASKED} No`],
    ],
  )
  assert.equal(
    preferenceRows(taught, found).map(({ prompt, chosen, rejected }) => [
      prompt.length,
      chosen[0]?.content,
      rejected[0]?.content,
    ]),
    [
      [2, `a ${ASKED} No`, `b ${ASKED} Yes`],
      [2, `c ${ASKED} No`, `e ${ASKED} Yes`],
    ],
  )
})

test('as many rows about right steps as about wrong ones, in their order', () => {
  const rows = Array.from({ length: 20 }, (_, i) => ({ id: `r${i}`, isRight: i % 5 !== 0 }))
  const kept = balanced(rows, 1)
  assert.is(kept.length, 8)
  assert.equal(kept.filter(({ id }) => Number(id.slice(1)) % 5 === 0).length, 4)
  const places = kept.map(({ id }) => Number(id.slice(1)))
  assert.equal(
    places,
    [...places].sort((a, b) => a - b),
  )
  assert.equal(balanced(rows, 1), kept)
  assert.not.equal(balanced(rows, 2), kept)
  assert.not('isRight' in (kept[0] as object))
})

test('from the command line: labelled rows, a teacher on a server, stopped and resumed', async () => {
  const work = mkdtempSync(join(tmpdir(), 'mm-prm-teach-'))
  const data = join(work, 'data.jsonl')
  const row = (id: string, labels: (number | null)[]) =>
    JSON.stringify({ id, question: `${id}?`, steps: labels.map((l, i) => `${id} ${i} ${l}`), labels })
  writeFileSync(data, [row('p', [1, 0.2, null]), row('q', [0.9, 0]), row('p', [0])].join('\n'))
  let [asks, failing] = [0, true]
  const server = await startChatServer((request, response) => {
    asks++
    if (failing && asks > 3) return sendJson(response, 400, { error: { message: 'no more' } })
    sendJson(response, 200, completion([`Seen ${request.seed}. ${ASKED} ${(request.seed ?? 0) % 2 === 0 ? 'Yes' : 'No'}`]))
  })
  const out = join(work, 'out')
  const teach = [
    'teach',
    '--data',
    data,
    '--out',
    out,
    '--judge-model',
    't',
    '--judge-endpoint',
    server.baseUrl,
    '-n',
    '2',
    '--json',
  ]
  const stopped = await startCli(teach).ended
  failing = false
  const resumed = await startCli([...teach, '--resume']).ended
  const nameless = await startCli(['teach', '--data', data, '--out', out]).ended
  const groups = join(work, 'groups.jsonl')
  writeFileSync(groups, JSON.stringify({ id: 'g', question: 'q?', prefix: ['a'], steps: ['b', 'c'], labels: [1, 0] }))
  const grouped = await startCli(teach.map((arg) => (arg === data ? groups : arg === out ? join(work, 'grouped') : arg))).ended
  await server.close()
  const read = (name: string) =>
    readFileSync(join(out, name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  assert.is(stopped.code, 1)
  assert.is(resumed.code, 0, resumed.stderr)
  assert.match(nameless.stderr, /--judge-model is required/)
  assert.is(grouped.code, 1, grouped.stderr)
  assert.match(grouped.stderr, /groups\.jsonl: sample g has a "prefix": teach asks about the steps of whole paths/)
  // Five labelled steps, two of them right; every step has one analysis of each kind.
  assert.equal(JSON.parse(resumed.stdout), { steps: 5, pictured: 0, agreeing: 5, disagreeing: 5, unread: 0, sft: 4, dpo: 4 })
  const ends = read('dpo.jsonl').map(({ prompt, chosen, rejected }) => {
    const label = Number(/Now Step: \w+ \d ([\d.]+)\n/.exec(prompt[1].content)?.[1])
    return [label >= 0.5, readConclusion(chosen[0].content), readConclusion(rejected[0].content)]
  })
  assert.equal(
    ends.filter(([isRight, says, other]) => says !== isRight || other === isRight),
    [],
  )
  assert.is(ends.filter(([isRight]) => isRight).length, 2)
  assert.is(read('sft.jsonl').length, 4)
  rmSync(work, { recursive: true })
})

test.run()
