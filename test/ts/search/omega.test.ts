/** The default search: one label per step, outcomes apart, budgets, and a result that depends on the seed alone. */
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import type { RolloutRequest } from '../../../ts/contracts/policy.ts'
import { seededRandom } from '../../../ts/contracts/random.ts'
import { mcValue } from '../../../ts/contracts/records.ts'
import { streamsOf } from '../../../ts/contracts/streams.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { omega, omegaOptions } from '../../../ts/search/strategies/omega.ts'
import { NOTHING_KNOWN, runOmega, UNLIMITED, walk } from '../../helpers/search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'

const problem = { id: 'p', question: 'q?', answer: '5' }
const complete = (...steps: string[]) => ({ outcome: 'complete' as const, steps, text: steps.join('\n') })
const right = 'The final answer is 5'
const wrong = 'The final answer is 6'

/** A policy for one problem: `solve(prefix, index)` gives the steps after the prefix, or null where it cannot be parsed. */
function toy(solve: (prefix: readonly string[], index: number) => string[] | null) {
  const asked: string[][] = []
  const policy = scriptedPolicy((request: RolloutRequest, index) => {
    if (index === request.from) asked.push([...request.prefix])
    const steps = solve(request.prefix, index)
    return steps ? complete(...steps) : { outcome: 'unparsed', steps: [], text: 'nonsense' }
  })
  return { policy, asked }
}

test('bisects a wrong rollout for its first error and labels every step before it', async () => {
  // Only rollout 0 is wrong; its error is step c, after which nothing comes right.
  const { policy, asked } = toy((prefix, index) => {
    const isLost = prefix.includes('c')
    if (prefix.length === 0 && index === 0) return ['a', 'b', 'c', 'd', 'e', 'f', 'g', wrong]
    return isLost ? ['z', wrong] : ['y', right]
  })
  const { events, tree } = await runOmega(problem, { numRollouts: 4, fill: 'negative', maxSearches: 1 }, { policy })
  // 8 steps, the answer known to be wrong: mid = 3 (d) is 0, mid = 1 (b) is right, mid = 2 (c) is 0; then a is filled in.
  assert.equal(asked, [[], ['a', 'b', 'c', 'd'], ['a', 'b'], ['a', 'b', 'c'], ['a']])
  const labels = [...walk(tree.root)].map(({ node, prefix }) => [
    prefix.at(-1) ?? '',
    node.counts && mcValue(node.counts),
    node.firstError,
  ])
  assert.equal(labels, [
    ['', 0.75, false],
    ['a', 1, false],
    ['b', 1, false],
    ['c', 0, true],
    ['d', 0, false],
    ['e', null, false],
    ['f', null, false],
    ['g', null, false],
    [wrong, 0, false],
  ])
  assert.equal(
    events.map((e) => e.type),
    ['verdict', 'verdict', 'evaluated', 'selected', 'evaluated', 'evaluated', 'evaluated', 'evaluated', 'finished'],
  )
})

test('a verdict is asked for once per distinct answer', async () => {
  let asked = 0
  const { policy } = toy((_, index) => ['s', `The final answer is ${index % 3}`])
  const verifier = {
    ...simulatedVerifier,
    verify: async (_: unknown, answer: string) => ({ match: ++asked > 0 && answer === '5', method: 'x' }),
  }
  const context = { problem, policy, verifier, rng: streamsOf(1, 'p'), budget: UNLIMITED, known: NOTHING_KNOWN }
  for await (const _ of omega.run(context, omegaOptions.parse({ numRollouts: 16 })));
  assert.is(asked, 3)
})

test('unparsed and truncated rollouts are counted, never selected, and not wrong', async () => {
  const { policy } = toy((_, index) => (index % 4 === 0 ? null : index % 4 === 1 ? ['a', wrong] : ['b', right]))
  const { tree, events } = await runOmega(problem, { numRollouts: 8, maxSearches: 3, fill: 'none' }, { policy })
  assert.equal(tree.root.counts, { correct: 4, total: 6, unparsed: 2, truncated: 0 })
  const selected = events.flatMap((e) => (e.type === 'selected' ? [e.rollout] : []))
  assert.equal(selected[0], ['a', wrong])
  assert.ok(selected.every((rollout) => rollout.length > 0))
  assert.equal(new Set(tree.root.rollouts.filter((r) => r.correct === null).map((r) => r.text)), new Set(['nonsense']))
})

test('an answer that cannot be extracted is unparsed', async () => {
  const { policy } = toy((_, index) => (index === 0 ? ['a', 'who knows'] : ['b', right]))
  const { tree } = await runOmega(problem, { numRollouts: 3 }, { policy })
  assert.equal(tree.root.counts, { correct: 2, total: 2, unparsed: 1, truncated: 0 })
})

test('k doubles while exactly one rollout was correct, and luck does not move the error', async () => {
  // After the error, rollout 0 is right by luck.
  const { policy } = toy((prefix, index) => {
    if (prefix.length === 0) return index === 0 ? ['bad', 'x', 'y', wrong] : ['b', right]
    return prefix.includes('bad') && index > 0 ? [wrong] : [right]
  })
  const adaptive = await runOmega(problem, { numRollouts: 4, maxDoublings: 2, maxSearches: 1, fill: 'none' }, { policy })
  const error = [...walk(adaptive.tree.root)].find(({ node }) => node.firstError)
  assert.equal(error?.prefix, ['bad'])
  assert.equal(error?.node.counts, { correct: 1, total: 16, unparsed: 0, truncated: 0 })
  const reference = await runOmega(problem, { numRollouts: 4, maxDoublings: 0, maxSearches: 1, fill: 'none' }, { policy })
  assert.equal([...walk(reference.tree.root)].find(({ node }) => node.firstError)?.prefix, ['bad', 'x', 'y', wrong])
})

