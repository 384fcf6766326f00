/**
 * What the search itself costs per rollout, whatever the policy: microseconds over the growth of a tree, memory over
 * a thousand problems, and the reference's rule (full re-scoring after each search) in the same run.
 *
 *   node --import tsx bench/search/overhead.bench.ts [--problems N] [--deep N]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { NOTHING_KNOWN, runIdentity, UNLIMITED } from '../../test/helpers/search.ts'
import { isWrongStep, simulatedVerifier } from '../../test/helpers/simulated-policy.ts'
import type { Rollout, RolloutRequest } from '../../ts/contracts/policy.ts'
import type { Problem } from '../../ts/contracts/problem.ts'
import { streamsOf } from '../../ts/contracts/streams.ts'
import { scriptedPolicy } from '../../ts/policy/scripted.ts'
import { runSearch } from '../../ts/search/runner.ts'
import { type OmegaOptions, omega, omegaOptions } from '../../ts/search/strategies/omega.ts'
import { SqliteRunStore } from '../../ts/store/sqlite.ts'
import { type Measurement, quantile, writeResults } from '../results.ts'

const { values } = parseArgs({
  options: { problems: { type: 'string', default: '1000' }, deep: { type: 'string', default: '50000' } },
})
const NUM_PROBLEMS = Number(values.problems)
const DEEP_ROLLOUTS = Number(values.deep)
const ROLLOUTS = 1000
const BINS = 10
/** The reference's rule is run on so many of the problems: its cost grows with the square of the tree. */
const NUM_COMPAT = Math.max(1, NUM_PROBLEMS / 20)

const STEPS = Array.from(
  { length: 4096 },
  (_, i) =>
    `Step: the angle at point ${i} equals half of the sum of the two sides, which gives ${i * 7}${i % 5 === 0 ? ' (!)' : ''}`,
)

/** A cheap policy: eight steps from a fixed stock, one in five of them wrong, which shows in the answer. */
function write({ problem, prefix, seed }: RolloutRequest, index: number): Rollout {
  let state = (seed ^ (index * 0x9e3779b1)) >>> 0
  const draw = () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return state
  }
  const steps: string[] = []
  let wrong = prefix.some(isWrongStep)
  for (let i = prefix.length; i < 7; i++) {
    const step = STEPS[draw() % STEPS.length] as string
    wrong ||= isWrongStep(step)
    steps.push(step)
  }
  steps.push(`The final answer is ${wrong ? 1 + (draw() % 50) : problem.answer}`)
  return { outcome: 'complete', steps, text: '' }
}

const policy = scriptedPolicy(write)
/** WHY processor time: others' load on the machine does not count as ours. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** What the policy alone costs per rollout; taken off what a search costs. */
async function policyCost(): Promise<number> {
  const numNodes = 4000
  const start = cpuUs()
  for (let i = 0; i < numNodes; i++) await policy.rollouts([{ problem: problem(i), prefix: [], seed: i, from: 0, count: 16 }])
  return (cpuUs() - start) / (numNodes * 16)
}

const problem = (i: number): Problem => ({ id: `p${i}`, question: `question ${i}`, answer: String(100 + i) })

/** Adds processor time per rollout to the bin of the tree's size at that time. */
async function searchOne(p: Problem, options: OmegaOptions, maxRollouts: number, bins: { us: number; rollouts: number }[]) {
  const budget = { ...UNLIMITED, maxRollouts }
  const context = { problem: p, policy, verifier: simulatedVerifier, rng: streamsOf(1, p.id), budget, known: NOTHING_KNOWN }
  let rollouts = 0
  let since = cpuUs()
  for await (const event of omega.run(context, options)) {
    if (event.type !== 'evaluated' && event.type !== 'finished') continue
    const now = cpuUs()
    const bin = bins[Math.min(bins.length - 1, Math.floor((rollouts / maxRollouts) * bins.length))] as (typeof bins)[0]
    bin.us += now - since
    since = now
    if (event.type === 'finished') continue
    bin.rollouts += event.evaluation.rollouts.length
    rollouts += event.evaluation.rollouts.length
  }
  return rollouts
}

