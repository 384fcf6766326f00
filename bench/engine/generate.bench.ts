/**
 * Rollouts: 16 siblings of one 512-token prompt, and 64 rows over 4 such prompts, in generated tokens per second with
 * the prompts in the cache; time to the first token of a new prompt; memory per sequence; what scheduling and sampling
 * take of a step. The peers that bench/peers.ts finds do the same work in the same run, with fewer tokens for each row
 * (shorter contexts: in their favour): bf16 is compared with their bf16, int8 and int4 with the best dtype in C++.
 *
 *   node --import tsx bench/engine/generate.bench.ts [--shape NAME]… [--weights bf16|int8|int4] [--models DIR]
 *                                                    [--iterations N] [--rows 16|64]… [--new-tokens N]
 *                                                    [--peer-dtype NAME]… [--results NAME]
 */
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'
import { PEERS, type Peer, type PeerRun, runPeer } from '../peers.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'
import { DEFAULT_SHAPES, REPEATS, SHAPES, writeRandomCheckpoint } from './random-checkpoint.ts'

const PREFIX_TOKENS = 512
const SIBLINGS = 16
const FIRST_TOKEN_ITERATIONS = 3
const SAMPLING = { temperature: 1, topK: 50, topP: 0.9, repetitionPenalty: 1.05 }
const PEER_NEW_TOKENS = 16
const PEER_RUNS = 2

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', multiple: true, default: DEFAULT_SHAPES },
    weights: { type: 'string', multiple: true, default: ['bf16', 'int8'] },
    models: { type: 'string', default: join(tmpdir(), 'mm-prm-bench') },
    iterations: { type: 'string', default: '5' },
    rows: { type: 'string', multiple: true, default: ['16', '64'] },
    'new-tokens': { type: 'string', default: '64' },
    'peer-dtype': { type: 'string', multiple: true, default: ['bf16', 'q8_0', 'q4_0'] },
    results: { type: 'string', default: 'generate' },
  },
})
const ITERATIONS = Number(options.iterations)
const NEW_TOKENS = Number(options['new-tokens'])
const WORK = [
  { rows: SIBLINGS, prompts: 1 },
  { rows: 4 * SIBLINGS, prompts: 4 },
].filter(({ rows }) => options.rows.includes(`${rows}`))
const repeats = (shape: string) => REPEATS[shape] ?? 1

/** Ids from a fixed linear congruential sequence. */
function tokensOf(vocab: number, seed: number): number[] {
  let state = seed
  return Array.from({ length: PREFIX_TOKENS }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) % vocab
  })
}

interface Rates {
  perSecond: number[]
  /** Shares of the time: outside the model, and of that the sampler's. */
  scheduling: number
  sampling: number
  bytesPerSequence: number
}

/** `rows` samples of `prompts` prompts, all at once; the prompts are in the cache. */
async function measureRollouts(engine: Engine, rows: number, prompts: number, iterations: number): Promise<Rates> {
  const vocab = engine.info().decoder.vocab
  const perSecond: number[] = []
  const before = engine.stats()
  let milliseconds = 0
  for (let run = 0; run <= iterations; run++) {
    const inputs = Array.from({ length: prompts }, (_, p) => tokensOf(vocab, 1 + p))
    for (const tokens of inputs) await engine.generate({ tokens, maxTokens: 1 })
    const began = performance.now()
    const calls = inputs.map((tokens) =>
      engine.generate({ tokens, n: rows / prompts, maxTokens: NEW_TOKENS, stopAtEnd: false, seed: run, sampling: SAMPLING }),
    )
    const written = (await Promise.all(calls)).flat()
    if (written.some((c) => c.tokens.length !== NEW_TOKENS)) throw new Error('a sample ended early')
    milliseconds += performance.now() - began
    if (run > 0) perSecond.push((rows * NEW_TOKENS * 1000) / (performance.now() - began)) // the first run warms up
  }
  const after = engine.stats()
  const ownPages = Math.ceil((PREFIX_TOKENS + NEW_TOKENS) / after.tokensPerPage) - Math.floor(PREFIX_TOKENS / after.tokensPerPage)
  const sharedPages = (Math.floor(PREFIX_TOKENS / after.tokensPerPage) * prompts) / rows
  return {
    perSecond,
    scheduling: (after.schedulingMilliseconds - before.schedulingMilliseconds) / milliseconds,
    sampling: (after.samplingMilliseconds - before.samplingMilliseconds) / milliseconds,
    bytesPerSequence: Math.round((ownPages + sharedPages) * after.bytesPerPage),
  }
}

