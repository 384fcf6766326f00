/** The server, driven by OpenAI's own client, by our policy, and by clients that mean no good. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import OpenAI from 'openai'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { imageDataUri } from '../../ts/images/index.ts'
import { openPolicy, openScorer } from '../../ts/kit/index.ts'
import { makeTasks } from '../../ts/mini/problems.ts'
import { type ServeOptions, serve } from '../../ts/serve/index.ts'
import { IN_DOMAIN } from '../../ts/tasks/index.ts'
import { startCli } from '../helpers/cli.ts'

const MODELS = join(import.meta.dirname, '../../models')
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-serve-'))
const policy = await Engine.open({ model: join(MODELS, 'mini-policy') })
const prm = await Engine.open({ model: join(MODELS, 'mini-prm') })
const server = await serve({ policy, prm })
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 })
test.after(async () => {
  await server.close()
  await policy.close()
  await prm.close()
  rmSync(scratch, { recursive: true, force: true })
})

const [task] = await makeTasks(scratch, IN_DOMAIN, 'serve', 1, { part: 'test' })
const PROBLEM = (task as NonNullable<typeof task>).problem
const PICTURE = imageDataUri(typeof PROBLEM.image === 'string' ? readFileSync(PROBLEM.image) : (PROBLEM.image as Uint8Array))
const asked = `Question: ${PROBLEM.question}`
const seeing = [
  { type: 'image_url' as const, image_url: { url: PICTURE } },
  { type: 'text' as const, text: asked },
]
const chat = { model: 'whatever', messages: [{ role: 'user' as const, content: seeing }], n: 4, seed: 11, max_tokens: 120 }
const inProcess = { messages: [{ role: 'user' as const, content: asked }], image: PICTURE, n: 4, seed: 11, maxTokens: 120 }

async function post(path: string, body: unknown, headers: Record<string, string> = {}, base = server.url) {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const response = await fetch(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: text,
  })
  // biome-ignore lint/suspicious/noExplicitAny: whatever a server answers
  return { status: response.status, headers: response.headers, body: (await response.json().catch(() => null)) as any }
}

/** Until the engine has nothing to do; fails where that does not come. */
async function untilIdle(engine: Engine): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const { requestsRunning, requestsWaiting, callsWaiting } = engine.stats()
    if (requestsRunning + requestsWaiting + callsWaiting === 0) return
    await sleep(50)
  }
  throw new Error('the engine is still at work')
}

test('a chat completion has the bits of the engine, picture, samples, seed and log-probabilities included', async () => {
  const answer = await client.chat.completions.create({ ...chat, logprobs: true })
  const expected = await policy.generate({ ...inProcess, logprobs: true })
  assert.equal(
    answer.choices.map(({ index, message, finish_reason, logprobs }) => ({
      ...{ index, text: message.content, finish_reason },
      logprobs: logprobs?.content?.map(({ logprob }) => logprob),
    })),
    expected.map(({ sample, text, finish, logprobs }) => ({
      ...{ index: sample, text, finish_reason: finish === 'length' ? 'length' : 'stop', logprobs },
    })),
  )
  assert.is(
    answer.usage?.completion_tokens,
    expected.reduce((n, { tokens }) => n + tokens.length, 0),
  )
  assert.ok((answer.usage?.prompt_tokens ?? 0) > 36)
  assert.is(answer.model, 'mini-policy')
})

test('a stream adds up to the whole answer, with its usage at the end', async () => {
  const whole = await client.chat.completions.create(chat)
  const stream = await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } })
  const texts = ['', '', '', '']
  const ends: string[] = []
  let usage: unknown
  for await (const chunk of stream) {
    for (const { index, delta, finish_reason } of chunk.choices) {
      texts[index] += delta.content ?? ''
      if (finish_reason) ends[index] = finish_reason
    }
    usage = chunk.usage ?? usage
  }
  assert.equal(
    texts,
    whole.choices.map(({ message }) => message.content),
  )
  assert.equal(
    ends,
    whole.choices.map(({ finish_reason }) => finish_reason),
  )
  assert.equal(usage, whole.usage)
  const told = await client.chat.completions.create({ ...chat, logprobs: true, stream: true })
  let numLogprobs = 0
  for await (const chunk of told) for (const c of chunk.choices) numLogprobs += c.logprobs?.content?.length ?? 0
  assert.is(numLogprobs, whole.usage?.completion_tokens)
})

