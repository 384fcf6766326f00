/** The server, driven by OpenAI’s own clients, by our policy, and by many at once: the bits of the engine. */
import { execFile, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openPolicy } from '../../ts/kit/index.ts'
import { chat, client, closeAll, inProcess, PROBLEM, policy, post, scratch, server, untilIdle } from '../helpers/serve.ts'

test.after(closeAll)

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

const SEEDS = Array.from({ length: 64 }, (_, seed) => seed)
const textOf = async (seed: number, maxTokens: number) =>
  (await policy.generate({ ...inProcess, n: 1, seed, maxTokens }))[0]?.text as string

test('64 clients at once get what each gets alone', async () => {
  const answers = await Promise.all(SEEDS.map((seed) => client.chat.completions.create({ ...chat, n: 1, seed, max_tokens: 60 })))
  assert.equal(
    answers.map((a) => a.choices[0]?.message.content),
    await Promise.all(SEEDS.map((seed) => textOf(seed, 60))),
  )
})

test('64 streams at once: who reads slowly misses nothing, who leaves takes nothing from the others', async () => {
  const read = async (seed: number) => {
    const stream = await client.chat.completions.create({ ...chat, n: 1, seed, max_tokens: 40, stream: true })
    let text = ''
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? ''
      if (seed % 3 === 1) break
      if (seed % 3 === 2) await sleep(20)
    }
    return seed % 3 === 1 ? null : text
  }
  const alone = await Promise.all(SEEDS.map((seed) => textOf(seed, 40)))
  assert.equal(
    await Promise.all(SEEDS.map(read)),
    alone.map((text, seed) => (seed % 3 === 1 ? null : text)),
  )
  await untilIdle(policy)
})

test('an answer is sent back as a turn, with all the fields that it came with', async () => {
  const first = await client.chat.completions.create({ ...chat, n: 1, max_tokens: 12 })
  const { message } = first.choices[0] as NonNullable<(typeof first.choices)[0]>
  const sent = { ...message, annotations: [], audio: null, function_call: null, tool_calls: [], name: 'a' }
  const body = { ...chat, n: 1, messages: [...chat.messages, sent], continue_final_message: true }
  const answer = await post('/v1/chat/completions', body)
  const turns = [...inProcess.messages, { role: 'assistant' as const, content: message.content ?? '' }]
  const [expected] = await policy.generate({ ...inProcess, n: 1, messages: turns })
  assert.is(answer.body.choices[0].message.content, expected?.text)
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
  for (const path of ['/v1/chat/completions', '/v1/score/steps', '/pooling', '/v1/classify'])
    assert.ok(description.paths[path], path)
})

const PYTHON = process.env['MM_PRM_PYTHON'] ?? 'python3'
const hasPythonClient = spawnSync(PYTHON, ['-c', 'import openai']).status === 0
const withPython = hasPythonClient ? test : test.skip
if (!hasPythonClient) console.log('skipped: no Python with the openai client here')
withPython('OpenAI’s client for Python is told the same (MM_PRM_PYTHON names one that has it)', async () => {
  const request = join(scratch, 'request.json')
  writeFileSync(request, JSON.stringify(chat))
  const script = join(import.meta.dirname, 'openai_client.py')
  const { stdout } = await promisify(execFile)(PYTHON, [script, `${server.url}/v1`, request])
  const texts = (await policy.generate(inProcess)).map(({ text }) => text)
  const { atOnce, ...told } = JSON.parse(stdout)
  assert.equal(told, { whole: texts, streamed: texts, models: ['mini-policy', 'mini-prm'] })
  const alone = await Promise.all(SEEDS.map((seed) => textOf(seed, 40)))
  assert.equal(
    atOnce,
    alone.map((text, seed) => (seed % 3 === 1 ? null : text)),
  )
  await untilIdle(policy)
})

test.run()
