/** The OpenAI-compatible policy against a server that misbehaves in every way: a typed error or a retry, never a wrong label. */
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isOutage } from '../../../ts/contracts/errors.ts'
import type { Rollout } from '../../../ts/contracts/policy.ts'
import { chatJudge } from '../../../ts/policy/judge.ts'
import { type OpenAiPolicyOptions, openAiPolicy } from '../../../ts/policy/openai.ts'
import { remoteScorer } from '../../../ts/policy/remote-scorer.ts'
import { shareTokens } from '../../../ts/policy/token-share.ts'
import { type Behaviour, behave, completion, GOOD_TEXT, sendJson, startChatServer } from '../../helpers/chat-server.ts'

const problem = { id: 'p1', question: 'How many?', answer: '5' }
/** One pixel. */
const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='

/** Rollouts of one prefix from a server of that behaviour, or the error. */
async function ask(
  behaviour: Behaviour,
  options: Partial<OpenAiPolicyOptions> = {},
  more: { count?: number; maxSteps?: number; signal?: AbortSignal; image?: string; prefix?: string[] } = {},
) {
  const server = await startChatServer(behaviour)
  try {
    const policy = openAiPolicy({ baseUrl: server.baseUrl, model: 'm', backOffMs: 1, attempts: 3, timeoutMs: 2000, ...options })
    const { count = 4, signal, image, maxSteps, prefix = [] } = more
    const request = {
      problem: { ...problem, ...(image && { image }) },
      prefix,
      seed: 3,
      from: 0,
      count,
      ...(maxSteps && { maxSteps }),
    }
    const result = await policy.rollouts([request], signal).catch((error) => error)
    const rollouts = (Array.isArray(result) ? result[0] : []) as Rollout[]
    return { error: Array.isArray(result) ? undefined : result, rollouts, requests: server.requests, most: server.mostAtOnce() }
  } finally {
    await server.close()
  }
}

const outcomes = (rollouts: readonly Rollout[]) => rollouts.map((r) => r.outcome)
const raw =
  (body: string | Buffer): Behaviour =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(body)
  }
const first =
  (bad: Behaviour): Behaviour =>
  (request, response, attempt) =>
    attempt === 0 ? bad(request, response, attempt) : behave(request, response, attempt)

test('sends prompt, image, sampling, n and seed; reads steps and answer', async () => {
  const { rollouts, requests } = await ask(behave, { apiKey: 'k' }, { image: PNG, prefix: ['s1'] })
  assert.is(requests.length, 1)
  const { messages, n, temperature, top_p, top_k, repetition_penalty, max_tokens, path, authorization } =
    requests[0] as (typeof requests)[0]
  assert.equal(
    [path, authorization, n, temperature, top_p, top_k, repetition_penalty, max_tokens],
    ['/v1/chat/completions', 'Bearer k', 4, 1, 0.9, 50, 1.05, 4096],
  )
  assert.equal(messages[0].content[0], { type: 'image_url', image_url: { url: PNG } })
  assert.match(messages[0].content[1].text, /^ Your task .*Question: How many\?\nPrevious Steps:<step>s1<\/step>$/s)
  assert.equal(outcomes(rollouts), ['complete', 'complete', 'complete', 'complete'])
  assert.is(rollouts[1]?.steps.at(-1), 'The final answer is 5')
  assert.is(new Set(rollouts.map((r) => r.text)).size, 4)
})

test('the same seed asks for the same, another index for something else', async () => {
  const a = await ask(behave)
  const b = await ask(behave)
  assert.equal(a.requests, b.requests)
  const c = await ask(behave, { samplesPerRequest: 1 })
  assert.is(new Set(c.requests.map((r) => r.seed)).size, 4)
})

test('prefill continues the assistant turn; maxSteps stops at a step', async () => {
  const stopped: Behaviour = (request, response) => sendJson(response, 200, completion(Array(request.n).fill('<step>next')))
  const { requests, rollouts } = await ask(stopped, { template: 'prefill' }, { prefix: ['a', 'b'], maxSteps: 1 })
  assert.equal(requests[0]?.['messages'][1], { role: 'assistant', content: '<step>a</step><step>b</step>' })
  assert.equal([requests[0]?.['continue_final_message'], requests[0]?.['stop']], [true, ['</step>']])
  assert.equal([rollouts[0]?.outcome, rollouts[0]?.steps], ['stopped', ['next']])
})