test('stops, sampling fields and a last message that is gone on with', async () => {
  const sampling = { temperature: 0.7, top_p: 0.9, top_k: 20, min_p: 0.01, repetition_penalty: 1.1, presence_penalty: 0.2 }
  const messages = [...chat.messages, { role: 'assistant' as const, content: '<step>So' }]
  const continued = { continue_final_message: true, add_generation_prompt: false }
  const body = { ...chat, ...sampling, messages, ...continued, stop: ['</step>'] }
  const answer = await client.chat.completions.create(body as typeof chat)
  const expected = await policy.generate({
    ...inProcess,
    messages: [...inProcess.messages, { role: 'assistant', content: '<step>So' }],
    stop: ['</step>'],
    sampling: { temperature: 0.7, topP: 0.9, topK: 20, minP: 0.01, repetitionPenalty: 1.1, presencePenalty: 0.2 },
  })
  assert.equal(
    answer.choices.map(({ message }) => message.content),
    expected.map(({ text }) => text),
  )
  const refused = await post('/v1/chat/completions', { ...chat, messages })
  assert.is(refused.status, 400)
  assert.match(refused.body.error.message, /set continue_final_message/)
})

test('completions of texts and token ids, several prompts at once', async () => {
  const { tokenizer } = policy
  const prompts = ['Question: What is 3 + 4?', 'So']
  const body = { model: 'm', n: 2, seed: 5, max_tokens: 24, logprobs: 1 }
  const answer = await client.completions.create({ ...body, prompt: prompts })
  const ids = prompts.map((prompt) => [...tokenizer.prefixIds, ...tokenizer.encode(prompt)])
  const expected = await Promise.all(
    ids.map((tokens) => policy.generate({ tokens, n: 2, seed: 5, maxTokens: 24, logprobs: true })),
  )
  assert.equal(
    answer.choices.map(({ index, text, logprobs }) => ({ index, text, logprobs: logprobs?.token_logprobs })),
    expected.flat().map(({ text, logprobs }, index) => ({ index, text, logprobs })),
  )
  const byIds = await client.completions.create({ ...body, prompt: ids })
  assert.equal(
    byIds.choices.map((c) => c.text),
    answer.choices.map((c) => c.text),
  )
  const stream = await client.completions.create({ ...body, prompt: prompts, stream: true })
  const texts = ['', '', '', '']
  for await (const chunk of stream) for (const c of chunk.choices) texts[c.index] += c.text
  assert.equal(
    texts,
    answer.choices.map((c) => c.text),
  )
})

test('without a seed two answers differ, and tell the seed that makes each again', async () => {
  const { seed: _, ...body } = chat
  const [one, two] = await Promise.all([1, 2].map(() => post('/v1/chat/completions', body)))
  const texts = (answer: typeof one) => answer?.body.choices.map((c: { message: { content: string } }) => c.message.content)
  assert.not.equal(texts(one), texts(two))
  const again = await post('/v1/chat/completions', { ...body, seed: one?.body.seed })
  assert.equal(texts(again as typeof one), texts(one))
})

