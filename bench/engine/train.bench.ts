/**
 * Tokens per second of whole training steps (forward, backward, clipping, AdamW) of a text model of 6.4 million
 * parameters on 8 × 256 tokens, and with --python against PyTorch: same model, weights, tokens, in turns in the same run.
 *
 *   node --import tsx bench/engine/train.bench.ts [--python PYTHON_WITH_TORCH] [--rounds N] [--threads N]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../ts/contracts/random.ts'
import { loadNative, type NativeTrainBatch } from '../../ts/engine/native.ts'
import { initModel } from '../../ts/engine/trainable.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'

const SHAPE = { hidden_size: 256, intermediate_size: 688, num_hidden_layers: 6, num_attention_heads: 4, num_key_value_heads: 2 }
const [VOCABULARY, BATCH, LENGTH] = [4096, 8, 256]
const STEPS = 4
/** Until the threads of whoever ran before have stopped spinning. */
const PAUSE_MS = 500
/** PyTorch 1.13 on the machine of the design's baselines, tokens/s in bf16: another one, so no ratio is made of it. */
const RECORDED_ELSEWHERE = { 'PyTorch 1.13 bf16': [6900, 9000], 'PyTorch 1.13 fp32': [1200, 1600] }
const TOKENIZER = join(import.meta.dirname, '../../test/golden/models/llama3')
const STEP = { learningRate: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.05, decayVectors: true, maxNorm: 1 }

const { values: options } = parseArgs({
  options: {
    python: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    threads: { type: 'string', default: '2' },
  },
})
const [rounds, threads] = [Number(options.rounds), Number(options.threads)]
const work = mkdtempSync(join(tmpdir(), 'mm-prm-train-bench-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

async function writeCheckpoint(): Promise<void> {
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: VOCABULARY,
    max_position_embeddings: LENGTH,
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    torch_dtype: 'float32',
    ...SHAPE,
  }
  const names = readdirSync(TOKENIZER).filter((name) => name.startsWith('tokenizer'))
  const tokenizer = Object.fromEntries(names.map((name) => [name, readFileSync(join(TOKENIZER, name))]))
  await initModel({ files: { ...tokenizer, 'config.json': JSON.stringify(config) }, out: work, seed: 1 })
}

const random = seededRandom('tokens')
const tokens = Int32Array.from({ length: BATCH * LENGTH }, () => Math.floor(random() * VOCABULARY))

function batchOf(): NativeTrainBatch {
  const none = {
    images: new Int32Array(),
    markers: new Int32Array(),
    labels: new Float32Array(),
    markerWeights: new Float32Array(),
  }
  const samples = Array.from({ length: BATCH }, (_, i) => ({
    ...none,
    tokens: tokens.slice(i * LENGTH, (i + 1) * LENGTH),
    group: i,
    tokenWeights: new Float32Array(LENGTH).fill(1, 1),
  }))
  return { task: 'tokens', samples, images: [], imageToken: -1 }
}

interface Runner {
  name: string
  /** Takes the steps; the loss is that before the first. */
  run(steps: number): Promise<{ seconds: number; loss: number }>
  close(): Promise<unknown>
}

async function ours(compute: 'bf16' | 'f32'): Promise<Runner & { parameters: number }> {
  const parts = { trainVision: false, trainProjector: false, trainLanguage: true, recompute: false, newTokens: new Int32Array() }
  const lora = { loraRank: 0, loraAlpha: 0, loraTargets: [], seed: 0n }
  const trainer = await loadNative().openTrainer({ model: work, compute, threads, isa: '', ...parts, ...lora })
  const batch = batchOf()
  const run = async (steps: number) => {
    const start = performance.now()
    const losses: number[] = []
    for (let i = 0; i < steps; i++) {
      const { loss, weight } = await trainer.accumulate(batch, 1 / (BATCH * (LENGTH - 1)))
      losses.push(loss / weight)
      await trainer.step(STEP)
    }
    return { seconds: (performance.now() - start) / 1000, loss: losses[0] as number }
  }
  return { name: compute, parameters: trainer.info().parameters, run, close: () => trainer.close() }
}

async function peer(python: string): Promise<Runner & { parameters: number }> {
  const file = join(work, 'tokens.bin')
  writeFileSync(file, new Uint8Array(tokens.buffer))
  const script = join(import.meta.dirname, '../peer/train.py')
  const args = [script, work, file, '--batch', String(BATCH), '--threads', String(threads)]
  const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`${script} ended early`)
    return JSON.parse(value)
  }
  const { peer: name, parameters } = await answer()
  const run = (steps: number) => {
    child.stdin.write(`${steps}\n`)
    return answer()
  }
  const close = () => {
    child.stdin.end()
    return once(child, 'exit')
  }
  return { name, parameters, run, close }
}

function measurement(name: string, seconds: readonly number[], extra: Partial<Measurement> = {}): Measurement {
  const rates = seconds.map((s) => (STEPS * BATCH * LENGTH) / s)
  return { name, unit: 'tokens/s', median: quantile(rates, 0.5), p95: quantile(rates, 0.05), samples: rates.length, ...extra }
}

await writeCheckpoint()
const bf16 = await ours('bf16')
const f32 = await ours('f32')
const torch = options.python === undefined ? undefined : await peer(options.python)
const runners: Runner[] = [bf16, f32, ...(torch ? [torch] : [])]

// No number without a check: all begin at the same loss and learn at the same pace. The runs also warm up.
const warm: { seconds: number; loss: number }[] = []
for (const runner of runners) warm.push(await runner.run(STEPS))
const losses = warm.map((w) => w.loss)
for (const [i, loss] of losses.entries()) {
  if (!(Math.abs(loss - (losses[1] as number)) < 0.01 * loss))
    throw new Error(`${runners[i]?.name}: loss ${loss}, fp32 has ${losses[1]}`)
}
if (torch && torch.parameters !== bf16.parameters)
  throw new Error(`${torch.parameters} parameters there, ${bf16.parameters} here`)

const seconds = new Map<string, number[]>(runners.map((r) => [r.name, []]))
for (let round = 0; round < rounds; round++) {
  for (const runner of runners) {
    await setTimeout(PAUSE_MS)
    seconds.get(runner.name)?.push((await runner.run(STEPS)).seconds)
  }
}
for (const runner of runners) await runner.close()

const of = (runner: Runner) => seconds.get(runner.name) as number[]
const faster = (runner: Runner) => torch && { [torch.name]: quantile(of(torch), 0.5) / quantile(of(runner), 0.5) }
const details = { parameters: bf16.parameters, tokensPerStep: BATCH * LENGTH, threads }
const measurements = [bf16, f32].map((runner) =>
  measurement(`training step ${runner.name}`, of(runner), {
    details,
    headline: runner === bf16,
    ...(torch && { faster: faster(runner) as Record<string, number> }),
  }),
)
if (torch) measurements.push(measurement(`training step ${torch.name}, bf16 autocast`, of(torch), { details }))
for (const m of measurements) console.log(`${m.name}: ${Math.round(m.median)} ${m.unit} ${JSON.stringify(m.faster ?? '')}`)
writeResults('train', { SHAPE, VOCABULARY, BATCH, LENGTH, STEPS, rounds, recordedElsewhere: RECORDED_ELSEWHERE }, measurements)
