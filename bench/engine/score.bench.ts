/**
 * scoreSteps on 16 candidates of 8 steps behind one question: all together (a packed prefix tree) against one at a
 * time, in unique tokens per second; with --peer-modules also against node-llama-cpp, in the same run.
 *
 *   node --import tsx bench/engine/score.bench.ts [--shape 15m|0.5b] [--models DIR] [--peer-modules DIR --peer-models DIR]
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Bench } from 'tinybench'
import { Engine } from '../../ts/engine/engine.ts'
import { resolveFamily } from '../../ts/engine/families/index.ts'
import type { Tokenizer } from '../../ts/engine/tokenizer/index.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'
import { SHAPES, writeRandomCheckpoint } from './random-checkpoint.ts'

const PREFIX_TOKENS = 512
const CANDIDATES = 16
const STEPS = 8
const CANDIDATE_TOKENS = 256
const ITERATIONS = 3
/** Unique tokens/s of the peers on the machine of the design's baselines: another one, so no ratio is made of them. */
const RECORDED_ELSEWHERE = {
  '0.5b': { 'llama.cpp': 427, 'node-llama-cpp': 287 },
  '15m': { 'llama.cpp': 10_700, 'node-llama-cpp': 8050 },
}

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', multiple: true, default: Object.keys(SHAPES) },
    models: { type: 'string', default: join(tmpdir(), 'mm-prm-bench') },
    'peer-modules': { type: 'string' },
    'peer-models': { type: 'string' },
  },
})

/** Words from a fixed sequence, as many tokens as asked for. */
function textOf(tokenizer: Tokenizer, tokens: number, seed: number): string {
  let state = seed
  let text = ''
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const longer = `${text}${text === '' ? '' : ' '}${(state >>> 8) % 1000}`
    if (tokenizer.encodePlain(longer).length > tokens) break
    text = longer
  }
  while (tokenizer.encodePlain(`${text}.`).length <= tokens) text += '.'
  return text
}

/** WHY another question each time: the engine remembers scores, and what is known costs nothing to ask again. */
function requestOf(engine: Engine, seed: number) {
  const { tokenizer } = engine
  const family = resolveFamily('mm-prm', {
    architecture: engine.info().architecture,
    hasRewardHead: false,
    pieceId: (piece) => tokenizer.pieceId(piece),
    config: {},
    recorded: undefined,
  })
  const idsOf = (question: string, steps: string[]) => family.prompt(tokenizer, { question, steps, numImageTokens: 0 }).ids
  const perStep = CANDIDATE_TOKENS / STEPS
  const solutions = Array.from({ length: CANDIDATES }, (_, c) =>
    Array.from({ length: STEPS }, (_, s) => textOf(tokenizer, perStep - 1, 1 + c * STEPS + s)),
  )
  const around = idsOf('', solutions[0] as string[]).length - CANDIDATE_TOKENS
  const question = textOf(tokenizer, PREFIX_TOKENS - around, 99_000 + seed)
  const sequences = solutions.map((steps) => idsOf(question, steps))
  return { request: { question, solutions }, tokens: sequences.flat().length, unique: countUnique(sequences) }
}

/** Nodes of the prefix tree of the sequences. */
function countUnique(sequences: readonly (readonly number[])[]): number {
  const ids = new Map<string, number>()
  for (const sequence of sequences) {
    let node = 0
    for (const token of sequence) {
      const key = `${node} ${token}`
      node = ids.get(key) ?? ids.size + 1
      ids.set(key, node)
    }
  }
  return ids.size
}

function runPeer(shape: string): { peer: string; median: number } | undefined {
  const modules = options['peer-modules']
  if (!modules || !options['peer-models']) return undefined
  const script = join(import.meta.dirname, '../peer/score.mjs')
  const model = join(options['peer-models'], `${shape}.gguf`)
  return JSON.parse(execFileSync(process.execPath, [script, '--modules', modules, '--model', model], { encoding: 'utf8' }))
}

async function measure(shape: string): Promise<Measurement[]> {
  const model = join(options.models, shape)
  const dimensions = SHAPES[shape]
  if (!dimensions) throw new Error(`no shape ${shape}; known: ${Object.keys(SHAPES).join(', ')}`)
  if (!existsSync(join(model, 'model.safetensors'))) await writeRandomCheckpoint(dimensions, model)
  await using engine = await Engine.open({ model })
  // Each kind of run needs one more: tinybench calls a task once before it counts.
  const inputs = Array.from({ length: 2 * (ITERATIONS + 1) + 1 }, (_, seed) => requestOf(engine, seed))
  const { request: first, tokens, unique } = inputs[0] as ReturnType<typeof requestOf>
  const together = async (from: Engine, { question, solutions }: typeof first) => from.scoreSteps({ question, solutions })
  const apart = async (from: Engine, { question, solutions }: typeof first) => {
    const scores: number[][] = []
    for (const steps of solutions) scores.push(await from.scoreSteps({ question, steps }))
    return scores
  }
  {
    await using other = await Engine.open({ model })
    const same = JSON.stringify(await together(engine, first)) === JSON.stringify(await apart(other, first))
    if (!same) throw new Error(`${shape}: packed is not separate`)
  }
  const fresh = inputs.slice(1).map((input) => input.request)
  const packed = () => together(engine, fresh.pop() as typeof first)
  const separate = () => apart(engine, fresh.pop() as typeof first)

  const bench = new Bench({ time: 0, iterations: ITERATIONS, warmup: false, retainSamples: true, throws: true })
  bench.add('packed', packed).add('one candidate at a time', separate)
  await bench.run()
  const peer = runPeer(shape)
  const [fast, slow] = bench.tasks.map((task) => {
    if (task.result.state !== 'completed') throw new Error(`${shape}: ${task.name} ${task.result.state}`)
    const samples = task.result.latency.samples as number[]
    const rate = (ms: number) => (unique * 1000) / ms
    return { median: rate(quantile(samples, 0.5)), p95: rate(quantile(samples, 0.95)), samples: samples.length }
  }) as [Measurement, Measurement]
  const common = { unit: 'unique tokens/s', headline: true, details: { uniqueTokens: unique, tokens } }
  const ratios = { 'one candidate at a time': fast.median / slow.median, ...(peer && { [peer.peer]: fast.median / peer.median }) }
  const rows = [
    { ...fast, name: `score ${shape} bf16, packed`, ...common, ratios },
    { ...slow, name: `score ${shape} bf16, one candidate at a time`, ...common },
  ]
  if (peer) rows.push({ name: `score ${shape} bf16, ${peer.peer}`, median: peer.median, p95: peer.median, samples: 3, ...common })
  for (const { name, median } of rows) console.log(`${name}: ${median.toFixed(0)} ${common.unit}`)
  return rows
}

const measurements: Measurement[] = []
for (const shape of options.shape) measurements.push(...(await measure(shape)))
const recipe = { PREFIX_TOKENS, CANDIDATES, STEPS, CANDIDATE_TOKENS, ITERATIONS, recordedElsewhere: RECORDED_ELSEWHERE }
writeResults('score', recipe, measurements)