test('our own policy on the server writes what the engine does', async () => {
  const sampling = { temperature: 1, topK: 50, topP: 0.95, repetitionPenalty: 1, maxTokens: 120 }
  await using remote = await openPolicy({ server: `${server.url}/v1`, model: 'mini', sampling, template: 'prefill' })
  assert.equal(await remote.prepare?.(), [])
  const request = { problem: PROBLEM, prefix: [], seed: 77, from: 0, count: 8 }
  const [rollouts = []] = await remote.rollouts([request])
  const [again = []] = await remote.rollouts([request])
  assert.equal(again, rollouts)
  assert.ok(rollouts.filter((r) => r.outcome === 'complete').length >= 6)
  const [further = []] = await remote.rollouts([{ ...request, prefix: rollouts[0]?.steps.slice(0, 1) ?? [] }])
  assert.is(further.length, 8)
})

test('64 clients at once get what each gets alone', async () => {
  const seeds = Array.from({ length: 64 }, (_, seed) => seed)
  const answers = await Promise.all(seeds.map((seed) => client.chat.completions.create({ ...chat, n: 1, seed, max_tokens: 60 })))
  const expected = await Promise.all(seeds.map((seed) => policy.generate({ ...inProcess, n: 1, seed, maxTokens: 60 })))
  assert.equal(
    answers.map((a) => a.choices[0]?.message.content),
    expected.map(([c]) => c?.text),
  )
})

test('step scores are those of the engine, in our form; a threshold adds drops and flags', async () => {
  const steps = ['Read the chart.', 'So 35 + 11 = 46.', '46']
  const scores = await prm.scoreSteps({ question: PROBLEM.question, image: PICTURE, steps })
  const body = { question: PROBLEM.question, image: PICTURE, steps }
  assert.equal((await post('/v1/score/steps', body)).body, { scores })
  assert.equal((await post('/v1/score/steps', { question: PROBLEM.question, images: [PICTURE], steps })).body, { scores })
  const many = await post('/v1/score/steps', { ...body, steps: undefined, solutions: [steps, [], ['  ']], returnLogits: true })
  const {
    scores: all,
    logits,
    errors,
  } = await prm.scoreCandidates({
    ...{ question: PROBLEM.question, image: PICTURE, returnLogits: true },
    solutions: [steps, [], ['  ']],
  })
  assert.equal(many.body, { scores: all, logits, errors })
  await using strict = await serve({ prm, threshold: 0.9 })
  const judged = (await post('/v1/score/steps', body, {}, strict.url)).body
  assert.equal(judged, {
    scores,
    drop: [null, (scores[0] as number) - (scores[1] as number), (scores[1] as number) - (scores[2] as number)],
    flagged: scores.map((s) => s < 0.9),
    threshold: 0.9,
  })
  assert.match((await post('/v1/chat/completions', chat, {}, strict.url)).body.error.message, /no policy: start it with --model/)
})

test('clients of vLLM’s reward models: pooling and classify, of conversations and of whole prompts', async () => {
  const steps = ['3 + 4 = 8', '8']
  const scores = await prm.scoreSteps({ question: 'What is 3 + 4?', steps })
  const turns = [
    { role: 'user', content: 'What is 3 + 4?' },
    { role: 'assistant', content: steps.map((step) => `${step}<prm>`).join('') },
  ]
  const pooled = await post('/pooling', { model: 'x', messages: turns })
  assert.equal(pooled.body.data, [{ index: 0, object: 'pooling', data: scores.map((p) => [1 - p, p]) }])
  const classified = await post('/classify', { messages: turns })
  const last = scores[1] as number
  assert.equal(classified.body.data[0].probs, [1 - last, last])
  const texts = ['a<prm>b<prm>', 'a<prm>c<prm>']
  const raw = await post('/pooling', { input: texts })
  const expected = await Promise.all(texts.map((text) => prm.scoreMarked({ text })))
  assert.equal(
    raw.body.data.map((d: { data: number[][] }) => d.data.map((p) => p[1])),
    expected.map((e) => e.scores),
  )
  assert.match((await post('/pooling', { input: 'no marker' })).body.error.message, /no step marker <prm>/)
})

