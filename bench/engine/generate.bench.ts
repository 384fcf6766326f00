/**
 * Rollouts: 16 siblings of one 512-token prompt, and 64 rows over 4 such prompts, in generated tokens per second with
 * the prompts in the cache; time to the first token of a new prompt; memory per sequence; what scheduling and sampling
 * take of a step. With --peer-modules also node-llama-cpp, in the same run.
 *
 *   node --import tsx bench/engine/generate.bench.ts [--shape 15m|0.5b] [--weights bf16|int8|int4] [--models DIR]
 *                                                    [--peer-modules DIR --peer-models DIR]
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Engine } from '../../ts/engine/engine.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'
import { SHAPES, writeRandomCheckpoint } from './random-checkpoint.ts'

const PREFIX_TOKENS = 512
const SIBLINGS = 16
const NEW_TOKENS = 64
const ITERATIONS = 5
const FIRST_TOKEN_ITERATIONS = 3
const SAMPLING = { temperature: 1, topK: 50, topP: 0.9, repetitionPenalty: 1.05 }
/** Tokens/s of the peers on the machine of the design's baselines: another one, so no ratio is made of them. */
const RECORDED_ELSEWHERE = {
  '0.5b': { 'llama.cpp': 193, 'llama.cpp q4_0': 219, 'node-llama-cpp': 43 },
  '15m': { 'llama.cpp': 2485, 'node-llama-cpp': 727 },
}

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', multiple: true, default: Object.keys(SHAPES) },
    weights: { type: 'string', multiple: true, default: ['bf16', 'int8'] },
    models: { type: 'string', default: join(tmpdir(), 'mm-prm-bench') },
    'peer-modules': { type: 'string' },
    'peer-models': { type: 'string' },
  },
})

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
async function measureRollouts(engine: Engine, rows: number, prompts: number): Promise<Rates> {
  const vocab = engine.info().decoder.vocab
  const perSecond: number[] = []
  const before = engine.stats()
  let milliseconds = 0
  for (let run = 0; run <= ITERATIONS; run++) {
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

function runPeer(shape: string, rows: number, prefixes: number): { peer: string; median: number } | undefined {
  const modules = options['peer-modules']
  if (!modules || !options['peer-models']) return undefined
  const script = join(import.meta.dirname, '../peer/generate.mjs')
  const model = join(options['peer-models'], `${shape}.gguf`)
  const args = ['--modules', modules, '--model', model, '--rows', `${rows}`, '--prefixes', `${prefixes}`, '--new-tokens', '16']
  return JSON.parse(execFileSync(process.execPath, [script, ...args], { encoding: 'utf8' }))
}

async function measure(shape: string, weights: 'bf16' | 'int8' | 'int4'): Promise<Measurement[]> {
  const model = join(options.models, shape)
  const dimensions = SHAPES[shape]
  if (!dimensions) throw new Error(`no shape ${shape}; known: ${Object.keys(SHAPES).join(', ')}`)
  if (!existsSync(join(model, 'model.safetensors'))) await writeRandomCheckpoint(dimensions, model)
  await using engine = await Engine.open({ model, weights })
  const rows: Measurement[] = []
  for (const [count, prompts] of [
    [SIBLINGS, 1],
    [4 * SIBLINGS, 4],
  ] as const) {
    const { perSecond, scheduling, sampling, bytesPerSequence } = await measureRollouts(engine, count, prompts)
    const median = quantile(perSecond, 0.5)
    const peer = weights === 'bf16' && prompts === 1 ? runPeer(shape, count, prompts) : undefined
    rows.push({
      name: `generate ${shape} ${weights}, ${count} rows of ${prompts} prompt${prompts > 1 ? 's' : ''}`,
      unit: 'tokens/s',
      median,
      p95: quantile(perSecond, 0.05),
      samples: perSecond.length,
      headline: true,
      details: { schedulingShare: scheduling, samplingShare: sampling, bytesPerSequence },
      ...(peer && { ratios: { [peer.peer]: median / peer.median } }),
    })
  }
  const firstToken = await measureFirstToken(engine)
  rows.push({
    name: `generate ${shape} ${weights}, first token of a ${PREFIX_TOKENS}-token prompt`,
    unit: 'ms',
    median: quantile(firstToken, 0.5),
    p95: quantile(firstToken, 0.95),
    samples: firstToken.length,
    headline: true,
  })
  for (const { name, median, unit } of rows) console.log(`${name}: ${median.toFixed(0)} ${unit}`)
  return rows
}

const measurements: Measurement[] = []
for (const shape of options.shape) {
  for (const weights of options.weights) measurements.push(...(await measure(shape, weights as 'bf16')))
}
const recipe = { PREFIX_TOKENS, SIBLINGS, NEW_TOKENS, ITERATIONS, SAMPLING, recordedElsewhere: RECORDED_ELSEWHERE }
writeResults('generate', recipe, measurements)
