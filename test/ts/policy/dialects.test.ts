/**
 * Servers that refuse a parameter, each in words of its own: the same is asked for without it, or the user is told what
 * would do. Found out once before a run, and again where a run meets it.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chatJudge } from '../../../ts/policy/judge.ts'
import { type OpenAiPolicyOptions, openAiPolicy } from '../../../ts/policy/openai.ts'
import {
  type Behaviour,
  behave,
  type ChatRequest,
  completion,
  GOOD_TEXT,
  isProbe,
  sendJson,
  startChatServer,
} from '../../helpers/chat-server.ts'

const problem = { id: 'p1', question: 'How many?', answer: '5' }

/** Refuses requests for which `why` has a body to say so; answers others well, whatever they leave out. */
const refusing =
  (why: (request: ChatRequest) => [status: number, body: unknown] | undefined): Behaviour =>
  (request, response, attempt) => {
    const refusal = why(request)
    if (refusal) return sendJson(response, ...refusal)
    return behave({ ...request, n: request.n ?? 1, seed: request.seed ?? attempt }, response, attempt)
  }

interface Asked {
  warnings?: readonly string[]
  // biome-ignore lint/suspicious/noExplicitAny: an error of any kind
  error?: any
  outcomes: string[]
  /** Those of the probe first. */
  requests: ChatRequest[]
  numProbes: number
}

async function ask(
  behaviour: Behaviour,
  { probe = true, maxSteps, ...options }: Partial<OpenAiPolicyOptions> & { probe?: boolean; maxSteps?: number } = {},
): Promise<Asked> {
  const server = await startChatServer(behaviour)
  const policy = openAiPolicy({ baseUrl: server.baseUrl, model: 'm', backOffMs: 1, attempts: 2, timeoutMs: 2000, ...options })
  const asked: Asked = { outcomes: [], requests: server.requests, numProbes: 0 }
  try {
    if (probe) asked.warnings = (await policy.prepare?.()) ?? []
    asked.numProbes = server.requests.length
    const request = { problem, prefix: ['s'], seed: 3, from: 0, count: 4, ...(maxSteps && { maxSteps }) }
    const [rollouts] = await policy.rollouts([request])
    asked.outcomes = rollouts?.map((r) => r.outcome) ?? []
  } catch (error) {
    asked.error = error
  } finally {
    await server.close()
  }
  return asked
}

const FOUR = ['complete', 'complete', 'complete', 'complete']
const plain = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 }
const ofRun = ({ requests, numProbes }: Asked) => requests.slice(numProbes)

const openAiWords = (param: string) => ({
  error: { message: `Unsupported parameter: '${param}' is not supported with this model.`, param, code: 'unsupported_parameter' },
})
const pydanticWords = (param: string) => ({
  detail: [{ type: 'extra_forbidden', loc: ['body', param], msg: 'Extra inputs are not permitted', input: 1 }],
})
const REFUSALS: [string, (param: string) => [number, unknown]][] = [
  ['hosted API', (param) => [400, openAiWords(param)]],
  ['pydantic', (param) => [422, pydanticWords(param)]],
  [
    'protobuf',
    (param) => [400, { error: { message: `Invalid JSON payload received. Unknown name "${param}": Cannot find field.` } }],
  ],
  ['plain text', (param) => [400, `unknown field \`${param}\``]],
  ['an accident', (param) => [500, { error: { message: `${param} is not implemented` } }]],
  ['with status 200', (param) => [200, { error: { message: `property '${param}' is unsupported` } }]],
]
const NAMELESS: [string, (param: string) => [number, unknown]][] = [
  ['without a word', () => [400, '']],
  ['about nothing', () => [422, { error: 'Unprocessable Entity' }]],
  ['about something else', () => [400, { error: 'temperature is fine, your request is not' }]],
]

test('n > 1 is refused in many words: one sample per request', async () => {
  const wordings: unknown[] = [
    { error: { message: 'Only one completion choice is allowed', type: 'invalid_request_error', param: 'n' } },
    'Only one completion choice is allowed',
    { error: 'n must be 1 when using greedy sampling, got 4.' },
    { error: { message: "'n' : number must be at most 1 with this model" } },
    { message: 'multiple completions are not supported' },
    { error: 'best_of and n > 1 are not implemented' },
    { detail: [{ loc: ['body', 'n'], msg: 'Input should be less than or equal to 1' }] },
  ]
  for (const status of [400, 422, 501]) {
    for (const words of wordings) {
      const behaviour = refusing(({ n }) => (n > 1 ? [status, words] : undefined))
      for (const probe of [true, false]) {
        const asked = await ask(behaviour, { probe })
        assert.equal(asked.outcomes, FOUR, `${JSON.stringify(words)} (${status}): ${asked.error?.message}`)
        if (probe) assert.equal(new Set(ofRun(asked).map((r) => r.n)), new Set([undefined]), 'known from the probe')
      }
    }
  }
  const asked = await ask(refusing(({ n }) => (n > 1 ? [400, 'no'] : undefined)))
  assert.equal([asked.outcomes, new Set(ofRun(asked).map((r) => r.seed)).size], [FOUR, 4], 'found out though no word says so')
})