test('a PRM on a server is the scorer that it is here: name, scores, logits, and what is wrong', async () => {
  await using there = await openScorer({ server: server.url })
  await using here = await openScorer({ model: join(MODELS, 'mini-prm') })
  assert.is(there.name, here.name)
  const request = { problem: PROBLEM, solutions: [['So 35 + 11 = 46.', '46'], [], [' ']] }
  assert.equal(await there.score(request), await here.score(request))
  const bad = await there.score({ problem: PROBLEM, solutions: [[' ']] }).catch((e) => e)
  assert.is(bad.code, 'ERR_ENGINE_INVALID_ARGUMENT')
  await using without = await serve({ policy })
  const refused = await openScorer({ server: without.url, attempts: 1 }).catch((e) => e)
  assert.match(refused.message, /scores no steps; start one with mm-prm serve --prm/)
})

test('what a request names is never opened: paths, URLs, pictures out of place', async () => {
  const secret = join(scratch, 'secret.png')
  writeFileSync(secret, Buffer.from(PICTURE.slice(PICTURE.indexOf(',') + 1), 'base64'))
  for (const url of [
    secret,
    `file://${secret}`,
    'http://127.0.0.1:1/x.png',
    'https://example.org/x.png',
    ' data:image/png;base64,AA',
    'chart.png',
  ]) {
    const messages = [
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url } },
          { type: 'text', text: 'Q' },
        ],
      },
    ]
    for (const [path, body] of [
      ['/v1/chat/completions', { messages }],
      ['/v1/score/steps', { question: 'Q', image: url, steps: ['a'] }],
      ['/v1/score/steps', { question: 'Q', images: [url], solutions: [['a']] }],
      ['/pooling', { messages: [...messages, { role: 'assistant', content: 'a<prm>' }] }],
    ] as const) {
      const { status, body: answer } = await post(path, body)
      assert.is(status, 400, `${path} ${url}`)
      assert.match(answer.error.message, /must be a data URI/)
    }
  }
  const broken = { question: 'Q', image: 'data:image/png;base64,AAAA', steps: ['a'] }
  assert.is((await post('/v1/score/steps', broken)).status, 400)
})

test('several pictures are scored and asked about as in process', async () => {
  const two = { question: 'Is <image> like <image>?', images: [PICTURE, PICTURE], steps: ['Yes.'] }
  assert.equal((await post('/v1/score/steps', two)).body, { scores: await prm.scoreSteps(two) })
  const wrong = await post('/v1/score/steps', { ...two, images: [PICTURE] })
  assert.is(wrong.status, 400)
  assert.match(wrong.body.error.message, /2 marks <image>, but one picture was given/)
  const image = { type: 'image_url', image_url: { url: PICTURE } }
  const text = (words: string) => ({ type: 'text', text: words })
  const content = [text('Is '), image, text(' like '), image, text('?')]
  const { body } = await post('/v1/chat/completions', { messages: [{ role: 'user', content }], seed: 3, max_tokens: 8 })
  const messages = [{ role: 'user' as const, content: 'Is <image> like <image>?' }]
  const [expected] = await policy.generate({ messages, images: [PICTURE, PICTURE], seed: 3, maxTokens: 8 })
  assert.is(body.choices[0].message.content, expected?.text)
})