test('text that does not fit is unparsed, cut text is truncated, a refusal is neither right nor wrong', async () => {
  const cases: [string | null, string | null, string][] = [
    [GOOD_TEXT, 'stop', 'complete'],
    [GOOD_TEXT, null, 'complete'],
    [`Sure! ${GOOD_TEXT}`, 'stop', 'complete'],
    [GOOD_TEXT, 'length', 'truncated'],
    ['<step>one</step><step>tw', 'length', 'truncated'],
    ['<step>one</step>', 'stop', 'unparsed'],
    ['', 'stop', 'unparsed'],
    [null, 'stop', 'unparsed'],
    ['I am sorry.', 'stop', 'unparsed'],
    ['<step>a<step>b</step></step><answer>5</answer>', 'stop', 'unparsed'],
    ['<step></step><answer>5</answer>', 'stop', 'unparsed'],
    ['<step>a</step> and so <answer>5</answer>', 'stop', 'unparsed'],
    ['<answer>5</answer><step>a</step>', 'stop', 'unparsed'],
    ['<step>a</step><answer>5</answer><answer>6</answer>', 'stop', 'unparsed'],
    ['<step>a</step><answer>5</answer></step>', 'stop', 'unparsed'],
    ['<Step>a</Step><Answer>5</Answer>', 'stop', 'unparsed'],
    [GOOD_TEXT, 'content_filter', 'unparsed'],
    ['', 'length', 'truncated'],
    [null, 'length', 'truncated'],
    [`<think>Shall I write <step>s</step>?</think>${GOOD_TEXT}`, 'stop', 'complete'],
    [`Shall I write <step>s</step>?</think>${GOOD_TEXT}`, 'stop', 'complete'],
    [`<think>Shall I write ${GOOD_TEXT}`, 'stop', 'unparsed'],
    [`<think>Shall I write ${GOOD_TEXT}`, 'length', 'truncated'],
  ]
  for (const [text, finish, expected] of cases) {
    const { rollouts } = await ask((_, response) => sendJson(response, 200, completion([text], finish)), {}, { count: 1 })
    assert.equal(outcomes(rollouts), [expected], `${text} (${finish})`)
  }
})

test('reasoning that the server writes apart is no part of the solution', async () => {
  const reply = (message: object, finish = 'stop'): Behaviour => {
    const choices = [{ finish_reason: finish, message: { role: 'assistant', ...message } }]
    return (_, response) => sendJson(response, 200, { choices, usage: { completion_tokens: 40 } })
  }
  const thoughts = 'I should write <step>steps</step>.'
  const cases: [Behaviour, string, string][] = [
    [reply({ content: GOOD_TEXT, reasoning_content: thoughts }), 'complete', GOOD_TEXT],
    [reply({ content: GOOD_TEXT, reasoning: thoughts }), 'complete', GOOD_TEXT],
    [reply({ content: GOOD_TEXT, reasoning: { summary: [] } }), 'complete', GOOD_TEXT],
    [reply({ content: null, reasoning_content: thoughts }, 'length'), 'truncated', thoughts],
    [reply({ content: '', reasoning: thoughts }), 'unparsed', thoughts],
  ]
  for (const [behaviour, outcome, text] of cases) {
    const { rollouts } = await ask(behaviour, {}, { count: 1 })
    assert.equal([rollouts[0]?.outcome, rollouts[0]?.text, rollouts[0]?.numTokens], [outcome, text, 40])
  }
})

test('a model that reasons first is not stopped at a step that it thinks of', async () => {
  const thinks: Behaviour = (request, response) => {
    const whole = `<think>First a <step>step</step>.</think>${GOOD_TEXT}`
    const text = request['stop'] ? (whole.split(request['stop'][0])[0] as string) : whole
    sendJson(response, 200, completion(Array(request.n).fill(text)))
  }
  const { rollouts, requests } = await ask(thinks, {}, { count: 2, maxSteps: 1 })
  assert.equal(
    rollouts.map((r) => [r.outcome, r.steps]),
    Array(2).fill(['stopped', ['one']]),
  )
  assert.equal(
    requests.map((r) => r['stop']),
    [['</step>'], undefined],
  )
})

