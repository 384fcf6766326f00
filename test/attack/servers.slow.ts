/** Servers that do what servers must not: a typed error or rollouts, in bounded time, and nothing told to anybody else. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { openAiPolicy } from '../../ts/policy/openai.ts'
import { attack, tally } from '../helpers/attack.ts'

const KEY = 'sk-SECRET-0123456789'
const TEXT = '<step>a</step><answer>The final answer is 42</answer>'
const good = (n: number, text = TEXT) =>
  JSON.stringify({
    choices: Array.from({ length: n }, () => ({ finish_reason: 'stop', message: { content: text } })),
    usage: { completion_tokens: 10 * n },
  })

type Mode = (request: IncomingMessage, response: ServerResponse, n: number, elsewhere: string) => void
const answer =
  (status: number, body: string | Buffer, headers: Record<string, string> = {}): Mode =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)
const well =
  (body: (n: number) => string): Mode =>
  (_, response, n) =>
    void response.writeHead(200).end(body(n))
const repeated =
  (chunk: string | Buffer, everyMs: number): Mode =>
  (_, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(chunk), everyMs)
    response.on('close', () => clearInterval(timer))
  }
const raw =
  (text: string): Mode =>
  (request) =>
    void request.socket.end(text)

const MODES: Record<string, Mode> = {
  'a redirect to another host (307)': (_, response, __, elsewhere) => void response.writeHead(307, { location: elsewhere }).end(),
  'a redirect to another host (302)': (_, response, __, elsewhere) => void response.writeHead(302, { location: elsewhere }).end(),
  'an outage': answer(500, 'boom'),
  'its key told back': (request, response) => void response.writeHead(401).end(`wrong key: ${request.headers.authorization}`),
  'all headers told back': (request, response) => void response.writeHead(500).end(JSON.stringify(request.headers)),
  'its key as a solution': (request, response, n) =>
    void response.writeHead(200).end(good(n, `<step>${request.headers.authorization}</step><answer>42</answer>`)),
  'a page instead of JSON': answer(200, '<html><script>alert(1)</script>Bad gateway</html>'),
  'an endless answer': repeated(Buffer.alloc(2 ** 20, 97), 1),
  'one byte after the other': repeated(' ', 200),
  silence: () => {},
  'a connection cut in the middle': (request, response) => {
    response.writeHead(200, { 'content-length': '1000' }).write('{"choices":[')
    setTimeout(() => request.socket.destroy(), 20)
  },
  'a connection cut at once': (request) => void request.socket.destroy(),
  'a wrong length': answer(200, '{}        ', { 'content-length': '10' }),
  'broken UTF-8': answer(200, Buffer.from([0x22, 0xff, 0xfe, 0xc0, 0x22])),
  'twenty thousand samples': well(() => good(20_000)),
  'no sample': well(() => good(0)),
  'fewer samples than asked for': well(() => good(1)),
  'a negative wait': answer(429, 'slow down', { 'retry-after': '-5' }),
  'a negative count of tokens': well((n) => good(n).replace(/"completion_tokens":\d+/, '"completion_tokens":-5')),
  'a huge count of tokens': well((n) => good(n).replace(/"completion_tokens":\d+/, '"completion_tokens":1e300')),
  'a message that is null': answer(200, '{"choices":[{"finish_reason":"stop","message":null}]}'),
  'five million brackets': answer(200, '['.repeat(5e6)),
  'a prototype': answer(200, `{"__proto__":{"x":1},"choices":[{"message":{"content":"${TEXT}","__proto__":{"refusal":"x"}}}]}`),
  'half a surrogate pair and a zero': answer(
    200,
    '{"choices":[{"message":{"content":"<step>\\ud800 \\u0000</step><answer>42</answer>"}}]}',
  ),
  'two hundred thousand opened steps': well((n) => good(n, '<step>'.repeat(200_000))),
  'headers of 200 kB': raw(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(200_000)}\r\n\r\n{}`),
  'what is no HTTP': raw('\x00\x01\x02 not http\r\n\r\n'),
  'a compression that was not asked for': answer(200, Buffer.from([0x1f, 0x8b, 8, 0]), { 'content-encoding': 'gzip' }),
  'every parameter refused': answer(400, '{"error":"no n, seed, max_tokens, top_k, temperature, top_p, stop"}'),
}

attack(`${Object.keys(MODES).length} misbehaving servers`, async () => {
  let heard = 0
  const other = createServer((_, response) => {
    heard++
    response.end('{}')
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const elsewhere = `http://127.0.0.1:${(other.address() as AddressInfo).port}/v1/chat/completions`
  const counts = { 'answered with rollouts': 0, 'with a typed error': 0 }
  for (const [name, mode] of Object.entries(MODES)) {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      mode(request, response, JSON.parse(Buffer.concat(chunks).toString()).n ?? 1, elsewhere)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
    const policy = openAiPolicy({ baseUrl, model: 'm', apiKey: KEY, attempts: 2, backOffMs: 10, timeoutMs: 1500 })
    const request = { problem: { id: 'p', question: 'q', answer: '42' }, prefix: [], seed: 1, from: 0, count: 4 }
    const start = performance.now()
    const prepared = await policy.prepare?.(AbortSignal.timeout(5000)).catch((error) => error)
    const result = await policy.rollouts([request]).catch((error) => error)
    const told = inspect([prepared, result], { depth: 20, showHidden: true })
    assert.not.ok(told.includes(KEY), `${name}: ${told}`)
    if (result instanceof Error) {
      assert.ok(result instanceof EngineError && result.code === 'ERR_ENGINE_POLICY', `${name}: ${result.stack}`)
      counts['with a typed error']++
    } else {
      assert.is(result[0].length, 4, name)
      counts['answered with rollouts']++
    }
    assert.ok(performance.now() - start < 60_000, `${name} took ${performance.now() - start} ms`)
    server.closeAllConnections()
    server.close()
  }
  other.close()
  assert.is(heard, 0, 'another host was asked')
  return `${tally(counts)}; no crash, no hang, the key told to nobody and nowhere`
})

test.run()