const HOSTILE: [string, unknown, number, RegExp][] = [
  ['no JSON', '{"messages": [', 400, /not JSON/],
  ['not UTF-8', Uint8Array.from([0x7b, 0xff, 0x7d]), 400, /UTF-8/],
  ['brackets without end', `{"messages":${'['.repeat(1_000_000)}`, 400, /nests/],
  ['a list', [], 400, /JSON object/],
  ['nothing', '', 400, /body|JSON/i],
  ['an unknown field', { ...chat, temprature: 0 }, 400, /"temprature".*temperature/],
  ['a wrong type', { ...chat, n: '4' }, 400, /n: /],
  ['too many samples', { ...chat, n: 1e9 }, 400, /n: /],
  ['no number', { ...chat, temperature: -1 }, 400, /temperature/],
  ['a role that is none', { messages: [{ role: 'tool', content: 'x' }] }, 400, /messages/],
  ['tools', { ...chat, tools: [{ type: 'function' }] }, 400, /tools/],
  ['top log-probabilities', { ...chat, logprobs: true, top_logprobs: 5 }, 400, /top_logprobs/],
  [
    'another key of a prototype',
    '{"messages":[{"role":"user","content":"x"}],"__proto__":{"n":9},"constructor":1}',
    400,
    /unknown option/,
  ],
  [
    'a prompt beyond the model',
    { messages: [{ role: 'user', content: 'word '.repeat(50_000) }] },
    400,
    /positions|tokens|characters/,
  ],
  [
    'the same as a stream',
    { messages: [{ role: 'user', content: 'word '.repeat(50_000) }], stream: true },
    400,
    /positions|tokens|characters/,
  ],
  ['tokens that are none', { ...chat, stop_token_ids: [2e9] }, 400, /no token has the id/],
]
for (const [name, body, status, words] of HOSTILE) {
  test(`hostile: ${name}`, async () => {
    const answer = await post('/v1/chat/completions', body)
    assert.is(answer.status, status, JSON.stringify(answer.body))
    assert.match(answer.body.error.message, words)
    assert.is((await fetch(`${server.url}/health`)).status, 200)
  })
}

test('a body that is too large is refused before it is read, whole or in pieces; another type is none', async () => {
  await using small = await serve({ policy, maxBodyBytes: 10_000 })
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(20_000) }] })
  assert.is((await post('/v1/chat/completions', body, {}, small.url)).status, 413)
  const status = await new Promise<number>((resolve, reject) => {
    const sent = httpRequest(
      `${small.url}/v1/chat/completions`,
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      (r) => resolve(r.statusCode ?? 0),
    )
    sent.on('error', reject)
    sent.write(body.slice(0, 9_000))
    sent.end(body.slice(9_000))
  })
  assert.is(status, 413)
  assert.is((await post('/v1/chat/completions', chat, { 'content-type': 'text/plain' })).status, 415)
})

async function rawRequest(url: string, text: string) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write(text)
  return socket
}

