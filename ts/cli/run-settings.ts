/** What a submitted run records of its command line, and what a worker makes of it again. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { ISAS } from '../contracts/isa.ts'
import { rolloutIdentity } from '../contracts/policy.ts'
import type { RunIdentity } from '../contracts/run-store.ts'
import { isCriticName } from '../critics/index.ts'
import { parseName } from '../hub/index.ts'
import type { SearchSettings } from '../search/runner.ts'
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

const PATHS = ['model', 'adapter', 'scorer', 'prm-adapter', 'reference', 'judge-model', 'databases'] as const

type PathName = (typeof PATHS)[number]

/** What is no path: the name of a model on a server, a server itself, a judge on the policy's own model. */
function isElsewhere(name: PathName, value: string, values: RunValues): boolean {
  if (name === 'model') return values.policy === 'openai'
  if (name === 'judge-model') return values['judge-endpoint'] !== undefined
  return name === 'scorer' && (isCriticName(value) || /^https?:/i.test(value))
}

/** The options with `change`d paths. */
function withPaths(values: RunValues, change: (path: string, name: PathName) => string): RunValues {
  const changed = PATHS.flatMap((name) => {
    const given = values[name]
    const one = (path: string) => (isElsewhere(name, path, values) ? path : change(path, name))
    return given === undefined ? [] : [[name, Array.isArray(given) ? given.map(one) : one(given)]]
  })
  return { ...values, ...Object.fromEntries(changed) }
}

/** Paths are whole: a worker may be started in another folder. */
export function runValues(values: SearchValues): RunValues {
  const own = new Set<string>(OF_A_MACHINE)
  const given = Object.entries(values).filter(([key, value]) => !own.has(key) && value !== undefined)
  return withPaths(Object.fromEntries(given) as RunValues, (path) => (existsSync(path) ? resolve(path) : path))
}

export interface OpenedRun extends AsyncDisposable {
  readonly settings: SearchSettings
  /** Of what computes here, such as `avx2`: bits are equal within one. undefined where servers do. */
  readonly deviceClass: string | undefined
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
    const deviceClass = (policy.engine ?? scorer?.engine)?.info().device.class
    return { settings, deviceClass, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

const decisive = (identity: RunIdentity) => ({ ...identity, policy: rolloutIdentity(identity.policy) })

/** The names of models as they are on a processor, which none of its own is added to. */
function withoutClass(identity: RunIdentity, deviceClass: string): RunIdentity {
  return JSON.parse(JSON.stringify(identity).replaceAll(new RegExp(`\\+${deviceClass}(?!\\w)`, 'g'), '')) as RunIdentity
}

/**
 * Another checkpoint, template or sampling would write another run's results. Cards may work on what was submitted from a machine
 * without one; that all of them are of one class is for `checkDevice`.
 * @throws EngineError INVALID_ARGUMENT
 */
export function checkIdentity(run: string, stored: RunIdentity, ours: RunIdentity, deviceClass: string | undefined): void {
  const changedFrom = (identity: RunIdentity) => differences(decisive(stored), decisive(identity))
  const changed = changedFrom(ours)
  if (deviceClass !== undefined && changedFrom(withoutClass(ours, deviceClass)).length === 0) return
  if (changed.length > 0)
    throw invalidArgument(`run ${run}: this worker would search otherwise (the run's → here): ${changed.join('; ')}`)
}

/** A second class of devices would mix the evidence of two trees. @throws EngineError INVALID_ARGUMENT */
export function checkDevice(run: string, theirs: string, ours: string): void {
  if (theirs === ours) return
  const asked = (ISAS as readonly string[]).includes(theirs)
    ? `--isa ${theirs} gives the same bits where the processor has it`
    : `a worker on a card of class ${theirs} goes on with it`
  throw invalidArgument(`run ${run}: it is worked on by ${theirs}, and this machine's ${ours} gives other bits; ${asked}`)
}

/** A folder that the submitting machine had may lie elsewhere here; what a hub has is fetched. */
export function missingFolder(values: RunValues): string | undefined {
  const missing: string[] = []
  withPaths(values, (path, name) => {
    const isOfHub = name !== 'databases' && parseName(path) !== undefined
    if (!existsSync(path) && !isOfHub) missing.push(`--${name} ${path}`)
    return path
  })
  return missing[0]
}