test('the tree depends on the seed alone, whatever the order in which rollouts arrive', async () => {
  for (const sideBySide of [1, 2, 5]) {
    const results: string[] = []
    for (const delays of [0, 1, 2]) {
      const random = seededRandom(`delay ${delays}`)
      const policy = scriptedPolicy(async (request, index) => {
        if (delays > 0) await sleep(random() * 3)
        return simulate(request, index)
      })
      const { events, tree } = await runOmega(simulatedProblem(4), { sideBySide, numRollouts: 4 }, { policy, maxRollouts: 300 })
      results.push(JSON.stringify([tree, events.filter((e) => e.type === 'selected' || e.type === 'finished')]))
    }
    assert.is(new Set(results).size, 1, `sideBySide ${sideBySide}`)
  }
  const other = await runOmega(simulatedProblem(4), { numRollouts: 4 }, { seed: 8, maxRollouts: 300 })
  const same = await runOmega(simulatedProblem(4), { numRollouts: 4 }, { seed: 7, maxRollouts: 300 })
  assert.not.equal(other.tree, same.tree)
})

test('budgets end the search: rollouts, searches, tokens, and nothing left to search', async () => {
  const sim = simulatedProblem(4)
  const byRollouts = await runOmega(sim, { numRollouts: 8 }, { maxRollouts: 200 })
  assert.is(byRollouts.finished.reason, 'rollouts')
  assert.ok(byRollouts.finished.rollouts >= 200 && byRollouts.finished.rollouts < 600, String(byRollouts.finished.rollouts))
  const bySearches = await runOmega(sim, { numRollouts: 8, maxSearches: 3 })
  assert.equal([bySearches.finished.reason, bySearches.finished.searches], ['searches', 3])
  const { policy } = toy(() => ['a', right])
  assert.is((await runOmega(problem, {}, { policy })).finished.reason, 'exhausted')
  const recorded = byRollouts.events.flatMap((e) => (e.type === 'evaluated' ? e.evaluation.rollouts : []))
  assert.is(recorded.length, byRollouts.finished.rollouts)
})

test('a node is durable before its children are asked for', async () => {
  const consumed = new Set<string>()
  const policy = scriptedPolicy((request, index) => {
    // The prefix was found in the rollouts of an evaluation that the consumer has already taken.
    assert.ok(request.prefix.length === 0 || consumed.has('[]'), 'root first')
    return simulate(request, index)
  })
  const context = {
    ...{ problem: simulatedProblem(5), policy, verifier: simulatedVerifier, rng: streamsOf(1, 'x') },
    ...{ budget: { ...UNLIMITED, maxRollouts: 200 }, known: NOTHING_KNOWN },
  }
  for await (const event of omega.run(context, omegaOptions.parse({ numRollouts: 4 }))) {
    await sleep(0)
    if (event.type === 'evaluated') consumed.add(JSON.stringify(event.evaluation.prefix))
  }
  assert.ok(consumed.size > 3)
})

test('known work is replayed without asking the policy', async () => {
  const sim = simulatedProblem(7)
  const whole = await runOmega(sim, { numRollouts: 4, sideBySide: 2 }, { maxRollouts: 200 })
  const evaluations = whole.events.flatMap((e) => (e.type === 'evaluated' ? [e.evaluation] : []))
  const verdicts = whole.events.flatMap((e) => (e.type === 'verdict' ? [e.verdict] : []))
  for (const kept of [0, 1, Math.floor(evaluations.length / 2), evaluations.length]) {
    let asked = 0
    const policy = scriptedPolicy((request, index) => {
      asked++
      return simulate(request, index)
    })
    const known = { evaluations: evaluations.slice(0, kept), verdicts: verdicts.slice(0, kept) }
    const resumed = await runOmega(sim, { numRollouts: 4, sideBySide: 2 }, { maxRollouts: 200, policy, known })
    assert.equal(resumed.tree, whole.tree)
    const replayed = known.evaluations.reduce((n, e) => n + e.rollouts.length, 0)
    assert.is(asked, whole.finished.rollouts - replayed)
  }
})

test('an abort ends the search at once, a failing policy fails it, a short batch is an error', async () => {
  const controller = new AbortController()
  const never = scriptedPolicy(() => new Promise(() => {}))
  never.rollouts = (_, signal) =>
    new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  setTimeout(() => controller.abort(new EngineError('ERR_ENGINE_ABORTED', 'stop')), 5)
  const stopped = await runOmega(problem, {}, { policy: never, signal: controller.signal }).catch((e) => e)
  assert.is(stopped.code, 'ERR_ENGINE_ABORTED')
  const broken = scriptedPolicy(() => {
    throw new Error('out of order')
  })
  assert.match((await runOmega(problem, {}, { policy: broken }).catch((e) => e)).message, 'out of order')
  const short = { ...scriptedPolicy(simulate), rollouts: async () => [[]] }
  const error = await runOmega(problem, {}, { policy: short }).catch((e) => e)
  assert.is(error.code, 'ERR_ENGINE_POLICY')
  assert.match(error.message, 'problem "p": 16 rollouts were asked for, the policy gave 0')
})

test.run()
