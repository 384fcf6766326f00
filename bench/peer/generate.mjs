// The rollout benchmark on node-llama-cpp, by its best public way: one sequence per sibling, each with the prompt
// evaluated beforehand (not timed), then all of them generate at once and the library batches them.
//
//   npm install node-llama-cpp      (in a folder of its own: it is no dependency of this project)
//   node generate.mjs --modules FOLDER/node_modules --model MODEL.gguf --threads N [--rows R] [--prefixes P]
//                     [--new-tokens T] [--runs N]
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const PROMPT_TOKENS = 512

const { values } = parseArgs({
  options: {
    modules: { type: 'string' },
    model: { type: 'string' },
    threads: { type: 'string', default: '2' },
    rows: { type: 'string', default: '16' },
    prefixes: { type: 'string', default: '1' },
    'new-tokens': { type: 'string', default: '64' },
    runs: { type: 'string', default: '3' },
  },
})
const rows = Number(values.rows)
const newTokens = Number(values['new-tokens'])
const runs = Number(values.runs)
const require = createRequire(join(values.modules, 'x.js'))
const { getLlama, readGgufFileInfo } = await import(pathToFileURL(join(values.modules, 'node-llama-cpp/dist/index.js')).href)
const { version } = require('./node-llama-cpp/package.json')

const llama = await getLlama({ gpu: false, build: 'never', maxThreads: Number(values.threads), logLevel: 'error' })
const model = await llama.loadModel({ modelPath: values.model })
const vocab = (await readGgufFileInfo(values.model)).metadata.tokenizer.ggml.tokens.length
const context = await model.createContext({
  sequences: rows,
  contextSize: PROMPT_TOKENS + newTokens + 32,
  batchSize: 512,
  threads: { ideal: Number(values.threads), min: Number(values.threads) },
})

/** Ids from a fixed linear congruential sequence. */
function tokens(count, seed) {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % (vocab - 1)
  })
}

const sequences = Array.from({ length: rows }, () => context.getSequence())
const prompts = Array.from({ length: rows }, (_, i) => tokens(PROMPT_TOKENS, 1 + (i % Number(values.prefixes))))

async function generate(sequence, prompt, seed) {
  let count = 0
  const sampling = { temperature: 1, topK: 50, topP: 0.9, seed, yieldEogToken: true, repeatPenalty: false }
  for await (const _ of sequence.evaluate(prompt.slice(-1), sampling)) if (++count === newTokens) break
  return count
}

const seconds = []
for (const [i, sequence] of sequences.entries()) await sequence.evaluateWithoutGeneratingNewTokens(prompts[i].slice(0, -1))
for (let run = 0; run <= runs; run++) {
  const began = performance.now()
  const counts = await Promise.all(sequences.map((sequence, i) => generate(sequence, prompts[i], run * rows + i)))
  if (counts.some((count) => count !== newTokens)) throw new Error(`wrote ${counts}`)
  if (run > 0) seconds.push((performance.now() - began) / 1000) // the first run warms up
  for (const sequence of sequences) {
    await sequence.eraseContextTokenRanges([{ start: PROMPT_TOKENS - 1, end: sequence.nextTokenIndex }])
    if (sequence.nextTokenIndex !== PROMPT_TOKENS - 1) throw new Error('the roll-back failed')
  }
}
seconds.sort((a, b) => a - b)
const total = rows * newTokens
console.log(
  JSON.stringify({
    peer: `node-llama-cpp ${version}`,
    model: values.model,
    threads: Number(values.threads),
    rows,
    newTokens,
    seconds,
    best: total / seconds[0],
    median: total / seconds[runs >> 1],
  }),
)
process.exit(0)