test('a server that gives fewer samples than asked for: known from the probe', async () => {
  const few: Behaviour = (request, response, attempt) => behave({ ...request, n: 1 }, response, attempt)
  const asked = await ask(few)
  assert.equal([asked.outcomes, ofRun(asked).map((r) => r.n), asked.warnings], [FOUR, [1, 1, 1, 1], []])
})

test('what the same can be asked for without is left out', async () => {
  const cases: [string, (sent: ChatRequest) => boolean, (request: ChatRequest) => void][] = [
    ['max_tokens', (r) => 'max_tokens' in r, (r) => assert.is(r['max_completion_tokens'], 4096)],
    ['seed', (r) => 'seed' in r, (r) => assert.is(r.seed, undefined)],
    ['temperature', (r) => 'temperature' in r, (r) => assert.is(r['temperature'], undefined)],
    ['top_p', (r) => 'top_p' in r, (r) => assert.is(r['top_p'], undefined)],
    ['stop', (r) => 'stop' in r, (r) => assert.is(r['stop'], undefined)],
  ]
  for (const [param, isSent, check] of cases) {
    for (const [name, words] of [...REFUSALS, ...NAMELESS]) {
      const behaviour = refusing((request) => (isSent(request) ? words(param) : undefined))
      const asked = await ask(behaviour, { sampling: plain })
      assert.equal(asked.outcomes, FOUR, `${param}, ${name}: ${asked.error?.message}`)
      assert.is(ofRun(asked).length, 1, `${param}, ${name}: nothing is refused in the run`)
      check(ofRun(asked)[0] as ChatRequest)
      assert.ok(asked.numProbes <= 20, `${param}, ${name}: ${asked.numProbes} requests`)
      assert.equal(asked.warnings?.length, param === 'seed' ? 1 : 0, `${param}, ${name}`)
    }
  }
})

test('without a probe a run finds out what a refusal names', async () => {
  for (const param of ['max_tokens', 'stop', 'top_p']) {
    for (const [name, words] of REFUSALS) {
      const behaviour = refusing((request) => (param in request ? words(param) : undefined))
      const asked = await ask(behaviour, { probe: false, sampling: plain, maxSteps: 1 })
      assert.equal(asked.outcomes.length, 4, `${param}, ${name}: ${asked.error?.message}`)
    }
  }
})

test('several at once, one after the other, and with the other name of the limit', async () => {
  const strict = refusing((request) => {
    for (const param of ['max_tokens', 'top_p', 'temperature', 'seed']) if (param in request) return [400, openAiWords(param)]
    return request.n > 1 ? [400, 'Only one completion choice is allowed'] : undefined
  })
  const wordless = refusing((request) =>
    'max_tokens' in request || 'seed' in request || Number(request['n']) > 1 ? [400, 'Bad Request'] : undefined,
  )
  for (const behaviour of [strict, wordless]) {
    const asked = await ask(behaviour, { sampling: plain })
    assert.equal(asked.outcomes, FOUR, asked.error?.message)
    const [request] = ofRun(asked)
    assert.equal([request?.['max_tokens'], request?.['max_completion_tokens'], request?.seed], [undefined, 4096, undefined])
  }
  assert.is(ofRun(await ask(wordless, { sampling: plain }))[0]?.['temperature'], 1, 'what was left out in vain is sent again')
})

test('what cannot be left out: told before the run, all of it, with the options that would do', async () => {
  const cases: [string[], Partial<OpenAiPolicyOptions>, RegExp[]][] = [
    [['top_k'], {}, [/takes no top_k/, /sampling\.topK 0 \(--top-k 0\)/]],
    [['repetition_penalty'], {}, [/--repetition-penalty 1/]],
    [['top_k', 'repetition_penalty', 'top_p'], {}, [/--top-k 0/, /--repetition-penalty 1/, /--top-p 1/]],
    [['temperature'], { sampling: { ...plain, temperature: 0.5 } }, [/takes no temperature/, /--temperature 1/]],
    [
      ['chat_template_kwargs'],
      { sampling: plain, templateVariables: { a: 1 } },
      [/takes no chat_template_kwargs/, /no templateVariables/],
    ],
    [['continue_final_message'], { template: 'prefill', sampling: plain }, [/--template mm-prm-v1 or instruct/]],
  ]
  for (const [params, options, messages] of cases) {
    for (const [name, words] of [...REFUSALS, ...NAMELESS]) {
      const behaviour = refusing((request) => {
        const found = params.find((param) => param in request)
        return found === undefined ? undefined : words(found)
      })
      const { error, requests, numProbes } = await ask(behaviour, options)
      assert.is(error?.code, 'ERR_ENGINE_INVALID_ARGUMENT', `${params}, ${name}: ${error?.message}`)
      for (const message of messages) assert.match(error.message, message)
      assert.is(numProbes, 0, 'nothing is asked of such a server')
      assert.ok(requests.length <= 24)
    }
    const [words] = REFUSALS.map(([, say]) => say)
    const inRun = await ask(
      refusing((request) => ((params[0] as string) in request ? words?.(params[0] as string) : undefined)),
      { ...options, probe: false },
    )
    assert.is(inRun.error?.code, 'ERR_ENGINE_POLICY')
    assert.match(inRun.error.message, messages[0] === undefined ? /./ : /a server that takes no/)
  }
})

