/** `mm-prm search`: problems and a policy in, a run directory with a tree or candidates per problem out. */
import { invalidArgument } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'
import type { RunSummary } from '../contracts/run-store.ts'
import { validate } from '../contracts/validate.ts'
import { readProblems } from '../problems/index.ts'
import { findStrategy } from '../search/registry.ts'
import { identityOf, runSearch, type SearchProgress } from '../search/runner.ts'
import { openRun } from '../store/reader.ts'
import { SqliteRunStore } from '../store/sqlite.ts'
import { Closing } from './closing.ts'
import { type Command, EXIT, numberIn, positiveInteger, readOptions, required, UsageError } from './command.ts'
import {
  CRITIC_OPTIONS,
  criticUsage,
  PRM_ADAPTER_OPTIONS,
  prmAdapterUsage,
  SCORING_OPTIONS,
  scoringUsage,
} from './engine-options.ts'
import { interruptible, sayStopped } from './interrupt.ts'
import { JUDGE_OPTIONS, JUDGE_USAGE, openVerifier, VERIFIER_OPTIONS, VERIFIER_USAGE } from './judge-options.ts'
import { FirstNote } from './lines.ts'
import { OBSERVE_USAGE, openPolicy, openScorer, POLICY_OPTIONS, POLICY_USAGE, scorerUsage } from './policy-options.ts'
import { preparePolicy } from './prepare.ts'
import { Progress } from './progress.ts'
import { formatRows } from './table.ts'

const MAX_BAD_ROWS_SHOWN = 10

/** What decides about a run's results. */
export const STRATEGY_USAGE = `  --strategy NAME          omega, best-of-n, beam, siblings, refine (a judge's words go back to the policy) or solutions
                           (neither judged nor scored) (default omega)
  --seed S                 whole number (default 0)
  --rollout-budget N       per problem (default 1000)
  --token-budget N         per problem (default: none)
  --compat mm-prm          omega: the MM-PRM reference, defects included
  --num-rollouts K         omega: per node (default 16)      --max-searches N   (default 200)
  --c-puct C  (0.125)   --alpha A  (0.5)   --beta B  (0.9)   --length-scale L  (2000)
  --set KEY=VALUE          any other option of the strategy, e.g. fill=none, sideBySide=4, n=16, width=4, keep=proportional
${scorerUsage('--scorer NAME|PATH', 24)} (beam needs one)
${prmAdapterUsage(24)}
${scoringUsage(24)}
${criticUsage(24)}
${OBSERVE_USAGE}
${VERIFIER_USAGE}
${JUDGE_USAGE}
${POLICY_USAGE}`

const USAGE = `usage: mm-prm search --problems FILE --out DIR --model DIR|NAME [options]

Searches every problem and keeps what it finds in DIR (run.db, manifest.json). Ctrl-C stops cleanly; --resume goes on
with the same result as an undisturbed run. Exit code ${EXIT.someLinesBad}: some problems were left unfinished.

  --problems FILE          .json, .jsonl, .csv or .parquet
  --out DIR                run directory
  --resume                 go on with the run that DIR holds
  --skip-bad               leave out problem rows that cannot be read (default: they end the command)
  --in-flight N            problems at once (default: what keeps the policy busy)
${STRATEGY_USAGE}
  --json                   the summary as one JSON object on standard output`

export const SEARCH_OPTIONS = {
  ...POLICY_OPTIONS,
  ...JUDGE_OPTIONS,
  ...VERIFIER_OPTIONS,
  observe: { type: 'boolean' },
  problems: { type: 'string' },
  out: { type: 'string' },
  resume: { type: 'boolean' },
  'skip-bad': { type: 'boolean' },
  strategy: { type: 'string' },
  seed: { type: 'string' },
  'in-flight': { type: 'string' },
  'rollout-budget': { type: 'string' },
  'token-budget': { type: 'string' },
  compat: { type: 'string' },
  'num-rollouts': { type: 'string' },
  'max-searches': { type: 'string' },
  'c-puct': { type: 'string' },
  alpha: { type: 'string' },
  beta: { type: 'string' },
  'length-scale': { type: 'string' },
  set: { type: 'string', multiple: true },
  scorer: { type: 'string' },
  ...SCORING_OPTIONS,
  ...CRITIC_OPTIONS,
  ...PRM_ADAPTER_OPTIONS,
  json: { type: 'boolean' },
} as const

/** Flags that are options of the strategy under a name of their own. */
const STRATEGY_FLAGS = {
  compat: 'compat',
  'num-rollouts': 'numRollouts',
  'max-searches': 'maxSearches',
  'c-puct': 'cPuct',
  alpha: 'alpha',
  beta: 'beta',
  'length-scale': 'lengthScale',
} as const

export type SearchValues = ReturnType<typeof readOptions<typeof SEARCH_OPTIONS>>['values']

function plainValue(text: string): unknown {
  const number = Number(text)
  if (text.trim() !== '' && Number.isFinite(number)) return number
  return text === 'true' || text === 'false' ? text === 'true' : text
}

export function readStrategy(values: SearchValues) {
  const strategy = findStrategy(values.strategy ?? 'omega')
  const given: Record<string, unknown> = {}
  for (const [flag, key] of Object.entries(STRATEGY_FLAGS)) {
    const text = values[flag as keyof typeof STRATEGY_FLAGS]
    if (text !== undefined) given[key] = plainValue(text)
  }
  for (const pair of values.set ?? []) {
    const at = pair.indexOf('=')
    if (at < 1) throw new UsageError(`--set takes KEY=VALUE, got "${pair}"`)
    given[pair.slice(0, at)] = plainValue(pair.slice(at + 1))
  }
  if (strategy.needsScorer && values.scorer === undefined) throw new UsageError(`--strategy ${strategy.name} needs --scorer DIR`)
  return { strategy, options: validate(strategy.options, given, `strategy ${strategy.name}`) }
}

