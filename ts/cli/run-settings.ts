/** What a submitted run records of its command line, and what a worker makes of it again. */
import { existsSync } from 'node:fs'
import { invalidArgument } from '../contracts/errors.ts'
import { rolloutIdentity } from '../contracts/policy.ts'
import type { RunIdentity } from '../contracts/run-store.ts'
import { isCriticName } from '../critics/index.ts'
import { identityOf, type SearchSettings } from '../search/runner.ts'
import { differences } from '../store/identity.ts'
import { Closing } from './closing.ts'
import { openVerifier } from './judge-options.ts'
import { openPolicy, openScorer } from './policy-options.ts'
import { preparePolicy } from './prepare.ts'
import { readLimits, readStrategy, type SearchValues } from './search.ts'

/** Where things are on a machine, and how busy it is kept, is each machine's own. */
const OF_A_MACHINE = [
  'problems',
  'out',
  'resume',
  'skip-bad',
  'in-flight',
  'json',
  'device',
  'threads',
  'api-key-file',
  'concurrency',
  'rate',
  'timeout',
] as const

export type RunValues = Omit<SearchValues, (typeof OF_A_MACHINE)[number]>

export function runValues(values: SearchValues): RunValues {
  const own = new Set<string>(OF_A_MACHINE)
  return Object.fromEntries(Object.entries(values).filter(([key, value]) => !own.has(key) && value !== undefined)) as RunValues
}

export interface OpenedRun extends AsyncDisposable {
  readonly settings: SearchSettings
  /** Problems at once that keep the policy busy. */
  readonly inFlight: number
}

/** Opens all that a run's problems are worked on with. @throws EngineError, UsageError as the openers of its parts */
export async function openSettings(values: SearchValues): Promise<OpenedRun> {
  const { strategy, options } = readStrategy(values)
  const { seed, budget } = readLimits(values)
  const closing = new Closing()
  const close = () => closing[Symbol.asyncDispose]()
  try {
    const verifier = await openVerifier(values)
    closing.add(verifier.close)
    const policy = await openPolicy(values)
    closing.add(policy.close)
    await preparePolicy(policy)
    const scorer = values.scorer === undefined ? undefined : await openScorer(values.scorer, values, policy)
    if (scorer) closing.add(scorer.close)
    const settings = { strategy, options, budget, seed, policy, verifier, ...(scorer && { scorer }) }
    return { settings, inFlight: policy.inFlight, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

const decisive = (identity: RunIdentity) => ({ ...identity, policy: rolloutIdentity(identity.policy) })

/** Another checkpoint, template or sampling would write another run's results. @throws EngineError INVALID_ARGUMENT */
export function checkIdentity(run: string, stored: RunIdentity, settings: SearchSettings): void {
  const changed = differences(decisive(stored), decisive(identityOf(settings)))
  if (changed.length > 0)
    throw invalidArgument(`run ${run}: this worker would search otherwise (the run's → here): ${changed.join('; ')}`)
}

/** A folder that the submitting machine had may lie elsewhere here. */
export function missingFolder(values: RunValues): string | undefined {
  for (const name of ['model', 'scorer', 'judge-model'] as const) {
    const path = values[name]
    const isName =
      name === 'model' ? values.policy === 'openai' : name === 'judge-model' && values['judge-endpoint'] !== undefined
    if (
      path !== undefined &&
      !isName &&
      !(name === 'scorer' && isCriticName(path)) &&
      !/^https?:/i.test(path) &&
      !existsSync(path)
    )
      return `--${name} ${path}`
  }
  return undefined
}
