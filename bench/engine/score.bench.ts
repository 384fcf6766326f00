/**
 * scoreSteps on 16 candidates of 8 steps behind one question, in unique tokens per second: all together (a packed prefix
 * tree), one call per candidate (which finds the question in the cache), and candidates that share nothing (the question
 * computed anew each time). Against the peers that bench/peers.ts finds, in turns with the others.
 *
 *   node --import tsx bench/engine/score.bench.ts [--shape NAME]… [--way NAME]… [--models DIR] [--rounds N]
 *                                                  [--candidates N] [--peer-dtype NAME]… [--results NAME]
 */
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Engine } from '../../ts/engine/engine.ts'
import { resolveFamily } from '../../ts/engine/families/index.ts'
import type { Tokenizer } from '../../ts/engine/tokenizer/index.ts'
import { PEERS, runPeer } from '../peers.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'
import { DEFAULT_SHAPES, REPEATS, SHAPES, writeRandomCheckpoint } from './random-checkpoint.ts'

const PREFIX_TOKENS = 512
const STEPS = 8
const CANDIDATE_TOKENS = 256
const PACKED = 'packed'

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', multiple: true, default: DEFAULT_SHAPES },
    models: { type: 'string', default: join(tmpdir(), 'mm-prm-bench') },
    rounds: { type: 'string', default: '3' },
    /** Fewer for large models on small machines; the peers' number too, which wants it even. */
    candidates: { type: 'string', default: '16' },
    'peer-dtype': { type: 'string', multiple: true, default: ['bf16', 'q8_0', 'q4_0'] },
    way: { type: 'string', multiple: true, default: [PACKED, 'one call per candidate', 'nothing shared'] },
    results: { type: 'string', default: 'score' },
  },
})
const ROUNDS = Number(options.rounds)
const CANDIDATES = Number(options.candidates)

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

interface Work {
  question: string
  solutions: string[][]
}

/** WHY another question each time: the engine remembers scores, and what is known costs nothing to ask again. */
function worksOf(engine: Engine): { next: () => Work; unique: number } {
  const { tokenizer } = engine
  const family = resolveFamily('mm-prm', {
    architecture: engine.info().architecture,
    hasRewardHead: false,
    pieceId: (piece) => tokenizer.pieceId(piece),
    config: {},
    recorded: undefined,
  })
  const idsOf = (question: string, steps: string[]) => family.prompt(tokenizer, { question, steps, imageRows: [] }).ids
  const perStep = CANDIDATE_TOKENS / STEPS
  const solutions = Array.from({ length: CANDIDATES }, (_, c) =>
    Array.from({ length: STEPS }, (_, s) => textOf(tokenizer, perStep - 1, 1 + c * STEPS + s)),
  )
  const around = idsOf('', solutions[0] as string[]).length - CANDIDATE_TOKENS
  let seed = 99_000
  const next = () => ({ question: textOf(tokenizer, PREFIX_TOKENS - around, seed++), solutions })
  const { question } = next()
  return { next, unique: countUnique(solutions.map((steps) => idsOf(question, steps))) }
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

/** No number without a check: the bits of the packed tree are those of each candidate in an engine with empty caches. */
async function checkPackedIsSeparate(engine: Engine, model: string, { question, solutions }: Work): Promise<void> {
  const packed = await engine.scoreSteps({ question, solutions })
  await using other = await Engine.open({ model, scoring: 'mm-prm' })
  for (const [i, steps] of solutions.entries()) {
    const alone = await other.scoreSteps({ question, steps })
    if (alone.some((score, s) => score !== packed[i]?.[s])) throw new Error(`${model}: candidate ${i} scores differently alone`)
  }
}

async function measure(shape: string): Promise<Measurement[]> {
  const model = join(options.models, shape)
  const dimensions = SHAPES[shape]
  if (!dimensions) throw new Error(`no shape ${shape}; known: ${Object.keys(SHAPES).join(', ')}`)
  if (!existsSync(join(model, 'model.safetensors'))) await writeRandomCheckpoint(dimensions, model)
  await using engine = await Engine.open({ model, scoring: 'mm-prm' })
  const { next, unique } = worksOf(engine)
  await checkPackedIsSeparate(engine, model, next())

  const ways: Record<string, (works: Work[]) => Promise<unknown>> = {
    [PACKED]: ([work]) => engine.scoreSteps(work as Work),
    'one call per candidate': async ([work]) => {
      const { question, solutions } = work as Work
      for (const steps of solutions) await engine.scoreSteps({ question, steps })
    },
    'nothing shared': async (works) => {
      for (const [i, { question, solutions }] of works.entries()) {
        await engine.scoreSteps({ question, steps: solutions[i] as string[] })
      }
    },
  }
  const asked = Object.entries(ways).filter(([name]) => options.way.includes(name))
  const samples = new Map(asked.map(([name]) => [name, [] as number[]]))
  // WHY in turns: on a shared machine the speed drifts, and what runs at the same time drifts alike.
  for (let round = 0; round < ROUNDS * (REPEATS[shape] ?? 1); round++) {
    for (const [name, run] of asked) {
      const works = Array.from({ length: CANDIDATES }, next)
      const began = performance.now()
      await run(works)
      samples.get(name)?.push(performance.now() - began)
    }
    for (const peer of PEERS.filter(({ dtype }) => options['peer-dtype'].includes(dtype))) {
      const ran = runPeer(peer, 'score', shape, { runs: 1, candidates: CANDIDATES })
      if (!ran) continue
      // The peer's prompt is exactly as long as planned, ours nearly: compared are times per unique token.
      const times = ran.seconds.map((s) => (1000 * s * unique) / (ran.uniqueTokens as number))
      samples.set(ran.peer, [...(samples.get(ran.peer) ?? []), ...times])
    }
  }

  const rows: Measurement[] = [...samples].map(([way, times]) => {
    const rate = (share: number) => (unique * 1000) / quantile(times, share)
    const common = { unit: 'unique tokens/s', headline: true, details: { uniqueTokens: unique } }
    return { name: `score ${shape} bf16, ${way}`, median: rate(0.5), p95: rate(0.95), samples: times.length, ...common }
  })
  for (const { name, median } of rows) console.log(`${name}: ${median.toFixed(0)} unique tokens/s`)
  const [packed, ...others] = rows as [Measurement, ...Measurement[]]
  packed.faster = Object.fromEntries(others.map((row) => [row.name.replace(/^.*, /, ''), packed.median / row.median]))
  return rows
}

const measurements: Measurement[] = []
for (const shape of options.shape) measurements.push(...(await measure(shape)))
const recipe = { PREFIX_TOKENS, CANDIDATES, STEPS, CANDIDATE_TOKENS, ROUNDS, REPEATS }
writeResults(options.results, recipe, measurements)