test('who leaves frees the engine: an abort, a stream that is cut, a reader that takes nothing', async () => {
  const long = { ...chat, n: 32, max_tokens: 900, ignore_eos: true }
  const controller = new AbortController()
  const whole = client.chat.completions.create(long, { signal: controller.signal }).catch((e) => e)
  await sleep(150)
  controller.abort()
  await whole
  await untilIdle(policy)
  const stream = await client.chat.completions.create({ ...long, stream: true })
  for await (const _ of stream) break
  await untilIdle(policy)
  const body = JSON.stringify({ ...long, stream: true })
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`
  const reader = await rawRequest(server.url, head + body)
  reader.pause()
  await sleep(300)
  const others = await client.chat.completions.create({ ...chat, n: 1 })
  assert.is(others.choices.length, 1, 'a slow reader holds up nobody else')
  reader.destroy()
  await untilIdle(policy)
})

test('more than is taken on gets 429 and a time to come again; then there is room', async () => {
  await using narrow = await serve({ policy, maxRequests: 2 })
  const long = { ...chat, n: 4, max_tokens: 200, ignore_eos: true }
  const answers = await Promise.all(Array.from({ length: 6 }, () => post('/v1/chat/completions', long, {}, narrow.url)))
  const refused = answers.filter((a) => a.status === 429)
  assert.is(answers.filter((a) => a.status === 200).length, 2)
  assert.is(refused.length, 4)
  for (const { headers } of refused) assert.ok(Number(headers.get('retry-after')) >= 1)
  assert.is((await post('/v1/chat/completions', { ...chat, n: 1 }, {}, narrow.url)).status, 200)
})

test('keys, and pages of other origins', async () => {
  const options: ServeOptions = { policy, apiKeys: ['right-key', 'second'], cors: ['https://good.example'] }
  await using guarded = await serve(options)
  const status = async (headers: Record<string, string>) =>
    (await post('/v1/chat/completions', { ...chat, n: 1, max_tokens: 2 }, headers, guarded.url)).status
  assert.is(await status({}), 401)
  assert.is(await status({ authorization: 'Bearer right-kez' }), 401)
  assert.is(await status({ authorization: 'Bearer right-key' }), 200)
  assert.is(await status({ authorization: 'bearer second' }), 200)
  assert.is((await fetch(`${guarded.url}/metrics`)).status, 401)
  assert.is((await fetch(`${guarded.url}/nowhere`)).status, 401)
  assert.is((await fetch(`${guarded.url}/health`)).status, 200)
  const preflight = (origin: string, url = guarded.url) =>
    fetch(`${url}/v1/chat/completions`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } })
  assert.is((await preflight('https://good.example')).headers.get('access-control-allow-origin'), 'https://good.example')
  assert.is((await preflight('https://bad.example')).headers.get('access-control-allow-origin'), null)
  assert.is((await preflight('https://good.example', server.url)).headers.get('access-control-allow-origin'), null)
})

test('models by any name, health, metrics, a description', async () => {
  const models = await client.models.list()
  assert.equal(
    models.data.map(({ id }) => id),
    ['mini-policy', 'mini-prm'],
  )
  assert.is((await client.models.retrieve('org/some-name')).id, 'mini-policy')
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  for (const name of [
    'requests_total{route="/v1/chat/completions",status="200"}',
    'decoded_tokens_total{engine="policy"}',
    'reused_tokens_total',
    'kv_usage_ratio',
    'engine_requests_waiting',
    'request_seconds_bucket',
  ])
    assert.ok(metrics.includes(`mm_prm_${name}`), name)
  const description = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: Record<string, unknown> }
  for (const path of ['/v1/chat/completions', '/v1/score/steps', '/pooling']) assert.ok(description.paths[path], path)
})

const PYTHON = process.env['MM_PRM_PYTHON'] ?? 'python3'
const hasPythonClient = spawnSync(PYTHON, ['-c', 'import openai']).status === 0
const withPython = hasPythonClient ? test : test.skip
withPython('OpenAI’s client for Python is told the same (MM_PRM_PYTHON names one that has it)', async () => {
  const request = join(scratch, 'request.json')
  writeFileSync(request, JSON.stringify(chat))
  const script = join(import.meta.dirname, 'openai_client.py')
  const { stdout } = await promisify(execFile)(PYTHON, [script, `${server.url}/v1`, request])
  const texts = (await policy.generate(inProcess)).map(({ text }) => text)
  assert.equal(JSON.parse(stdout), { whole: texts, streamed: texts, models: ['mini-policy', 'mini-prm'] })
})

test('the command: its first line, a key file, SIGTERM drains and exits 0', async () => {
  const keys = join(scratch, 'keys')
  writeFileSync(keys, 'of-the-file\n')
  const { child, ended } = startCli(['serve', '--model', join(MODELS, 'mini-policy'), '--port', '0', '--api-key-file', keys])
  const first = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (text) => resolve(String(text)))
    child.once('close', () => reject(new Error('ended')))
  })
  const url = /^listening on (http:\/\/127\.0\.0\.1:\d+)\n/.exec(first)?.[1] as string
  assert.ok(url, first)
  const long = { ...chat, n: 8, max_tokens: 400, ignore_eos: true }
  const answer = post('/v1/chat/completions', long, { authorization: 'Bearer of-the-file' }, url)
  await sleep(200)
  child.kill('SIGTERM')
  assert.is((await answer).status, 200, 'what was under way is answered')
  const { code, stderr } = await ended
  assert.is(code, 0, stderr)
  const empty = join(scratch, 'empty')
  writeFileSync(empty, '\n')
  const refused = await startCli(['serve', '--model', join(MODELS, 'mini-policy'), '--api-key-file', empty]).ended
  assert.match(refused.stderr, /there is no key in it/)
})

test.run()
