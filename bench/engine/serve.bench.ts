/**
 * What the server adds to the engine: the latency of one request at a time, and requests a second of many clients at once, the same
 * requests over HTTP and in process, in short turns: other work of the machine meets both alike. With --peer the same over another
 * OpenAI-compatible server of the same model, such as llama.cpp's llama-server.
 *
 *   node --import tsx bench/engine/serve.bench.ts [--rounds N] [--clients N] [--peer URL --peer-name NAME --peer-model NAME]
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../ts/contracts/random.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { serve } from '../../ts/serve/index.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    clients: { type: 'string', default: '64' },
    peer: { type: 'string' },
    'peer-name': { type: 'string', default: 'the other server' },
    'peer-model': { type: 'string', default: 'mini-policy' },
  },
})
const [rounds, clients] = [Number(values.rounds), Number(values.clients)]
const [TOKENS, PAIRS] = [32, 60]
const MODELS = join(import.meta.dirname, '../../models')

await using policy = await Engine.open({ model: join(MODELS, 'mini-policy') })
await using server = await serve({ policy })

type Ask = (seed: number) => Promise<string>
const messages = [{ role: 'user' as const, content: 'Question: What is 35 + 11?' }]
const overHttp =
  (url: string, more: object): Ask =>
  async (seed) => {
    const body = JSON.stringify({ messages, seed, max_tokens: TOKENS, ignore_eos: true, ...more })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body })
    if (!answer.ok) throw new Error(await answer.text())
    const { choices, usage } = (await answer.json()) as {
      choices: { message: { content: string } }[]
      usage: { completion_tokens: number }
    }
    if (usage.completion_tokens !== TOKENS) throw new Error(`${url} wrote ${usage.completion_tokens} tokens, asked for ${TOKENS}`)
    return choices[0]?.message.content ?? ''
  }
const ways: Record<string, Ask> = {
  http: overHttp(server.url, {}),
  inProcess: async (seed) => (await policy.generate({ messages, seed, maxTokens: TOKENS, stopAtEnd: false }))[0]?.text ?? '',
  ...(values.peer && { peer: overHttp(values.peer.replace(/\/v1\/?$/, ''), { model: values['peer-model'] }) }),
}
const names = Object.keys(ways)

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** Of this process, engine, server and client, on whatever core: other work of the machine is not in it. */
const processorMs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

const own: Record<string, number[]> = { http: [], inProcess: [] }
/** Milliseconds of each way in each round, one after the other, each round beginning with another. */
async function inTurns(count: number, work: (ask: Ask, round: number) => Promise<unknown>): Promise<Record<string, number[]>> {
  const all: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < count; round++)
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length] as string
      const before = processorMs()
      all[name]?.push(await timed(() => work(ways[name] as Ask, round)))
      own[name]?.push(processorMs() - before)
    }
  return all
}

/** The median with its 95 % interval, by drawing the rounds again. */
function interval(values: readonly number[]) {
  const random = seededRandom('rounds')
  const drawn = () =>
    quantile(
      Array.from(values, () => values[Math.floor(random() * values.length)] as number),
      0.5,
    )
  const medians = Array.from({ length: 2000 }, drawn)
  return { median: quantile(values, 0.5), low: quantile(medians, 0.025), high: quantile(medians, 0.975) }
}

if ((await ways['http']?.(1)) !== (await ways['inProcess']?.(1))) throw new Error('the server does not answer as the engine does')
await inTurns(2, (ask, round) => ask(round))
const single = await inTurns(PAIRS, (ask, round) => ask(round))
const seedsOf = (round: number) => Array.from({ length: clients }, (_, i) => 1000 + round * clients + i)
for (const name of Object.keys(own)) own[name] = []
const many = await inTurns(rounds, (ask, round) => Promise.all(seedsOf(round).map(ask)))

/** Round by round: how many times as long `slow` takes as `fast`. */
const ratios = (all: Record<string, number[]>, slow: string, fast: string) =>
  (all[slow] as number[]).map((ms, i) => ms / (all[fast]?.[i] as number))
const labels: Record<string, string> = { http: 'served', inProcess: 'in process', peer: values['peer-name'] }
const headline = { headline: true, samples: PAIRS }
const measurements: Measurement[] = []
for (const name of names) {
  const ms = single[name] as number[]
  const versus = name === 'http' ? undefined : interval(ratios(single, name, 'http'))
  measurements.push({
    ...{ name: `one chat completion of ${TOKENS} tokens, ${labels[name]}`, unit: 'ms', ...headline },
    ...{ median: quantile(ms, 0.5), p95: quantile(ms, 0.95) },
    ...(versus && { faster: { served: 1 / versus.median }, details: { timesAsLongAsServed: versus } }),
  })
}
for (const name of names) {
  const perSecond = (many[name] as number[]).map((ms) => (1000 * clients) / ms)
  const versus = name === 'http' ? undefined : interval(ratios(many, 'http', name))
  measurements.push({
    ...{ name: `${clients} of them at once, ${labels[name]}`, unit: 'requests/s', headline: true, samples: rounds },
    ...{ median: quantile(perSecond, 0.5), p95: quantile(perSecond, 0.05) },
    ...(versus && { faster: { served: versus.median }, details: { timesAsManyAsServed: versus } }),
  })
}
const added = (single['http'] as number[]).map((ms, i) => ms - (single['inProcess']?.[i] as number))
measurements.push({
  ...{ name: 'latency that serving adds', unit: 'ms', ...headline, details: interval(added) },
  ...{ median: quantile(added, 0.5), p95: quantile(added, 0.95) },
})
for (const name of Object.keys(own)) {
  const ms = (own[name] as number[]).map((all) => all / clients)
  const details = name === 'http' ? { timesInProcess: interval(ratios(own, 'http', 'inProcess')) } : {}
  measurements.push({
    ...{
      name: `processor time of each of ${clients}, ${labels[name]}, its client included`,
      unit: 'ms',
      headline: true,
      samples: rounds,
      details,
    },
    ...{ median: quantile(ms, 0.5), p95: quantile(ms, 0.95) },
  })
}
const peer = values.peer ? values['peer-name'] : 'none was at hand'
writeResults('serve', { model: 'mini-policy', tokens: TOKENS, clients, rounds, pairs: PAIRS, peer }, measurements)
for (const { name, median, unit, details } of measurements)
  console.log(name, median.toFixed(2), unit, JSON.stringify(details ?? {}))