test('a text of nothing but opening tags is read at once, and kept no longer than is read', async () => {
  for (const text of ['<step>'.repeat(200_000), `${'<step>'.repeat(32_000)}${GOOD_TEXT}`]) {
    const start = process.cpuUsage()
    const { rollouts } = await ask((_, response) => sendJson(response, 200, completion([text])), {}, { count: 1, maxSteps: 1 })
    const { user } = process.cpuUsage(start)
    assert.equal([rollouts[0]?.outcome, rollouts[0]?.text.length], ['truncated', Math.min(text.length, 2 ** 20)])
    assert.ok(user < 2e6, `${user / 1e3} ms`)
  }
})

test('fewer samples than n are asked for again, more are left', async () => {
  const few: Behaviour = (request, response, attempt) => behave({ ...request, n: 1 }, response, attempt)
  const { rollouts, requests } = await ask(few)
  assert.equal(outcomes(rollouts), ['complete', 'complete', 'complete', 'complete'])
  assert.equal(
    requests.map((r) => r.n),
    [4, 1, 1, 1],
  )
  assert.is(new Set(rollouts.map((r) => r.text)).size, 4)
  const many: Behaviour = (request, response, attempt) => behave({ ...request, n: 9 }, response, attempt)
  assert.is((await ask(many)).rollouts.length, 4)
  const none = await ask((_, response) => sendJson(response, 200, completion([])))
  assert.is(none.error.code, 'ERR_ENGINE_POLICY')
  assert.match(none.error.message, /problem "p1": the server answers without a sample/)
})

test('samples of one request share its token count by length; their sum is exact', async () => {
  const tokensOf = (rollouts: readonly Rollout[]) => rollouts.map((r) => r.numTokens)
  const texts = [GOOD_TEXT, '', `<step>${'long '.repeat(40)}</step>`, 'x']
  const { rollouts } = await ask((_, response) =>
    sendJson(response, 200, { ...completion(texts), usage: { completion_tokens: 101 } }),
  )
  const shares = tokensOf(rollouts) as number[]
  assert.is(
    shares.reduce((a, b) => a + b),
    101,
  )
  assert.ok((shares[2] as number) > (shares[0] as number) && (shares[0] as number) > (shares[3] as number))
  assert.is(shares[1], 0)
  assert.equal(shareTokens(7, ['', '', '']), [2, 3, 2])
  assert.equal(tokensOf((await ask(behave, {}, { count: 1 })).rollouts), [12])
  const { choices } = completion([GOOD_TEXT])
  assert.equal(tokensOf((await ask((_, response) => sendJson(response, 200, { choices }), {}, { count: 1 })).rollouts), [
    undefined,
  ])
  // Samples that were not asked for keep their share: it is not counted twice.
  const many: Behaviour = (request, response, attempt) => behave({ ...request, n: 4 }, response, attempt)
  assert.equal(tokensOf((await ask(many, {}, { count: 1 })).rollouts), [3])
})

test('a passing fault is retried', async () => {
  const faults: Record<string, Behaviour> = {
    busy: (_, response) => sendJson(response, 503, { error: 'loading' }),
    'rate limit': (_, response) => sendJson(response, 429, {}, { 'retry-after': '0' }),
    'not JSON': raw('<html>Bad gateway</html>'),
    'cut in the middle': (_, response) => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('{"choices": [')
      setTimeout(() => response.destroy(), 5)
    },
    'not UTF-8': raw(
      Buffer.concat([Buffer.from('{"choices":[{"message":{"content":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}}]}')]),
    ),
    'no choices': raw('{"ok": true}'),
    reset: (_, response) => void response.socket?.destroy(),
  }
  for (const [name, fault] of Object.entries(faults)) {
    const { rollouts, requests, error } = await ask(first(fault))
    assert.is(error, undefined, `${name}: ${error?.message}`)
    assert.equal([rollouts.length, requests.length], [4, 2], name)
    assert.equal(requests[0], requests[1], `${name}: the same request again`)
  }
})

test('Retry-After is kept to', async () => {
  const start = performance.now()
  await ask(first((_, response) => sendJson(response, 429, {}, { 'retry-after': '0.3' })))
  assert.ok(performance.now() - start >= 290)
})

