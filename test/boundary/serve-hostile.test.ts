/** The server and clients that mean no good, leave, or are too many; keys, and its end. */
import { writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ServeOptions, serve } from '../../ts/serve/index.ts'
import { startCli } from '../helpers/cli.ts'
import { chat, client, closeAll, MODELS, PICTURE, policy, post, scratch, server, untilIdle } from '../helpers/serve.ts'

test.after(closeAll)

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
  [
    'a turn that called a tool',
    { messages: [{ role: 'assistant', content: 'a', tool_calls: [{ id: 'x' }] }, ...chat.messages] },
    400,
    /tool_calls: are not supported/,
  ],
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
  ['a bias of tokens', { ...chat, logit_bias: { '5': 100 } }, 400, /logit_bias: is not supported/],
  ['more stops than there may be', { ...chat, stop: Array(1000).fill('a') }, 400, /stop: must be a text or at most \d+ of them/],
  ['a stop that is nothing', { ...chat, stop: [''] }, 400, /stop/],
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
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  assert.match(
    metrics,
    /requests_total\{route="\/v1\/chat\/completions",status="499"\} 3/,
    'what nobody waited for was not answered',
  )
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
  const { headers } = await fetch(`${guarded.url}/v1/models`, {
    method: 'OPTIONS',
    headers: { origin: 'https://good.example', 'access-control-request-headers': 'authorization,x-stainless-lang' },
  })
  assert.is(headers.get('access-control-allow-headers'), 'authorization,x-stainless-lang', 'what OpenAI’s client sends')
  assert.is((await preflight('https://bad.example')).headers.get('access-control-allow-origin'), null)
  assert.is((await preflight('https://good.example', server.url)).headers.get('access-control-allow-origin'), null)
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
