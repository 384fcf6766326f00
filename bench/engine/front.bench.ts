/**
 * What TypeScript does around a native call, on the golden checkpoints: tokenising users' text, decoding a
 * picture, finding scores that are remembered.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Bench } from 'tinybench'
import { Engine } from '../../ts/engine/engine.ts'
import { openTokenizer } from '../../ts/engine/tokenizer/index.ts'
import { decodeImage } from '../../ts/images/index.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'

const GOLDEN = join(import.meta.dirname, '../../test/golden')
const TOKENIZERS = ['qwen2', 'internlm2', 'llama3', 'mistral']
const TEXT = 'The bar chart shows 12 apples and 30 oranges, so there are 12 + 30 = 42 fruits in all.\n'.repeat(20)
/** Differs from call to call: tokenizers remember the last text. */
let calls = 0
const text = () => `${calls++} ${TEXT}`

const bench = new Bench({ time: 500, warmupTime: 100, retainSamples: true, throws: true })
for (const name of TOKENIZERS) {
  const tokenizer = await openTokenizer(join(GOLDEN, 'tokenizers', name))
  bench.add(`tokenise ${TEXT.length} characters, ${name}`, () => tokenizer.encodePlain(text()))
}
const model = join(GOLDEN, 'models/internvl2_5-qwen2')
const picture = readFileSync(join(model, 'image-0.png'))
bench.add('decode a picture', () => decodeImage(picture), { async: true })
await using engine = await Engine.open({ model })
const request = { question: 'How many?', steps: ['12 + 30 = 42.', 'Answer: 42'] }
bench.add('score again what is remembered', () => engine.scoreSteps(request), { async: true })
await bench.run()

const measurements: Measurement[] = bench.tasks.map((task) => {
  if (task.result.state !== 'completed') throw new Error(`${task.name}: ${task.result.state}`)
  const samples = task.result.latency.samples as number[]
  return { name: task.name, unit: 'ms', median: quantile(samples, 0.5), p95: quantile(samples, 0.95), samples: samples.length }
})
for (const { name, median } of measurements) console.log(`${name}: ${median.toFixed(3)} ms`)
writeResults('front', { text: TEXT.length }, measurements)
