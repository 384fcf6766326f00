// The scoring benchmark on node-llama-cpp, by its best public way: the prompt is evaluated once, then each candidate
// on the same sequence, which is rolled back to the prompt afterwards. At each marker one probability is read: less than
// scoring needs, but its lists of all probabilities take longer than the model.
//
//   npm install node-llama-cpp      (in a folder of its own: it is no dependency of this project)
//   node score.mjs --modules FOLDER/node_modules --model MODEL.gguf [--threads N] [--runs N]
//                                                           [--candidates N] [--json OUT]
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const PROMPT_TOKENS = 512
const CANDIDATE_TOKENS = 256
const MARKERS = 8

const { values } = parseArgs({
  options: {
    modules: { type: 'string' },
    model: { type: 'string' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    candidates: { type: 'string', default: '16' },
    json: { type: 'string' },
  },
})
const CANDIDATES = Number(values.candidates)
const require = createRequire(join(values.modules, 'x.js'))
const { getLlama, readGgufFileInfo } = await import(pathToFileURL(join(values.modules, 'node-llama-cpp/dist/index.js')).href)
const { version } = require('./node-llama-cpp/package.json')

const llama = await getLlama({ gpu: false, build: 'never', maxThreads: Number(values.threads), logLevel: 'error' })
const model = await llama.loadModel({ modelPath: values.model })
const vocab = (await readGgufFileInfo(values.model)).metadata.tokenizer.ggml.tokens.length
const context = await model.createContext({
  contextSize: 1024,
  batchSize: 512,
  threads: { ideal: Number(values.threads), min: Number(values.threads) },
})
const sequence = context.getSequence()

/** Ids from a fixed linear congruential sequence. */
function tokens(count, seed) {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % (vocab - 1)
  })
}

async function run() {
  await sequence.clearHistory()
  await sequence.evaluateWithoutGeneratingNewTokens(tokens(PROMPT_TOKENS, 1))
  for (let i = 0; i < CANDIDATES; i++) {
    const every = CANDIDATE_TOKENS / MARKERS
    const input = tokens(CANDIDATE_TOKENS, i + 2).map((token, at) =>
      at % every === every - 1 ? [token, { generateNext: { confidence: true } }] : token,
    )
    const out = await sequence.controlledEvaluate(input)
    if (out.filter((o) => o?.next.confidence !== undefined).length !== MARKERS) throw new Error('a marker has no probability')
    await sequence.eraseContextTokenRanges([{ start: PROMPT_TOKENS, end: sequence.nextTokenIndex }])
    if (sequence.nextTokenIndex !== PROMPT_TOKENS) throw new Error('the roll-back failed')
  }
}

await run()
const seconds = []
for (let i = 0; i < Number(values.runs); i++) {
  const began = performance.now()
  await run()
  seconds.push((performance.now() - began) / 1000)
}
seconds.sort((a, b) => a - b)
const unique = PROMPT_TOKENS + CANDIDATES * CANDIDATE_TOKENS
const result = { peer: `node-llama-cpp ${version}`, model: values.model, threads: Number(values.threads), uniqueTokens: unique }
const rates = { seconds, best: unique / seconds[0], median: unique / seconds[seconds.length >> 1] }
console.log(JSON.stringify({ ...result, ...rates }))
if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...result, ...rates }, null, 2)}\n`)
process.exit(0)
