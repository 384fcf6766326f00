/** Keys and passwords: sent to the server they are for, and told to nobody, whatever that server says. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { redactor, withoutUserinfo } from '../../../ts/contracts/secrets.ts'
import { openVerifier } from '../../../ts/kit/index.ts'
import { chatJudge } from '../../../ts/policy/judge.ts'
import { openAiPolicy } from '../../../ts/policy/openai.ts'
import { startCli } from '../../helpers/cli.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-secrets-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))

const KEY = 'sk-SECRET+0123/456=(789)'
const PASSWORD = 'pa55w0rd'
const problem = { id: 'p', question: 'q', answer: '42' }
const request = { problem, prefix: [], seed: 1, from: 0, count: 2 }

/** Tells everyone what it was told, in many forms. */
const ECHOES: Record<string, (authorization: string) => [status: number, body: string]> = {
  'an error': (a) => [401, JSON.stringify({ error: { message: `Incorrect API key provided: ${a}` } })],
  'an outage': (a) => [500, `headers were ${JSON.stringify({ authorization: a })}`],
  'plain text': (a) => [403, a],
  'in a URL': (a) => [400, encodeURIComponent(a)],
  decoded: (a) => [400, Buffer.from(a.replace('Basic ', ''), 'base64').toString('latin1')],
  'no JSON': (a) => [200, `<html>${a}`],
  'after 290 characters': (a) => [400, `${'x'.repeat(290)}${a}`],
  'the words of the model': (a) => [
    200,
    JSON.stringify({ choices: [{ finish_reason: 'stop', message: { content: `<step>${a}</step><answer>42</answer>` } }] }),
  ],
  'the words of the model, escaped': (a) => [
    200,
    `{"choices":[{"message":{"content":"<step>${[...a].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}</step><answer>42</answer>"}}]}`,
  ],
  'what is no HTTP': (a) => [0, a],
}

