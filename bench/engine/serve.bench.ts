/**
 * What the server adds to the engine: the latency of one request at a time, in turn over HTTP and in process, and requests a second
 * of many clients at once, the same requests both ways.
 *
 *   node --import tsx bench/engine/serve.bench.ts [--requests N] [--clients N]
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Engine } from '../../ts/engine/engine.ts'
import { serve } from '../../ts/serve/index.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'

const { values } = parseArgs({
  options: { requests: { type: 'string', default: '256' }, clients: { type: 'string', default: '64' } },
})
const [requests, clients] = [Number(values.requests), Number(values.clients)]
const TOKENS = 32
const MODELS = join(import.meta.dirname, '../../models')

await using policy = await Engine.open({ model: join(MODELS, 'mini-policy') })
await using server = await serve({ policy })

const messages = [{ role: 'user' as const, content: 'Question: What is 35 + 11?' }]
async function overHttp(seed: number): Promise<string> {
  const body = JSON.stringify({ messages, seed, max_tokens: TOKENS, ignore_eos: true })
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body })
  if (!answer.ok) throw new Error(await answer.text())
  return ((await answer.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message.content ?? ''
}
async function inProcess(seed: number): Promise<string> {
  return (await policy.generate({ messages, seed, maxTokens: TOKENS, stopAtEnd: false }))[0]?.text ?? ''
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** Requests a second of so many clients, each with its next request when the last is answered. */
async function rate(ask: (seed: number) => Promise<string>): Promise<number> {
  let next = 0
  const client = async () => {
    while (next < requests) await ask(1000 + next++)
  }
  return requests / ((await timed(() => Promise.all(Array.from({ length: clients }, client)))) / 1000)
}

if ((await overHttp(1)) !== (await inProcess(1))) throw new Error('the server does not answer as the engine does')
const [http, own]: [number[], number[]] = [[], []]
for (let i = 0; i < 60; i++) {
  http.push(await timed(() => overHttp(i)))
  own.push(await timed(() => inProcess(i)))
}
const added = http.map((ms, i) => ms - (own[i] as number))
const rates: [number[], number[]] = [[], []]
for (let round = 0; round < 3; round++) {
  rates[0].push(await rate(overHttp))
  rates[1].push(await rate(inProcess))
}
const of = (name: string, unit: string, all: readonly number[], more: Partial<Measurement> = {}): Measurement => ({
  ...{
    name,
    unit,
    median: quantile(all, 0.5),
    p95: quantile(all, unit === 'ms' ? 0.95 : 0.05),
    samples: all.length,
    headline: true,
  },
  ...more,
})
const faster = { 'in process': quantile(rates[0], 0.5) / quantile(rates[1], 0.5) }
writeResults('serve', { model: 'mini-policy', tokens: TOKENS, requests, clients, peers: 'llama.cpp’s server was not at hand' }, [
  of('serve, one chat completion of 32 tokens', 'ms', http),
  of('serve, the same in process', 'ms', own),
  of('serve, latency added by the server', 'ms', added),
  of(`serve, ${clients} clients at once`, 'requests/s', rates[0], { faster }),
  of(`serve, ${clients} calls at once in process`, 'requests/s', rates[1]),
])