/** Milliseconds until the first token of a prompt that nobody has seen. */
async function measureFirstToken(engine: Engine): Promise<number[]> {
  const milliseconds: number[] = []
  for (let run = 0; run < FIRST_TOKEN_ITERATIONS; run++) {
    const began = performance.now()
    for await (const _ of engine.stream({ tokens: tokensOf(engine.info().decoder.vocab, 1000 + run), maxTokens: 2 })) {
      milliseconds.push(performance.now() - began)
      break
    }
  }
  return milliseconds
}

interface PeerRollouts {
  of: Peer
  ran: PeerRun
}

function peerRollouts(shape: string, rows: number, prompts: number): PeerRollouts[] {
  return PEERS.filter(({ dtype }) => options['peer-dtype'].includes(dtype)).flatMap((of) => {
    const ran = runPeer(of, 'generate', shape, {
      rows,
      prefixes: prompts,
      'new-tokens': PEER_NEW_TOKENS,
      runs: PEER_RUNS * repeats(shape),
    })
    if (ran) console.log(`generate ${shape}, ${rows} rows of ${prompts}, ${ran.peer}: ${ran.median.toFixed(0)} tokens/s`)
    return ran ? [{ of, ran }] : []
  })
}

/** Over each language's bf16 for bf16, over the best dtype in C++ for the others. */
function fasterThan(peers: readonly PeerRollouts[], weights: string, of: (ran: PeerRun) => number): Record<string, number> {
  const same = peers.filter((p) => p.of.dtype === 'bf16')
  const cpp = peers.filter((p) => p.of.language === 'C++').sort((a, b) => b.ran.median - a.ran.median)
  return Object.fromEntries((weights === 'bf16' ? same : cpp.slice(0, 1)).map(({ ran }) => [ran.peer, of(ran)]))
}

const plural = (rows: number, prompts: number) => `${rows} rows of ${prompts} prompt${prompts > 1 ? 's' : ''}`

async function measure(shape: string, weights: 'bf16' | 'int8' | 'int4', peers: PeerRollouts[][]): Promise<Measurement[]> {
  const model = join(options.models, shape)
  await using engine = await Engine.open({ model, weights })
  const rows: Measurement[] = []
  for (const [i, { rows: count, prompts }] of WORK.entries()) {
    const ran = await measureRollouts(engine, count, prompts, ITERATIONS * repeats(shape))
    const { perSecond, scheduling, sampling, bytesPerSequence } = ran
    const median = quantile(perSecond, 0.5)
    rows.push({
      name: `generate ${shape} ${weights}, ${plural(count, prompts)}`,
      unit: 'tokens/s',
      median,
      p95: quantile(perSecond, 0.05),
      samples: perSecond.length,
      headline: true,
      details: { schedulingShare: scheduling, samplingShare: sampling, bytesPerSequence },
      faster: fasterThan(peers[i] ?? [], weights, (peer) => median / peer.median),
    })
  }
  const firstToken = await measureFirstToken(engine)
  const median = quantile(firstToken, 0.5)
  const timed = (peers[0] ?? []).filter((p) => p.ran.firstTokenSeconds !== undefined)
  rows.push({
    name: `generate ${shape} ${weights}, first token of a ${PREFIX_TOKENS}-token prompt`,
    unit: 'ms',
    median,
    p95: quantile(firstToken, 0.95),
    samples: firstToken.length,
    headline: true,
    faster: fasterThan(timed, weights, (ran) => (1000 * (ran.firstTokenSeconds as number)) / median),
  })
  for (const { name, median, unit, details } of rows) {
    console.log(`${name}: ${median.toFixed(0)} ${unit}${details ? ` ${JSON.stringify(details)}` : ''}`)
  }
  return rows
}

loadNative() // a missing addon shows before the peers have run
const measurements: Measurement[] = []
for (const shape of options.shape) {
  const dimensions = SHAPES[shape]
  if (!dimensions) throw new Error(`no shape ${shape}; known: ${Object.keys(SHAPES).join(', ')}`)
  const model = join(options.models, shape)
  if (!existsSync(join(model, 'model.safetensors'))) await writeRandomCheckpoint(dimensions, model)
  const peers = WORK.map(({ rows, prompts }) => peerRollouts(shape, rows, prompts))
  for (const weights of options.weights) measurements.push(...(await measure(shape, weights as 'bf16', peers)))
  for (const [i, { rows, prompts }] of WORK.entries()) {
    for (const { ran } of peers[i] ?? []) {
      const name = `generate ${shape}, ${plural(rows, prompts)}, ${ran.peer}`
      const slowest = (rows * PEER_NEW_TOKENS) / (ran.seconds.at(-1) as number)
      measurements.push({ name, unit: 'tokens/s', median: ran.median, p95: slowest, samples: ran.seconds.length })
    }
  }
}
const recipe = { PREFIX_TOKENS, SIBLINGS, NEW_TOKENS, PEER_NEW_TOKENS, ITERATIONS, REPEATS, SAMPLING }
writeResults(options.results, recipe, measurements)
