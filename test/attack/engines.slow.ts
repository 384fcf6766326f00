/** Engines opened, used, aborted and closed in every order: the same bits, and nothing is left. */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { seededRandom } from '../../ts/contracts/random.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { attack, tally } from '../helpers/attack.ts'

const MODELS = join(import.meta.dirname, '../../models')
const [POLICY, PRM] = [join(MODELS, 'mini-policy'), join(MODELS, 'mini-prm')]
const hash = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex')
const KV_BYTES = 8e6

const CYCLES = 60
attack(`${CYCLES} engines of all types of weights opened and closed, some in the middle of a call`, async () => {
  const held = () => ({ threads: readdirSync('/proc/self/task').length, files: readdirSync('/proc/self/fd').length })
  let before: ReturnType<typeof held> | undefined
  for (let i = 0; i < CYCLES; i++) {
    const weights = (['bf16', 'f32', 'int8', 'int4'] as const)[i % 4] as 'bf16'
    const engine = await Engine.open({ model: i % 2 ? POLICY : PRM, cpu: { threads: 2 }, weights, kvCacheBytes: KV_BYTES })
    if (i % 3 === 0) await engine.generate({ question: 'x', maxTokens: 2 })
    if (i % 7 === 0) engine.generate({ question: 'x', maxTokens: 50 }).catch(() => {})
    await engine.close()
    if (i === 9) before = held()
  }
  await sleep(200)
  const after = held()
  assert.ok(before && after.threads <= before.threads + 1 && after.files <= before.files + 1, JSON.stringify([before, after]))
  return `as many threads and open files after the last as after the tenth`
})

const SECONDS = 45
attack(`${SECONDS} s of generation, scores and streams at once, aborted, left and closed at random`, async () => {
  const random = seededRandom('storm')
  const below = (n: number) => Math.floor(random() * n)
  const generation = (i: number) => ({
    question: `What is ${i} plus ${i + 1}?`,
    n: 1 + (i % 4),
    seed: i,
    maxTokens: 10 + ((i * 13) % 40),
    sampling: { temperature: 1, topK: 50, topP: 0.9, repetitionPenalty: 1.05 },
  })
  const scoring = (i: number) => ({
    question: `What is ${i} plus 1?`,
    solutions: [['a', `${i}`], ['a'], ['b', 'c', 'd']].slice(0, 1 + (i % 3)),
  })
  const open = (model: string, threads: number) => Engine.open({ model, cpu: { threads }, kvCacheBytes: KV_BYTES })
  let [policy, prm] = [await open(POLICY, 2), await open(PRM, 1)]
  const N = 12
  const expected: { generated: string[]; scored: string[] } = { generated: [], scored: [] }
  for (let i = 0; i < N; i++) {
    expected.generated.push(hash(await policy.generate(generation(i))))
    expected.scored.push(hash(await prm.scoreSteps(scoring(i))))
  }
  const counts = { 'calls with the same bits': 0, aborted: 0, closed: 0, left: 0 }
  const one = async () => {
    const [kind, i, aborter] = [below(100), below(N), new AbortController()]
    const timer = below(4) === 0 ? setTimeout(() => aborter.abort(), below(60)) : undefined
    try {
      if (kind < 45) {
        assert.is(
          hash(await policy.generate({ ...generation(i), signal: aborter.signal })),
          expected.generated[i],
          `generation ${i}`,
        )
        counts['calls with the same bits']++
      } else if (kind < 85) {
        assert.is(hash(await prm.scoreSteps({ ...scoring(i), signal: aborter.signal })), expected.scored[i], `scoring ${i}`)
        counts['calls with the same bits']++
      } else {
        let left = below(30)
        for await (const _ of policy.stream({ ...generation(i), signal: aborter.signal })) if (left-- === 0) break
        counts.left++
      }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      if (error.code === 'ERR_ENGINE_ABORTED') counts.aborted++
      else if (error.code === 'ERR_ENGINE_CLOSED') counts.closed++
      else throw error
    } finally {
      clearTimeout(timer)
    }
  }
  for (const end = performance.now() + SECONDS * 1000; performance.now() < end; ) {
    await Promise.all(Array.from({ length: 8 + below(16) }, one))
    const { usedPages, bytesPerPage } = policy.stats()
    assert.ok(usedPages * bytesPerPage <= KV_BYTES)
    if (below(8) > 0) continue
    const old = policy
    const running = [0, 1, 2].map((i) => old.generate(generation(i)).catch((error) => counts.closed++ && error))
    await Promise.all([old.close(), ...running])
    policy = await open(POLICY, 1 + below(2))
  }
  await Promise.all([policy.close(), prm.close()])
  assert.ok(counts['calls with the same bits'] > 50, JSON.stringify(counts))
  return `${tally(counts)}; no other error, no more memory for keys and values than was given`
})

test.run()