async function withEcho<T>(echo: (authorization: string) => [number, string], work: (origin: string) => Promise<T>) {
  const seen: (string | undefined)[] = []
  const server = createServer((incoming, response) => {
    const { authorization } = incoming.headers
    seen.push(authorization)
    const [status, body] = echo(authorization ?? '')
    if (status === 0) incoming.socket.end(`${body}\r\n\r\n`)
    else response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const result = await work(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  server.closeAllConnections()
  server.close()
  return { result, seen }
}

/** Everything that an error or a result holds, however it is printed. */
const everything = (value: unknown) => `${inspect(value, { depth: 20, showHidden: true })}\n${JSON.stringify(value)}\n${value}`

test('a key comes back in nothing, whatever the server says', async () => {
  for (const [name, echo] of Object.entries(ECHOES)) {
    const { result, seen } = await withEcho(echo, async (host) => {
      const options = { baseUrl: `http://${host}/v1`, model: 'm', apiKey: KEY, attempts: 2, backOffMs: 1 }
      const policy = openAiPolicy(options)
      const warnings = await policy.prepare?.().catch((error) => error)
      const rollouts = await policy.rollouts([request]).catch((error) => error)
      const judged = await chatJudge(options)('equal?').catch((error) => error)
      return [warnings, rollouts, judged]
    })
    const told = everything(result)
    assert.ok(told.includes('***') || name === 'what is no HTTP' || name === 'decoded', name)
    for (const form of [KEY, encodeURIComponent(KEY), Buffer.from(KEY).toString('base64'), KEY.slice(0, 12)]) {
      assert.not.ok(told.includes(form), `${name}: ${told}`)
    }
    assert.equal(new Set(seen), new Set([`Bearer ${KEY}`]), name)
  }
})

test('user and password of a URL become Basic authorisation, and come back in nothing', async () => {
  const cases: [string, string, string, string[]][] = [
    [`user:${PASSWORD}@`, 'user', PASSWORD, [PASSWORD]],
    ['us%40er:p%3Aa%2Fss%40w0rd@', 'us@er', 'p:a/ss@w0rd', ['p:a/ss@w0rd', 'p%3Aa%2Fss%40w0rd']],
    ['only-a-token@', 'only-a-token', '', ['only-a-token']],
    [`:${PASSWORD}@`, '', PASSWORD, [PASSWORD]],
  ]
  for (const [userinfo, user, password, secrets] of cases) {
    for (const [name, echo] of Object.entries(ECHOES)) {
      const basic = Buffer.from(`${user}:${password}`).toString('base64')
      const { result, seen } = await withEcho(echo, async (host) => {
        const policy = openAiPolicy({ baseUrl: `http://${userinfo}${host}/v1`, model: 'm', attempts: 2, backOffMs: 1 })
        return [policy.identity, await policy.rollouts([request]).catch((error) => error)]
      })
      const told = everything(result)
      for (const form of [...secrets, basic]) assert.not.ok(told.includes(form), `${userinfo} ${name}: ${told}`)
      assert.equal(new Set(seen), new Set([`Basic ${basic}`]), name)
    }
  }
  const { seen } = await withEcho(ECHOES['an error'] as (typeof ECHOES)[string], (host) =>
    openAiPolicy({ baseUrl: `http://user:${PASSWORD}@${host}/v1`, apiKey: KEY, model: 'm' })
      .rollouts([request])
      .catch((error) => error),
  )
  assert.equal(new Set(seen), new Set([`Bearer ${KEY}`]), 'a key is what admits where there are both')
})

test('a query stays where it belongs, and its secrets come back in nothing', async () => {
  const urls: (string | undefined)[] = []
  const server = createServer((incoming, response) => {
    urls.push(incoming.url)
    response.writeHead(400).end(`no such ${incoming.url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/?version=2&api-key=0123456789abcdef`
  const error = await openAiPolicy({ baseUrl, model: 'm' })
    .rollouts([request])
    .catch((e) => e)
  server.close()
  assert.equal(urls, ['/v1/chat/completions?version=2&api-key=0123456789abcdef'])
  assert.not.match(everything(error), /0123456789abcdef/)
})

test('bad URLs and keys are refused without being quoted', () => {
  for (const options of [
    { baseUrl: `htp://user:${PASSWORD}@host/v1` },
    { baseUrl: `http://user:${PASSWORD}@host:port/v1` },
    { baseUrl: 'http://host/v1', apiKey: `${PASSWORD}\nsecond line` },
    { baseUrl: 'http://host/v1', apiKey: `${PASSWORD} ü` },
  ]) {
    try {
      openAiPolicy({ model: 'm', ...options })
      assert.unreachable(JSON.stringify(options))
    } catch (error) {
      assert.is((error as { code: string }).code, 'ERR_ENGINE_INVALID_ARGUMENT')
      assert.not.ok(everything(error).includes(PASSWORD), everything(error))
    }
  }
})

test('the command line: nothing in what it prints, nothing in what it writes', async () => {
  writeFileSync(join(scratch, 'problems.jsonl'), JSON.stringify(problem))
  writeFileSync(join(scratch, 'key'), `${KEY}\n`)
  let runs = 0
  for (const name of ['an error', 'the words of the model']) {
    for (const kind of ['key', 'password']) {
      const out = join(scratch, `run-${runs++}`)
      const { result } = await withEcho(ECHOES[name] as (typeof ECHOES)[string], (host) => {
        const endpoint = `http://${kind === 'password' ? `user:${PASSWORD}@` : ''}${host}/v1`
        const key = kind === 'key' ? ['--api-key-file', join(scratch, 'key')] : []
        const args = ['search', '--problems', join(scratch, 'problems.jsonl'), '--out', out, '--strategy', 'best-of-n']
        return startCli([...args, '--set', 'n=2', '--policy', 'openai', '--model', 'm', '--endpoint', endpoint, ...key]).ended
      })
      const files = readdirSync(out).map((file) => readFileSync(join(out, file), 'latin1'))
      assert.ok(files.length >= 2)
      const basic = Buffer.from(`user:${PASSWORD}`).toString('base64')
      for (const text of [result.stdout, result.stderr, ...files]) {
        for (const form of [KEY, PASSWORD, basic]) assert.not.ok(text.includes(form), `${name}, ${kind}: ${text.slice(0, 2000)}`)
      }
      assert.match(`${result.stdout}${files.join()}`, /\*\*\*/, `${name}, ${kind}: the words themselves are kept`)
    }
  }
  const misplaced = await startCli(['search', `http://user:${PASSWORD}@host/v1`]).ended
  assert.match(misplaced.stderr, /unexpected argument "http:\/\/\*\*\*@host\/v1"/)
})

test('the password of a database, wherever its URL has it', () => {
  assert.is(withoutUserinfo('at postgres://me:pw@db/runs#ab: refused'), 'at postgres://***@db/runs#ab: refused')
  const inQuery = 'postgres:///runs?host=/tmp&user=me&password=p%26w&sslmode=require#ab'
  assert.is(withoutUserinfo(inQuery), 'postgres:///runs?host=/tmp&user=me&password=***&sslmode=require#ab')
  assert.is(withoutUserinfo('postgres:///runs?password=p:w: refused'), 'postgres:///runs?password=***: refused')
})

test('what is no secret stays', () => {
  const redact = redactor(['EMPTY', 'k'])
  assert.is(redact('EMPTY or k'), '*** or ***')
  assert.is(redact('kk EMPTYING like'), 'kk EMPTYING like')
  assert.is(redactor([])('text'), 'text')
  const odd = 'a-b.c*d+e?f^g$h{i}(j)|[k]\\l/m"n'
  assert.is(redactor([odd])(`<${odd}>`), '<***>')
  assert.is(
    withoutUserinfo('at http://u:p@h/x?m=a@b and https://h/u@v, mail me@x.org'),
    'at http://***@h/x?m=a@b and https://h/u@v, mail me@x.org',
  )
})

test('a judge that is opened for a verifier keeps its key to itself', async () => {
  const { result } = await withEcho(ECHOES['an error'] as (typeof ECHOES)[string], async (host) => {
    const verifier = await openVerifier({ server: `http://${host}/v1`, model: 'm', apiKey: KEY, attempts: 1 })
    return verifier.verify({ ...problem, answer: 'a regular hexagon' }, 'six equal sides').catch((error) => error)
  })
  assert.is((result as { code: string }).code, 'ERR_ENGINE_POLICY')
  assert.not.ok(everything(result).includes(KEY))
})

test.run()
