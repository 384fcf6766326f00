/** Answers and outcomes of a policy on a server, as `mm-prm search` counts them: what stands in a block, what was cut, what was thought. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Behaviour, completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'
import { startCli } from '../../helpers/cli.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-rollout-cases-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))

interface Case {
  id: string
  gold: string
  text: string
  finish?: string
}

const STEPS = '<step>First look at the parts of the figure one by one.</step><step>Then put them together as asked.</step>'
const block = (id: string, gold: string, answer: string): Case => ({ id, gold, text: `${STEPS}<answer>${answer}</answer>` })

/** Summary of a search with four rollouts of each case's text. */
async function searched(name: string, cases: readonly Case[], command: string[] = []) {
  const answer: Behaviour = (request, response) => {
    const asked = JSON.stringify(request['messages'])
    const { text, finish = 'stop' } = cases.find(({ id }) => asked.includes(`${id}: what is it?`)) as Case
    sendJson(response, 200, completion(Array(request.n).fill(text), finish))
  }
  const server = await startChatServer(answer)
  try {
    const problems = join(scratch, `${name}.json`)
    const rows = cases.map(({ id, gold }) => ({ id, question: `${id}: what is it?`, correct_answer: gold }))
    writeFileSync(problems, JSON.stringify(rows))
    const policy = ['--policy', 'openai', '--model', 'any', '--endpoint', server.baseUrl, '--template', 'instruct']
    const search = ['search', '--problems', problems, '--out', join(scratch, name), '--strategy', 'best-of-n', '--set', 'n=4']
    const { code, stdout, stderr } = await startCli([...search, ...policy, ...command, '--json']).ended
    assert.is(code, 0, stderr)
    const { correct, unparsed, truncated, rollouts } = JSON.parse(stdout)
    return { correct, unparsed, truncated, rollouts }
  } finally {
    await server.close()
  }
}

test('what stands in an answer block is the answer', async () => {
  const right = [
    block('cobalt', '2\\sqrt{3}', '2\\sqrt{3}'),
    block('amber', 'B', 'B'),
    block('violet', '(2,-3)', '(2,-3)'),
    block('ochre', 'isosceles triangle', 'isosceles triangle'),
    block('olive', 'x>3', 'x > 3'),
    block('mint', '5 cm', '5 cm'),
    block('coral', '[1, 2)', '[1,2)'),
    block('plum', '42', 'The final answer is 42'),
  ]
  const wrong = [block('teal', '3', '2\\sqrt{3}'), block('rust', '3', '(2,-3)'), block('lime', '3', 'x > 3')]
  assert.equal(await searched('blocks', [...right, ...wrong]), {
    correct: 4 * right.length,
    unparsed: 0,
    truncated: 0,
    rollouts: 4 * (right.length + wrong.length),
  })
})

test('reasoning before the steps is no part of the solution', async () => {
  const good = `${STEPS}<answer>The final answer is 42</answer>`
  const cases = [
    '<think>\nI should write <step>steps</step> and an <answer>answer</answer>.\n</think>\n\n',
    'Steps, as <step>.</think>\n',
  ]
  assert.equal(
    await searched(
      'thoughts',
      cases.map((thought, i) => ({ id: `case${i}`, gold: '42', text: thought + good })),
    ),
    { correct: 8, unparsed: 0, truncated: 0, rollouts: 8 }, // biome-ignore format: one value
  )
})

test('what was cut before any text is truncated', async () => {
  const cases = ['', '<think>Let me see', '<step>Fir'].map((text, i) => ({ id: `case${i}`, gold: '42', text, finish: 'length' }))
  assert.equal(await searched('cut', cases), { correct: 0, unparsed: 0, truncated: 12, rollouts: 12 })
})

test.run()