test('a lasting fault becomes a typed error that names problem, server and cause', async () => {
  const faults: [string, Behaviour, RegExp, number][] = [
    ['outage', (_, response) => sendJson(response, 500, { error: 'boom' }), /status 500: \{"error":"boom"\}, 3 attempts/, 3],
    ['rate limit', (_, response) => sendJson(response, 429, {}, { 'retry-after': '0' }), /status 429/, 3],
    ['unauthorised', (_, response) => sendJson(response, 401, { error: 'no key' }), /status 401: \{"error":"no key"\}/, 1],
    ['refused request', (_, response) => sendJson(response, 400, { error: 'context length' }), /status 400.*context length/, 1],
    ['never answers', () => {}, /no complete answer within 0\.2 s/, 3],
    [
      'endless answer',
      async (_, response) => {
        response.writeHead(200)
        for (let i = 0; i < 500 && !response.destroyed; i++) {
          response.write('{"choices":'.padEnd(4096))
          await sleep(2)
        }
        response.end()
      },
      /no complete answer within 0\.2 s/,
      3,
    ],
    ['not UTF-8', raw(Buffer.from([0x22, 0xff, 0x22])), /not valid UTF-8/, 3],
  ]
  for (const [name, behaviour, message, attempts] of faults) {
    const { error, requests } = await ask(behaviour, { timeoutMs: 200 })
    assert.is(error?.code, 'ERR_ENGINE_POLICY', name)
    assert.match(error.message, /^problem "p1": http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions: /)
    assert.match(error.message, message, name)
    assert.is(requests.length, attempts, name)
    assert.is(isOutage(error), ['rate limit', 'unauthorised'].includes(name), `${name}: whether it befalls whatever is asked`)
  }
})

test('no server at all', async () => {
  const server = await startChatServer(behave)
  await server.close()
  const policy = openAiPolicy({ baseUrl: server.baseUrl, model: 'm', attempts: 2, backOffMs: 1 })
  const error = await policy.rollouts([{ problem, prefix: [], seed: 1, from: 0, count: 1 }]).catch((e) => e)
  assert.is(error.code, 'ERR_ENGINE_POLICY')
  assert.match(error.message, 'ECONNREFUSED')
  assert.ok(isOutage(error))
  const scorer = remoteScorer({ baseUrl: server.baseUrl, attempts: 1 })
  assert.ok(isOutage(await scorer.catch((e) => e)), 'a scorer’s likewise')
})

test('no more requests at once than allowed', async () => {
  const slow: Behaviour = async (request, response, attempt) => {
    await sleep(20)
    await behave(request, response, attempt)
  }
  const { most, rollouts } = await ask(slow, { concurrency: 3, samplesPerRequest: 1 }, { count: 12 })
  assert.equal([most, rollouts.length], [3, 12])
})

test('an abort ends waiting requests and back-off at once', async () => {
  for (const behaviour of [() => {}, ((_, response) => sendJson(response, 429, {}, { 'retry-after': '50' })) as Behaviour]) {
    const start = performance.now()
    const { error } = await ask(behaviour, { timeoutMs: 60_000 }, { signal: AbortSignal.timeout(50) })
    assert.is(error.code, 'ERR_ENGINE_ABORTED')
    assert.ok(performance.now() - start < 1000)
  }
})

test('half a surrogate pair that a server wrote is U+FFFD, as a data base would keep it', async () => {
  const { rollouts } = await ask((_, response) =>
    sendJson(response, 200, completion(Array(4).fill(`<step>cut \ud83d</step>${GOOD_TEXT}`))),
  )
  for (const { text, steps } of rollouts) {
    assert.ok(text.isWellFormed() && steps.every((step) => step.isWellFormed()))
    assert.is(steps[0], 'cut \ufffd')
  }
})

test('bad options and images are refused before anything is sent', async () => {
  assert.throws(() => openAiPolicy({ baseUrl: 'ftp://x', model: 'm' }), /baseUrl/)
  assert.throws(
    () => openAiPolicy({ baseUrl: 'http://x/v1', model: 'm', samplesPerRequst: 1 } as never),
    /did you mean "samplesPerRequest"/,
  )
  assert.throws(() => openAiPolicy({ baseUrl: 'http://x/v1', model: 'm', template: 'prefil' }), /did you mean "prefill"/)
  const missing = await ask(behave, {}, { image: '/nowhere/x.png' })
  assert.is(missing.error.code, 'ERR_ENGINE_INVALID_ARGUMENT')
  assert.match(missing.error.message, /problem "p1": image \/nowhere\/x\.png/)
  assert.is(missing.requests.length, 0)
})

test('a judge on the same kind of server', async () => {
  const server = await startChatServer((_, response) => sendJson(response, 200, completion(['Yes'])))
  assert.is(await chatJudge({ baseUrl: server.baseUrl, model: 'm' })('equal?'), 'Yes')
  await server.close()
})

test.run()
