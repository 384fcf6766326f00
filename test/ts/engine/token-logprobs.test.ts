/** Log-probabilities of given tokens, over logits that a stand-in of the engine hands out. */
import { setImmediate } from 'node:timers'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type LogprobsContext, tokenLogprobs } from '../../../ts/engine/token-logprobs.ts'

const VOCAB = 100_000
const logit = (row: number, id: number) => ((row * 31 + id * 17) % 101) / 50

/** Forward passes whose logits follow from row and token alone; `passes` counts them. */
function standIn(passes: number[]): LogprobsContext {
  const forward = ({ wanted: [rows] }: { wanted: Int32Array[] }) => {
    passes.push(rows?.length ?? 0)
    const values = new Float32Array((rows?.length ?? 0) * VOCAB)
    rows?.forEach((row, r) => {
      for (let id = 0; id < VOCAB; id++) values[r * VOCAB + id] = logit(row, id)
    })
    return { promise: Promise.resolve({ values: [values], width: VOCAB }), abort: () => {} }
  }
  return {
    native: () => ({ forward }),
    info: { decoder: { vocab: VOCAB, numClasses: 0 }, architecture: 'stand-in' },
    folder: { imageToken: () => -1 },
    tokenizer: {},
  } as unknown as LogprobsContext
}

const tokens = Array.from({ length: 46 }, (_, i) => (i * 7919) % VOCAB)

test('the sums over a large vocabulary leave turns to others, and every token has its own number', async () => {
  let turns = 0
  let counting = true
  const count = () => {
    turns++
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  const passes: number[] = []
  const got = await tokenLogprobs(standIn(passes), { tokens, first: 1 })
  counting = false
  assert.equal(passes, [44])
  assert.ok(turns >= 4, `${turns} turns while 4.4 million numbers were summed`)
  assert.is(got.length, 44)
  for (const j of [1, 20, 44]) {
    let sum = 0
    for (let id = 0; id < VOCAB; id++) sum += Math.exp(Math.fround(logit(j, id)))
    const want = Math.fround(logit(j, tokens[j + 1] as number)) - Math.log(sum)
    assert.ok(Math.abs((got[j - 1] as number) - want) < 1e-9, `${got[j - 1]} is not ${want}`)
  }
})

test('an abort in the middle of the sums ends them', async () => {
  const stop = new AbortController()
  const running = tokenLogprobs(standIn([]), { tokens, first: 0, signal: stop.signal })
  setImmediate(() => stop.abort(new Error('enough')))
  const error = await running.catch((e) => e)
  assert.is(error.code, 'ERR_ENGINE_ABORTED')
  assert.is(error.cause.message, 'enough')
})

test.run()