test('a server that will not go on with a turn, in its own words', async () => {
  const words = { message: 'Cannot continue: the last message is of the assistant' }
  const { error } = await ask(
    refusing(({ messages }) => (messages.at(-1).role === 'assistant' ? [400, words] : undefined)),
    { template: 'prefill', sampling: plain },
  )
  assert.is(error?.code, 'ERR_ENGINE_INVALID_ARGUMENT')
  assert.match(error.message, /--template mm-prm-v1 or instruct/)
})

test('a probe that is refused or not answered is no error', async () => {
  const faults: [string, Behaviour][] = [
    ['refused', (_, response) => sendJson(response, 400, { error: 'no such problem' })],
    ['not found', (_, response) => sendJson(response, 404, {})],
    ['forbidden', (_, response) => sendJson(response, 403, {})],
    ['busy', (_, response) => sendJson(response, 429, {}, { 'retry-after': '100' })],
    ['an outage', (_, response) => sendJson(response, 500, { error: 'boom' })],
    ['loading', (_, response) => sendJson(response, 503, {})],
    ['no JSON', (_, response) => void response.end('<html>')],
    ['no choice', (_, response) => sendJson(response, 200, completion([]))],
    ['a cut connection', (_, response) => void response.socket?.destroy()],
  ]
  for (const [name, fault] of faults) {
    const asked = await ask((request, response, attempt) => (isProbe(request) ? fault : behave)(request, response, attempt))
    assert.equal([asked.outcomes, asked.warnings], [FOUR, []], `${name}: ${asked.error?.message}`)
    assert.ok(asked.numProbes <= 2, `${name}: ${asked.numProbes} requests`)
  }
  const nobody = openAiPolicy({ baseUrl: 'http://127.0.0.1:9/v1', model: 'm' })
  assert.equal(await nobody.prepare?.(), [])
})

test('an abort ends the probe; the next call asks again, and a third one does not', async () => {
  let isSilent = true
  const server = await startChatServer((request, response, attempt) => {
    if (!isSilent) behave(request, response, attempt)
  })
  const policy = openAiPolicy({ baseUrl: server.baseUrl, model: 'm' })
  const error = await policy.prepare?.(AbortSignal.timeout(50)).catch((e) => e)
  assert.is(error.code, 'ERR_ENGINE_ABORTED')
  isSilent = false
  assert.equal(await policy.prepare?.(), [])
  const { length } = server.requests
  await policy.prepare?.()
  assert.is(server.requests.length, length)
  await server.close()
})

test('one text for two seeds, or for all samples of a request, is told', async () => {
  const fixed: Behaviour = (request, response) => sendJson(response, 200, completion(Array(request.n).fill(GOOD_TEXT)))
  assert.match((await ask(fixed)).warnings?.join() ?? '', /one text for two seeds/)
  assert.equal((await ask(fixed, { sampling: { temperature: 0 } })).warnings, [], 'greedy on purpose')
  const copying: Behaviour = (request, response) =>
    sendJson(response, 200, completion(Array(request.n).fill(`${GOOD_TEXT} ${request.seed}`)))
  assert.match((await ask(copying)).warnings?.join() ?? '', /--samples-per-request 1/)
  assert.equal((await ask(behave)).warnings, [])
  const thinking: Behaviour = (request, response) => sendJson(response, 200, completion(Array(request.n).fill(''), 'length'))
  assert.equal((await ask(thinking)).warnings, [], 'nothing was written yet')
})

test('samples per request are part of what makes a run', () => {
  const identity = (more: object) => openAiPolicy({ baseUrl: 'http://x/v1', model: 'm', ...more }).identity
  assert.is(identity({}).samplesPerRequest, 16)
  assert.is(identity({ samplesPerRequest: 1 }).samplesPerRequest, 1)
})

test('a judge of a model that thinks: its own name of the limit, room to think, no temperature', async () => {
  const server = await startChatServer(
    refusing((request) => {
      if ('max_tokens' in request) return [400, openAiWords('max_tokens')]
      return 'temperature' in request ? [400, openAiWords('temperature')] : undefined
    }),
  )
  const ask = chatJudge({ baseUrl: server.baseUrl, model: 'm', backOffMs: 1 })
  await ask('equal?')
  await ask('equal?', undefined, 1)
  const last = server.requests.at(-1)
  assert.equal([last?.['max_completion_tokens'], last?.['temperature']], [4096, undefined])
  await server.close()
})

test.run()
