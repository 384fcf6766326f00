/** Judges of every kind behind the same verifier: a server, an engine, a policy. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError, invalidArgument } from '../../../ts/contracts/errors.ts'
import type { Outcome } from '../../../ts/contracts/policy.ts'
import type { AskJudge } from '../../../ts/contracts/verifier.ts'
import { type ChatEngine, chatJudge, engineJudge, policyJudge } from '../../../ts/policy/judge.ts'
import { openAiPolicy } from '../../../ts/policy/openai.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { firstErrorJudge, readFirstError, ruleVerifier } from '../../../ts/verify/index.ts'
import { completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'

const problem = { id: 'p', question: 'Which shape is it?', answer: 'a regular hexagon' }
const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='
const ANSWER = 'hexagon with equal sides'
const verdictOf = (ask: AskJudge, attempts = 3) =>
  ruleVerifier({ judge: { ask, attempts, backOffMs: 1 } }).verify(problem, ANSWER)

/** Says these, one call after the other. */
function engineSaying(...texts: string[]) {
  const calls: Parameters<ChatEngine['generate']>[0][] = []
  const engine: ChatEngine = { generate: async (call) => [{ text: texts[calls.push(call) - 1] as string, finish: 'stop' }] }
  return { engine, calls }
}

test('the engine: greedy at first, drawn anew when it said neither yes nor no', async () => {
  const { engine, calls } = engineSaying('Let me see', 'Yes')
  assert.equal(await verdictOf(engineJudge(engine)), { match: true, method: 'judge', raw: 'Yes' })
  assert.equal(
    calls.map((c) => [c.sampling.temperature, c.seed]),
    [
      [0, 0],
      [1, 1],
    ],
  )
  for (const said of [problem.question, problem.answer, ANSWER]) assert.ok(calls[0]?.messages[0]?.content.includes(said))
})

test('a server: the same, over HTTP', async () => {
  const server = await startChatServer((_, response, attempt) =>
    sendJson(response, 200, completion([attempt === 0 ? 'Hm' : 'No'])),
  )
  const verdict = await verdictOf(chatJudge({ baseUrl: server.baseUrl, model: 'm' }))
  await server.close()
  assert.equal(verdict, { match: false, method: 'judge', raw: 'No' })
  assert.equal(
    server.requests.map((r) => [r['temperature'], r.seed]),
    [
      [0, undefined],
      [1, 1],
    ],
  )
})

test('a judge that reasons first has room for it, and is read behind it', async () => {
  const thought = '<think>Yes, it is right. No: wait, are all sides equal? Yes.</think>\n\n'
  const server = await startChatServer((_, response) => sendJson(response, 200, completion([`${thought}No`])))
  assert.equal(await verdictOf(chatJudge({ baseUrl: server.baseUrl, model: 'm' })), {
    ...{ match: false, method: 'judge', raw: '\n\nNo' },
  })
  await verdictOf(chatJudge({ baseUrl: server.baseUrl, model: 'm', maxTokens: 99 }))
  await server.close()
  assert.equal(
    server.requests.map((r) => r['max_tokens']),
    [4096, 99],
  )

  const { engine, calls } = engineSaying('it differs… yes, no.</think>Yes', `${thought}Step 2`)
  assert.equal(await verdictOf(engineJudge(engine)), { match: true, method: 'judge', raw: 'Yes' })
  assert.is(await firstErrorJudge(engineJudge(engine, { maxTokens: 99 }))(problem, ['one', 'two']), 1)
  assert.equal(
    calls.map((c) => c.maxTokens),
    [4096, 99],
  )
  assert.throws(
    () => engineJudge(engine, { maxTokens: 0 }),
    (e: Error) => /judge: maxTokens/.test(e.message),
  )
})

test('any policy: its answer, or its plain reply; a cut text says nothing', async () => {
  const rollouts: [Outcome, string[], string][] = [
    ['truncated', [], 'No, wait: is it really the'],
    ['unparsed', [], 'Perhaps.'],
    ['complete', ['No side differs.', 'The final answer is Yes'], '…'],
  ]
  const policy = scriptedPolicy(({ problem }, index) => {
    assert.ok(problem.question.includes(ANSWER))
    const [outcome, steps, text] = rollouts[index] as (typeof rollouts)[0]
    return { outcome, steps, text }
  })
  assert.equal(await verdictOf(policyJudge(policy)), { match: true, method: 'judge', raw: 'The final answer is Yes' })
  const plain = scriptedPolicy(() => ({ outcome: 'unparsed', steps: [], text: 'No.' }))
  assert.equal(await verdictOf(policyJudge(plain)), { match: false, method: 'judge', raw: 'No.' })
  const error = await verdictOf(policyJudge(policy), 2).catch((e: unknown) => e)
  assert.is((error as EngineError).code, 'ERR_ENGINE_POLICY')
  assert.match((error as Error).message, /problem p: the judge gave no verdict in 2 attempts: .*Perhaps/)
})

