/** Several servers of one model: who is asked, what becomes of one that cannot be reached, and that the results are the same. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RolloutRequest } from '../../../ts/contracts/policy.ts'
import { openPolicy } from '../../../ts/kit/index.ts'
import { openAiPolicy } from '../../../ts/policy/openai.ts'
import { behave, isProbe, sendJson, startChatServer } from '../../helpers/chat-server.ts'
import { simulatedProblem } from '../../helpers/simulated-policy.ts'

type Server = Awaited<ReturnType<typeof startChatServer>>
const request = (i: number, prefix: string[] = []): RolloutRequest => ({
  ...{ problem: simulatedProblem(i), prefix, seed: 1000 + i, from: 0, count: 20 },
})
const REQUESTS = Array.from({ length: 40 }, (_, i) => [request(i), request(i, ['one step'])]).flat()
const policyOf = (baseUrl: string | string[], more = {}) => openAiPolicy({ baseUrl, model: 'm', backOffMs: 1, ...more })

async function withServers<T>(count: number, work: (servers: Server[], urls: string[]) => Promise<T>, behaviour = behave) {
  const servers = await Promise.all(Array.from({ length: count }, () => startChatServer(behaviour)))
  const urls = servers.map(({ baseUrl }) => baseUrl)
  try {
    return await work(servers, urls)
  } finally {
    for (const server of servers) await server.close().catch(() => {})
  }
}

/** Problems that a server was asked about. */
const askedOf = ({ requests }: Server) =>
  new Set(requests.map(({ messages }) => /problem (\d+)\?/.exec(JSON.stringify(messages))?.[1] as string))

test('each problem goes to one of them, all its prefixes with it; the rollouts are those of one server', async () => {
  await withServers(3, async (servers, urls) => {
    const alone = await policyOf(urls[0] as string).rollouts(REQUESTS)
    servers[0]?.requests.splice(0)
    assert.equal(await policyOf(urls).rollouts(REQUESTS), alone)
    const asked = servers.map(askedOf)
    assert.is(
      asked.reduce((sum, { size }) => sum + size, 0),
      40,
      'no problem at two of them',
    )
    for (const { size } of asked) assert.ok(size > 4, `${size} of 40 problems`)
    for (const server of servers) server.requests.splice(0)
    await policyOf([...urls].reverse()).rollouts(REQUESTS)
    assert.equal(servers.map(askedOf), asked, 'whatever the order they are named in')
    assert.equal(policyOf(urls).identity, policyOf(urls[0] as string).identity, 'the same run')
  })
})

test('one that cannot be reached is left out: its problems are spread over the others, the rollouts stay', async () => {
  await withServers(4, async (servers, urls) => {
    const expected = await policyOf(urls[0] as string).rollouts(REQUESTS)
    const before = servers.map((server) => {
      server.requests.splice(0)
      return server
    })
    await policyOf(urls).rollouts(REQUESTS)
    const theirs = before.map(askedOf)
    for (const server of servers) server.requests.splice(0)
    await servers[2]?.close()
    const warnings: string[] = []
    const listen = (warning: Error) => void warnings.push(warning.message)
    process.on('warning', listen)
    const policy = policyOf(urls)
    assert.equal(await policy.rollouts(REQUESTS), expected)
    assert.equal(await policy.rollouts(REQUESTS), expected)
    await new Promise(setImmediate)
    process.off('warning', listen)
    const about = warnings.filter((text) => /its problems go to the other endpoints/.test(text))
    assert.is(about.length, 1, 'said once')
    const others = [0, 1, 3].map((i) => askedOf(servers[i] as Server))
    const inherited = others.map((asked) => [...asked].filter((id) => theirs[2]?.has(id)).length)
    assert.is(
      inherited.reduce((a, b) => a + b),
      theirs[2]?.size,
    )
    assert.ok(inherited.filter((n) => n > 0).length > 1, 'not all of them to one')
  })
})

test('a server that dies in the middle of an answer; all of them gone', async () => {
  let dies = true
  const cut: typeof behave = (asked, response, attempt) => {
    if (dies && attempt % 2 === 0) response.socket?.destroy()
    else return behave(asked, response, attempt)
  }
  await withServers(
    2,
    async (servers, urls) => {
      const policy = policyOf(urls, { attempts: 8 })
      const rollouts = await policy.rollouts(REQUESTS.slice(0, 10))
      dies = false
      assert.equal(rollouts, await policyOf(urls[1] as string).rollouts(REQUESTS.slice(0, 10)))
      for (const server of servers) await server.close()
      const error = await policyOf(urls, { attempts: 2 })
        .rollouts([request(1)])
        .catch((e) => e)
      assert.is(error.code, 'ERR_ENGINE_POLICY')
      assert.match(error.message, /problem "sim-1": http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions: .*3 attempts/)
    },
    cut,
  )
})

test('a refusal is no reason to ask another; what one does not take is asked of none', async () => {
  const fussy: typeof behave = (asked, response, attempt) =>
    'seed' in asked ? sendJson(response, 400, { error: { message: 'unknown field: seed' } }) : behave(asked, response, attempt)
  const servers = [await startChatServer(fussy), await startChatServer(behave)]
  const policy = policyOf(servers.map(({ baseUrl }) => baseUrl))
  const warnings = await policy.prepare?.()
  assert.ok(warnings?.some((text) => /takes no seed/.test(text)))
  await policy.rollouts(REQUESTS)
  const asked = servers.flatMap(({ requests }) => requests).filter((one) => !isProbe(one))
  assert.ok(asked.length > 40)
  assert.ok(asked.every((one) => !('seed' in one)))
  for (const server of servers) await server.close()
})

test('limits are of each server: requests at once, requests in a second', async () => {
  await withServers(2, async (servers, urls) => {
    await policyOf(urls, { concurrency: 2 }).rollouts(REQUESTS)
    for (const server of servers) assert.ok(server.mostAtOnce() <= 2)
    const began = performance.now()
    await policyOf(urls[0] as string, { ratePerSecond: 20, samplesPerRequest: 20 }).rollouts(REQUESTS.slice(0, 10))
    assert.ok(performance.now() - began > 440, 'nine waits of a twentieth of a second')
    await using policy = await openPolicy({ server: urls, model: 'm', concurrency: 3 })
    assert.is(policy.inFlight, 6)
  })
})

test.run()
