/** Many problems at once: what fails is left unfinished by name, what is broken ends the run, nothing is mislabelled. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError, policyError, storeError } from '../../../ts/contracts/errors.ts'
import type { SearchEvent } from '../../../ts/contracts/events.ts'
import type { Problem } from '../../../ts/contracts/problem.ts'
import type { RunStore } from '../../../ts/contracts/run-store.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { runSearch, type SearchRun } from '../../../ts/search/runner.ts'
import { omega, omegaOptions } from '../../../ts/search/strategies/omega.ts'
import { NOTHING_KNOWN, UNLIMITED } from '../../helpers/search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'

function memoryStore() {
  const events = new Map<string, SearchEvent[]>()
  const failures = new Map<string, string>()
  const store: RunStore = {
    begin(problem) {
      events.set(problem.id, [])
      return { status: 'running', known: NOTHING_KNOWN }
    },
    async append(id, event) {
      events.get(id)?.push(event)
    },
    async fail(id, reason) {
      failures.set(id, reason)
    },
    async close() {},
  }
  return { store, events, failures }
}

const problems = (n: number) => Array.from({ length: n }, (_, i) => simulatedProblem(i))

function runWith(changes: Partial<SearchRun> & Pick<SearchRun, 'store'>): SearchRun {
  return {
    ...{ problems: problems(12), strategy: omega, options: omegaOptions.parse({ numRollouts: 4 }), seed: 7, inFlight: 3 },
    ...{ budget: { ...UNLIMITED, maxRollouts: 60 }, policy: scriptedPolicy(simulate), verifier: simulatedVerifier },
    ...changes,
  }
}

test('results do not depend on how many problems are in flight', async () => {
  const results: string[] = []
  for (const inFlight of [1, 5, 40]) {
    const { store, events } = memoryStore()
    const progress = await runSearch(runWith({ store, inFlight }))
    assert.is(progress.done, 12)
    const finished = [...events.values()].map((list) => list.at(-1))
    assert.ok(finished.every((event) => event?.type === 'finished'))
    results.push(JSON.stringify(finished))
  }
  assert.is(new Set(results).size, 1)
})

test('no more problems are in flight than asked for', async () => {
  let most = 0
  const running = new Set<string>()
  const policy = scriptedPolicy(async (request, index) => {
    running.add(request.problem.id)
    most = Math.max(most, running.size)
    await new Promise((resolve) => setImmediate(resolve))
    return simulate(request, index)
  })
  const { store } = memoryStore()
  const counting: RunStore = {
    ...store,
    async append(id, event) {
      if (event.type === 'finished') running.delete(id)
    },
  }
  await runSearch(runWith({ store: counting, policy, inFlight: 3 }))
  assert.is(most, 3)
})

test('a judge’s outage leaves its problem unfinished, and labels nothing', async () => {
  const verifier = {
    ...simulatedVerifier,
    verify: async (problem: Problem, answer: string) => {
      if (problem.id === 'sim-5') throw policyError('problem "sim-5": the judge is out')
      return simulatedVerifier.verify(problem, answer)
    },
  }
  const { store, events, failures } = memoryStore()
  const progress = await runSearch(runWith({ store, verifier }))
  assert.equal([progress.done, progress.failed], [11, 1])
  assert.equal([...failures], [['sim-5', 'problem "sim-5": the judge is out']])
  assert.equal(events.get('sim-5'), [])
})

test('a verifier that breaks leaves its problem unfinished; an answer without a verdict is unparsed, not wrong', async () => {
  const verifier = {
    ...simulatedVerifier,
    verify: async (problem: Problem, answer: string) => {
      if (problem.id === 'sim-5') throw new RangeError('Maximum call stack size exceeded')
      if (problem.id === 'sim-6') return { match: false, method: 'undecided' }
      return simulatedVerifier.verify(problem, answer)
    },
  }
  const { store, events, failures } = memoryStore()
  const progress = await runSearch(runWith({ store, verifier }))
  assert.equal([progress.done, progress.failed], [11, 1])
  assert.equal([...failures], [['sim-5', 'problem "sim-5": the verifier failed: Maximum call stack size exceeded']])
  const [root] = (events.get('sim-6') ?? []).flatMap((event) => (event.type === 'evaluated' ? [event.evaluation] : []))
  assert.equal([root?.counts.total, root?.counts.unparsed], [0, root?.rollouts.length])
})

test('when problem after problem fails the run ends, with the reason', async () => {
  let asked = 0
  const policy = scriptedPolicy(() => {
    asked++
    throw policyError('the server is gone')
  })
  const { store, failures } = memoryStore()
  const error = await runSearch(runWith({ store, policy, problems: problems(500) })).catch((e) => e)
  assert.is(error.code, 'ERR_ENGINE_POLICY')
  assert.match(error.message, /1\d problems in a row failed; the last one: the server is gone/)
  assert.ok(failures.size < 20 && asked < 100)
})

test('a store that cannot write, a bug, an abort, and an id used twice each end the run', async () => {
  const { store } = memoryStore()
  const full: RunStore = { ...store, append: () => Promise.reject(storeError('the disk is full')) }
  assert.is((await runSearch(runWith({ store: full })).catch((e) => e)).code, 'ERR_ENGINE_STORE')
  const buggy = scriptedPolicy(() => {
    throw new TypeError('a bug')
  })
  assert.instance(await runSearch(runWith({ store, policy: buggy })).catch((e) => e), TypeError)
  const controller = new AbortController()
  const slow = scriptedPolicy(async (request, index) => {
    await new Promise((resolve) => setTimeout(resolve, 2))
    return simulate(request, index)
  })
  setTimeout(() => controller.abort(), 20)
  const stopped = await runSearch(runWith({ store, policy: slow, signal: controller.signal })).catch((e) => e)
  assert.ok(stopped instanceof EngineError && stopped.code === 'ERR_ENGINE_ABORTED')
  const twice = await runSearch(runWith({ store, problems: [simulatedProblem(1), simulatedProblem(1)], inFlight: 1 })).catch(
    (e) => e,
  )
  assert.match(twice.message, 'problem id "sim-1" occurs twice')
})

test.run()