test('a policy on a server judges like any other', async () => {
  const server = await startChatServer((_, response) => sendJson(response, 200, completion(['<answer>Yes</answer>'])))
  const policy = openAiPolicy({ baseUrl: server.baseUrl, model: 'm', template: 'instruct' })
  const verdict = await verdictOf(policyJudge(policy))
  await server.close()
  assert.equal(verdict, { match: true, method: 'judge', raw: 'Yes' })
})

test('what a judge refuses is not asked for again, and names the problem', async () => {
  let calls = 0
  const refusing: ChatEngine = {
    generate: async () => {
      calls++
      throw invalidArgument('the model has 512 positions')
    },
  }
  const error = await verdictOf(engineJudge(refusing)).catch((e: unknown) => e)
  assert.instance(error, EngineError)
  assert.is((error as EngineError).code, 'ERR_ENGINE_INVALID_ARGUMENT')
  assert.match((error as Error).message, /problem p: the judge: the model has 512 positions/)
  assert.is(calls, 1)
})

test('where a solution first goes wrong: the picture goes along, words are read strictly', async () => {
  assert.equal(
    ['2', 'Step 2.', '**Step 3**', 'Step 2 is the first wrong one.', 'None', '"none."'].map((text) => readFirstError(text, 3)),
    [1, 1, 2, 1, null, null],
  )
  const vague = [
    'Step 1 or 2',
    'Step 9',
    'I do not know',
    '0',
    '-1',
    '1.5',
    'All 3 steps are right',
    'Step 1 is right',
    'None but 2',
    '',
  ]
  for (const text of vague) assert.is(readFirstError(text, 3), undefined, text)
  const pictured = { ...problem, image: PNG }
  const server = await startChatServer((_, response, attempt) =>
    sendJson(response, 200, completion([attempt === 0 ? 'Hard to say' : '2'])),
  )
  const locate = firstErrorJudge(chatJudge({ baseUrl: server.baseUrl, model: 'm' }), { backOffMs: 1 })
  assert.is(await locate(pictured, ['first', 'second', 'third']), 1)
  await server.close()
  const said = JSON.stringify(server.requests[0]?.['messages'])
  for (const part of [problem.question, 'Step 3: third', PNG]) assert.ok(said.includes(part), part)

  const { engine, calls } = engineSaying('none')
  assert.is(await firstErrorJudge(engineJudge(engine))(pictured, ['only']), null)
  assert.equal(calls[0]?.images, [PNG])
})

test('words that name no step are no verdict; a judge that goes on like that is no judge, nor is one that is gone', async () => {
  let asked = 0
  const vague = firstErrorJudge(async () => `Hm ${++asked}`, { attempts: 2, backOffMs: 1 })
  for (let i = 0; i < 19; i++) assert.is(await vague(problem, ['only']), 'unread')
  assert.is(asked, 38)
  const given = await vague(problem, ['only']).catch((e: unknown) => e)
  assert.match((given as Error).message, /problem p: the judge named no step for 20 solutions in a row: "Hm 40"/)
  const gone = firstErrorJudge(() => Promise.reject(new Error('503')), { attempts: 2, backOffMs: 1 })
  const outage = await gone(problem, ['only']).catch((e: unknown) => e)
  assert.match((outage as Error).message, /problem p: the judge gave no verdict in 2 attempts: 503/)
})

test('an answer that was cut says nothing, whatever its first words', async () => {
  const cut: ChatEngine = { generate: async () => [{ text: 'Step 1', finish: 'length' }] }
  assert.is(await firstErrorJudge(engineJudge(cut), { attempts: 1 })(problem, ['first', 'second']), 'unread')
  const server = await startChatServer((_, response) => sendJson(response, 200, completion(['Yes'], 'length')))
  const error = await verdictOf(chatJudge({ baseUrl: server.baseUrl, model: 'm' }), 1).catch((e: unknown) => e)
  await server.close()
  assert.match((error as Error).message, /problem p: the judge gave no verdict in 1 attempts/)
})

test('another judge makes another run', () => {
  const ask = async () => 'Yes'
  const names = [{}, { judge: { ask } }, { judge: { ask, name: 'a' } }].map((options) => ruleVerifier(options).name)
  assert.equal(names, ['rules', 'rules+judge', 'rules+judge:a'])
})

test.run()
