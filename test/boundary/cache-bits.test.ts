/**
 * Whatever is shared, evicted, preempted, chunked or batched: the same bits as a fresh engine that runs one request
 * alone. Log-probabilities are compared exactly, so a difference in the last bit of any logit row shows.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Completion } from '../../ts/engine/completion.ts'
import { Engine } from '../../ts/engine/engine.ts'
import type { GenerateRequest } from '../../ts/engine/generate-options.ts'
import { loadNative } from '../../ts/engine/native.ts'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const IMAGES = [...picturesOf(MODEL).slice(0, 2), undefined]
const SAMPLING = { temperature: 1, topK: 40, topP: 0.95, repetitionPenalty: 1.05 }
const SAMPLED_STEPS = ['Read the chart.', 'Add them: 12 + 30 = 42.', 'So there are 42 fruits in all.', 'Check it again.']
/** Pages of 16 tokens in the small engine: a few sequences, then something has to go. */
const FEW_PAGES = 48

/** Numbers in [0, n) from a fixed sequence. */
function randomSource(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

interface Job {
  key: string
  run(engine: Engine): Promise<unknown>
}

const numbers = (completions: Completion[]) => completions.map((c) => [c.sample, c.finish, c.tokens, c.logprobs])

function generateJob(random: (n: number) => number): Job {
  const image = IMAGES[random(IMAGES.length)]
  const request: GenerateRequest = {
    question: `How many ${['apples', 'oranges'][random(2)]}?`,
    ...(image && { image, maxTiles: 2 }),
    steps: SAMPLED_STEPS.slice(0, random(SAMPLED_STEPS.length)),
    template: ['prefill', 'mm-prm-v1'][random(2)] as string,
    n: 1 + random(4),
    firstSample: random(3),
    maxTokens: 1 + random(40),
    sampling: random(4) === 0 ? { temperature: 0 } : SAMPLING,
    seed: random(2),
    logprobs: true,
  }
  return { key: JSON.stringify(request), run: async (engine) => numbers(await engine.generate(request)) }
}

function scoreJob(random: (n: number) => number): Job {
  const image = IMAGES[random(IMAGES.length)]
  const solutions = Array.from({ length: 1 + random(3) }, () => {
    const shared = SAMPLED_STEPS.slice(0, random(SAMPLED_STEPS.length))
    return [...shared, `Answer ${random(3)}`]
  })
  const request = { question: 'How many fruits?', ...(image && { image, maxTiles: 2 }), solutions, returnLogits: true as const }
  return { key: JSON.stringify(request), run: (engine) => engine.scoreSteps(request) }
}

const test = suite('cache bits')

for (const isa of loadNative().probe().isas) {
  test(`random requests in random company on ${isa}`, async () => {
    const alone = new Map<string, unknown>()
    const expected = async (job: Job) => {
      if (!alone.has(job.key)) {
        await using fresh = await Engine.open({ model: MODEL, cpu: { isa: isa as 'avx2', threads: 1 } })
        alone.set(job.key, await job.run(fresh))
      }
      return alone.get(job.key)
    }
    for (let seed = 1; seed <= 3; seed++) {
      const random = randomSource(seed)
      const pageBytes = await bytesPerPage(isa)
      const kvCacheBytes = seed === 1 ? undefined : FEW_PAGES * pageBytes
      await using engine = await Engine.open({
        model: MODEL,
        cpu: { isa: isa as 'avx2', threads: seed },
        ...(kvCacheBytes && { kvCacheBytes }),
      })
      for (let round = 0; round < 6; round++) {
        const jobs = Array.from({ length: 1 + random(8) }, () => (random(3) > 0 ? generateJob(random) : scoreJob(random)))
        const aborted = random(2) === 0 ? abortLater(engine, random) : undefined
        const results = await Promise.all(jobs.map((job) => job.run(engine)))
        await aborted
        for (const [i, job] of jobs.entries())
          assert.equal(results[i], await expected(job), `seed ${seed} round ${round}: ${job.key}`)
      }
      const { preemptions, evictedPages, usedPages, cachedPages, reusedTokens } = engine.stats()
      assert.ok(reusedTokens > 0)
      assert.is(usedPages, cachedPages, 'nothing but the cache holds pages')
      if (kvCacheBytes) assert.ok(evictedPages > 0, `evicted ${evictedPages}, preempted ${preemptions}`)
    }
  })
}

async function bytesPerPage(isa: string): Promise<number> {
  await using engine = await Engine.open({ model: MODEL, cpu: { isa: isa as 'avx2' } })
  return engine.stats().bytesPerPage
}

/** A request that is given up in the middle: its pages go, others' bits stay. */
async function abortLater(engine: Engine, random: (n: number) => number): Promise<void> {
  const controller = new AbortController()
  setTimeout(() => controller.abort(), random(6))
  const request = { question: 'How many apples?', n: 3, maxTokens: 60, signal: controller.signal }
  await engine.generate(request).catch((error) => assert.is(error.code, 'ERR_ENGINE_ABORTED'))
}

test.run()
