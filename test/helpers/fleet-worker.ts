/** A worker of a database's runs with the simulated policy, to be killed, frozen and cut off: URL [DELAY_MS] [NAME] [ROLLOUTS]. */
import { setTimeout as sleep } from 'node:timers/promises'
import { scriptedPolicy } from '../../ts/policy/scripted.ts'
import { runWork } from '../../ts/search/runner.ts'
import { omega, omegaOptions } from '../../ts/search/strategies/omega.ts'
import { PostgresSource } from '../../ts/store/postgres/index.ts'
import { simulate, simulatedVerifier } from './simulated-policy.ts'

const [url, delay = '6', worker, rollouts = '120'] = process.argv.slice(2) as [string, string?, string?, string?]
const policy = scriptedPolicy(async (request, index) => {
  if (Number(delay) > 0) await sleep(Math.random() * Number(delay))
  return simulate(request, index)
})
const options = omegaOptions.parse({ numRollouts: 4, sideBySide: 2 })
const budget = { maxRollouts: Number(rollouts), maxTokens: 1e9 }
const settings = { strategy: omega, options, budget, seed: 7, policy, verifier: simulatedVerifier }
const source = await PostgresSource.open({ url, untilDone: true, ...(worker && { worker }) })
try {
  const { done } = await runWork({ source, settingsOf: () => settings, inFlight: 4 })
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  console.log(JSON.stringify({ done, cpuSeconds: (userCPUTime + systemCPUTime) / 1e6 }))
} finally {
  await source.close()
}