/** The run's seed, and its limits for each problem. */
export function readLimits(values: SearchValues) {
  return {
    seed: numberIn(values.seed, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true }) ?? 0,
    budget: {
      maxRollouts: positiveInteger(values['rollout-budget'], 'rollout-budget') ?? 1000,
      maxTokens: positiveInteger(values['token-budget'], 'token-budget') ?? Number.MAX_SAFE_INTEGER,
    },
  }
}

/** Reads the whole file once before any work: a bad row in its middle must not end a run of hours. */
export async function checkProblems(path: string, skipBad: boolean): Promise<{ total: number; bad: number }> {
  const reasons: string[] = []
  let total = 0
  let bad = 0
  const once = new FirstNote(path)
  for await (const row of readProblems(path)) {
    total++
    once.tell(row)
    if (!('error' in row)) continue
    if (++bad <= MAX_BAD_ROWS_SHOWN) reasons.push(`row ${row.row}${row.id === null ? '' : ` ("${row.id}")`}: ${row.error}`)
  }
  if (bad > 0 && !skipBad) {
    const more = bad > reasons.length ? `; and ${bad - reasons.length} more` : ''
    throw invalidArgument(
      `${path}: ${bad} of ${total} rows cannot be read: ${reasons.join('; ')}${more}. --skip-bad leaves them out`,
    )
  }
  if (total === bad) throw invalidArgument(`${path}: no problem in it`)
  return { total: total - bad, bad }
}

export async function* goodProblems(path: string): AsyncGenerator<Problem> {
  for await (const row of readProblems(path)) if ('problem' in row) yield row.problem
}

function showProgress(total: number): { update: (p: Readonly<SearchProgress>) => void; finish: (text: string) => void } {
  const progress = new Progress('searching')
  const start = performance.now()
  return {
    update({ done, skipped, failed, rollouts }) {
      const perSecond = rollouts / Math.max(0.001, (performance.now() - start) / 1000)
      const text = `${done + skipped + failed}/${total} problems, ${rollouts} rollouts, ${perSecond.toFixed(1)}/s`
      progress.update(text, (done + failed) / Math.max(1, total - skipped))
    },
    finish: (text) => progress.finish(text),
  }
}

function report(summary: RunSummary & { bad: number; seconds: number; interrupted: boolean }, out: string, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ run: out, ...summary })}\n`)
    return
  }
  const { failures, ...rest } = summary
  process.stdout.write(formatRows({ run: out, ...rest, seconds: Math.round(rest.seconds) }))
  for (const { id, reason } of failures) process.stdout.write(`unfinished  ${id}: ${reason}\n`)
}

/** Resolves to what the run came to; an abort is an outcome here, not an error. */
async function search(values: SearchValues, signal: AbortSignal, closing: Closing): Promise<{ bad: number }> {
  const { strategy, options } = readStrategy(values)
  const file = required(values.problems, 'problems')
  const out = required(values.out, 'out')
  const { seed, budget } = readLimits(values)
  const askedInFlight = positiveInteger(values['in-flight'], 'in-flight')
  const { total, bad } = await checkProblems(file, values['skip-bad'] ?? false)
  const verifier = await openVerifier(values)
  closing.add(verifier.close)
  const policy = await openPolicy(values)
  closing.add(policy.close)
  await preparePolicy(policy, signal) // before the run is made: what it finds may be a reason for other options
  const scorer = values.scorer === undefined ? undefined : await openScorer(values.scorer, values, policy)
  if (scorer) closing.add(scorer.close)
  const settings = { strategy, options, budget, seed, policy, verifier, ...(scorer && { scorer }) }
  const store = SqliteRunStore.open({ folder: out, identity: identityOf(settings), resume: values.resume ?? false })
  closing.add(() => store.close())
  const progress = showProgress(total)
  const { done, skipped, failed } = await runSearch({
    ...settings,
    ...{ problems: goodProblems(file), store, signal },
    inFlight: askedInFlight ?? policy.inFlight,
    onProgress: progress.update,
  })
  progress.finish(`${done + skipped} of ${total} problems${failed > 0 ? `, ${failed} unfinished` : ''}`)
  return { bad }
}

export interface SearchOutcome {
  summary: RunSummary
  /** Problem rows that could not be read and were left out. */
  bad: number
  /** Ended by Ctrl-C; --resume goes on. */
  interrupted: boolean
  seconds: number
}

/** The whole of a search with its signals handled; the run is closed when this resolves. */
export async function searchToEnd(values: SearchValues): Promise<SearchOutcome> {
  const start = performance.now()
  const outcome = await interruptible(async (signal) => {
    await using closing = new Closing()
    return await search(values, signal, closing)
  })
  const reader = openRun(required(values.out, 'out'))
  const summary = reader.summary()
  reader.close()
  return { summary, bad: outcome?.bad ?? 0, interrupted: outcome === undefined, seconds: (performance.now() - start) / 1000 }
}

/** Says on standard error when a run was stopped. */
export function exitCodeOf({ summary, bad, interrupted }: SearchOutcome): number {
  if (interrupted) return sayStopped()
  return bad > 0 || summary.problems.failed > 0 ? EXIT.someLinesBad : EXIT.ok
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, SEARCH_OPTIONS)
  const { summary, ...state } = await searchToEnd(values)
  report({ ...summary, ...state }, required(values.out, 'out'), values.json ?? false)
  return exitCodeOf({ summary, ...state })
}

export const command: Command = { usage: USAGE, run }
