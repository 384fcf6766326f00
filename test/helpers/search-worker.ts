/** A process that searches simulated problems into a run directory, to be killed: FOLDER NUM_PROBLEMS. */
import { setTimeout as sleep } from 'node:timers/promises'
import { scriptedPolicy } from '../../ts/policy/scripted.ts'
import { runSearch } from '../../ts/search/runner.ts'
import { omega, omegaOptions } from '../../ts/search/strategies/omega.ts'
import { SqliteRunStore } from '../../ts/store/sqlite.ts'
import { runIdentity } from './search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from './simulated-policy.ts'

const [folder, numProblems] = process.argv.slice(2) as [string, string]

/** Rollouts take their time, and not always the same. */
const policy = scriptedPolicy(async (request, index) => {
  await sleep(Math.random() * 6)
  return simulate(request, index)
})
const options = omegaOptions.parse({ numRollouts: 4, sideBySide: 2 })
const budget = { maxRollouts: 120, maxTokens: 1e9 }
const store = SqliteRunStore.open({ folder, identity: runIdentity(policy, { options, budget }), resume: true })
await runSearch({
  ...{ strategy: omega, options, budget, seed: 7, policy, verifier: simulatedVerifier, store, inFlight: 4 },
  problems: Array.from({ length: Number(numProblems) }, (_, i) => simulatedProblem(i)),
})
await store.close()