async function curve(label: string, options: OmegaOptions, numProblems: number, maxRollouts: number) {
  const bins = Array.from({ length: BINS }, () => ({ us: 0, rollouts: 0 }))
  const rss: number[] = []
  let rollouts = 0
  for (let i = 0; i < numProblems; i++) {
    rollouts += await searchOne(problem(i), options, maxRollouts, bins)
    if ((i + 1) % Math.max(1, Math.floor(numProblems / 10)) === 0) rss.push(process.memoryUsage().rss / 2 ** 20)
  }
  const us = bins.map((bin) => bin.us / Math.max(1, bin.rollouts) - policyUs)
  console.log(`${label}: ${rollouts} rollouts, ${numProblems} problems of ${maxRollouts}`)
  console.log(`  µs per rollout by tenth of the tree: ${us.map((x) => x.toFixed(1)).join(' ')}`)
  console.log(`  resident MiB by tenth of the problems: ${rss.map((x) => x.toFixed(0)).join(' ')}`)
  const total = bins.reduce((sum, bin) => sum + bin.us, 0) / rollouts - policyUs
  return { us, rss, total }
}

async function withStore(numProblems: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-bench-'))
  const budget = { ...UNLIMITED, maxRollouts: ROLLOUTS }
  const options = omegaOptions.parse({})
  const store = SqliteRunStore.open({ folder, identity: runIdentity(policy, { options, budget }), resume: false })
  const start = cpuUs()
  const problems = Array.from({ length: numProblems }, (_, i) => problem(i))
  const { rollouts } = await runSearch({
    problems,
    strategy: omega,
    options,
    budget,
    seed: 1,
    policy,
    verifier: simulatedVerifier,
    store,
    inFlight: 64,
  })
  await store.close()
  const us = (cpuUs() - start) / rollouts - policyUs
  rmSync(folder, { recursive: true })
  console.log(`with the store on the disk, 64 problems in flight: ${us.toFixed(1)} µs per rollout`)
  return us
}

let policyUs = await policyCost()
policyUs = await policyCost()
console.log(`policy: ${policyUs.toFixed(2)} µs per rollout, taken off below`)
const plain = omegaOptions.parse({ maxSearches: 1e6 })
const compat = omegaOptions.parse({ compat: 'mm-prm', maxSearches: 1e6 })
await curve('warm-up', plain, 10, ROLLOUTS)
const ours = await curve('default', plain, NUM_PROBLEMS, ROLLOUTS)
const reference = await curve('full re-scoring (compat)', compat, NUM_COMPAT, ROLLOUTS)
const deep = await curve('default, one large tree', plain, 1, DEEP_ROLLOUTS)
const deepReference = await curve('full re-scoring, one large tree', compat, 1, DEEP_ROLLOUTS)
const stored = await withStore(Math.max(1, NUM_PROBLEMS / 10))

const last = (list: readonly number[]) => list.at(-1) as number
const measure = (name: string, list: readonly number[], more: Pick<Measurement, 'headline' | 'faster'> = {}): Measurement => {
  return { name, unit: 'µs/rollout', median: quantile(list, 0.5), p95: quantile(list, 0.95), samples: list.length, ...more }
}
writeResults(
  'search-overhead',
  {
    ...{
      problems: NUM_PROBLEMS,
      rolloutsPerProblem: ROLLOUTS,
      deepRollouts: DEEP_ROLLOUTS,
      rolloutsPerNode: 16,
      compatProblems: NUM_COMPAT,
    },
    curves: { default: ours.us, fullRescoring: reference.us, defaultDeep: deep.us, fullRescoringDeep: deepReference.us },
    residentMiB: ours.rss,
  },
  [
    measure('search overhead per rollout, 1,000 rollouts per problem', ours.us, {
      headline: true,
      faster: { 'full re-scoring': reference.total / ours.total },
    }),
    measure('search overhead per rollout at the end of a large tree', [last(deep.us)], {
      faster: { 'full re-scoring': last(deepReference.us) / last(deep.us) },
    }),
    measure('search with the store on the disk', [stored]),
  ],
)
