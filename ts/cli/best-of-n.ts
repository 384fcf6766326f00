/** `mm-prm best-of-n`: problems, a policy and a PRM in, one chosen answer per problem out. */
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import type { Problem } from '../contracts/problem.ts'
import type { CandidateRecord } from '../contracts/records.ts'
import type { RunReader } from '../contracts/run-store.ts'
import { diversity } from '../contracts/similar.ts'
import { aggregate, choiceOf, mean, precisionByRate, type ScoredItem, scoresFor, selectBest } from '../select/index.ts'
import { openRun } from '../store/reader.ts'
import { canonicalAnswers } from '../verify/index.ts'
import { type Command, EXIT, positiveInteger, readOptions, required } from './command.ts'
import {
  CRITIC_OPTIONS,
  criticUsage,
  PRM_ADAPTER_OPTIONS,
  prmAdapterUsage,
  SCORING_OPTIONS,
  scoringUsage,
} from './engine-options.ts'
import { JUDGE_OPTIONS, JUDGE_USAGE, VERIFIER_OPTIONS, VERIFIER_USAGE } from './judge-options.ts'
import { OBSERVE_USAGE, POLICY_OPTIONS, POLICY_USAGE, scorerUsage } from './policy-options.ts'
import { exitCodeOf, type SearchOutcome, searchToEnd } from './search.ts'
import { printSelection, selectionReport } from './select.ts'
import { formatColumns } from './table.ts'

const DEFAULT_N = 16
const DEFAULT_AGGREGATION = 'mean_odds'
const REPORTED = 'mean_odds,mean,min,last,max,product,sum_logprob,sum_logit'

const USAGE = `usage: mm-prm best-of-n --problems FILE --out DIR --model DIR|NAME --prm DIR [options]

Samples N solutions per problem, scores their steps with the PRM and writes the chosen answers to DIR/answers.jsonl:
{"id","answer","index","value","right"} (index: of the chosen candidate; right: by the problem's own answer). Prints
accuracies of every choice with intervals. Everything sampled is kept in DIR; --resume goes on after an interruption.
Exit code ${EXIT.someLinesBad}: some problems were left unfinished.

  --problems FILE          .json, .jsonl, .csv or .parquet
  --out DIR                run directory
  --run DIR|URL            choose among what a run of best-of-n has sampled already (postgres://…#RUN): needs --out alone
${scorerUsage('--prm NAME|PATH', 24)}
${prmAdapterUsage(24)}
${scoringUsage(24)}
${criticUsage(24)}
  -n N                     solutions per problem (default ${DEFAULT_N})
  --aggregate NAME         what chooses (default ${DEFAULT_AGGREGATION}); the table shows all. min-std and the like lower each score by
                           its spread first
  --seed S                 whole number (default 0)
  --resume                 go on with the run that DIR holds
  --skip-bad               leave out problem rows that cannot be read
  --in-flight N            problems at once
${OBSERVE_USAGE}
${VERIFIER_USAGE}
${JUDGE_USAGE}
${POLICY_USAGE}
  --json                   the summary as one JSON object on standard output`

const OPTIONS = {
  ...POLICY_OPTIONS,
  ...JUDGE_OPTIONS,
  ...VERIFIER_OPTIONS,
  observe: { type: 'boolean' },
  problems: { type: 'string' },
  out: { type: 'string' },
  run: { type: 'string' },
  prm: { type: 'string' },
  ...SCORING_OPTIONS,
  ...CRITIC_OPTIONS,
  ...PRM_ADAPTER_OPTIONS,
  n: { type: 'string', short: 'n' },
  aggregate: { type: 'string' },
  seed: { type: 'string' },
  resume: { type: 'boolean' },
  'skip-bad': { type: 'boolean' },
  'in-flight': { type: 'string' },
  json: { type: 'boolean' },
} as const

/** Candidates that are not complete have no scores, and so rank behind all others. */
function toItem(problem: Problem, candidates: readonly CandidateRecord[]): ScoredItem {
  return {
    id: problem.id,
    scores: candidates.map((c) => c.scores ?? []),
    ...(candidates.some((c) => c.std) && { std: candidates.map((c) => c.std ?? null) }),
    labels: candidates.map((c) => (c.correct === true ? 1 : 0)),
    answers: canonicalAnswers(candidates.map((c) => c.answer)),
  }
}

function choose(item: ScoredItem, aggregation: string) {
  const index = selectBest(item, aggregation)[0] as number
  const scores = scoresFor(item, aggregation)[index] as ScoredItem['scores'][number]
  return {
    id: item.id,
    answer: item.answers?.[index] ?? null,
    index,
    value: aggregate(scores, choiceOf(aggregation).aggregation),
    right: item.labels?.[index] === 1,
  }
}

interface Found {
  items: ScoredItem[]
  /** Of the complete solutions of a problem, as a mean over problems with at least two. */
  diversity: number | undefined
}

async function readItems(run: string): Promise<Found> {
  const reader: RunReader = await openRun(run)
  try {
    const items: ScoredItem[] = []
    const spreads: number[] = []
    let unscored = 0
    for await (const { problem, candidates } of reader.candidates()) {
      if (candidates.length > 0) items.push(toItem(problem, candidates))
      const complete = candidates.filter((c) => c.outcome === 'complete')
      spreads.push(...[diversity(complete.map((c) => c.steps.join('\n\n')))].filter((d) => d !== undefined))
      unscored += candidates.filter((c) => c.outcome === 'complete' && !c.scores).length
    }
    if (unscored > 0)
      process.stderr.write(`mm-prm: the PRM could not score ${unscored} complete solutions (too long?); they rank last\n`)
    return { items, diversity: spreads.length > 0 ? mean(spreads) : undefined }
  } finally {
    await reader.close()
  }
}

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values']

async function sample(shared: Omit<Values, 'prm' | 'n' | 'aggregate' | 'run'>, n: string | undefined, prm: string | undefined) {
  const count = positiveInteger(n, 'n') ?? DEFAULT_N
  return searchToEnd({ ...shared, strategy: 'best-of-n', set: [`n=${count}`], scorer: required(prm, 'prm') })
}

function printPrecision(items: readonly ScoredItem[]): void {
  const rows = precisionByRate(items).filter(({ problems }) => problems > 0)
  const shown = rows.map(({ upTo, problems, trusted, precision }) => [
    ...[`up to ${100 * upTo} %`, String(problems), String(trusted)],
    precision === null ? '' : (100 * precision).toFixed(1),
  ])
  process.stdout.write('\ntrusted solutions (each step at least 0.5), by how many of a problem are right\n')
  process.stdout.write(formatColumns([['right', 'problems', 'trusted', 'right of these, %'], ...shown]))
}

/** Candidates that were sampled already, by workers say. */
async function found(run: string): Promise<SearchOutcome> {
  const reader: RunReader = await openRun(run)
  try {
    return { summary: await reader.summary(), bad: 0, interrupted: false, seconds: 0 }
  } finally {
    await reader.close()
  }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const { prm, n, aggregate: asked = DEFAULT_AGGREGATION, run: _, ...shared } = values
  choiceOf(asked)
  const out = required(values.out, 'out')
  const outcome = values.run === undefined ? await sample(shared, n, prm) : await found(values.run)
  if (values.run !== undefined) makeFolder(out)
  const { items, diversity: different } = await readItems(values.run ?? out)
  const answers = items.map((item) => choose(item, asked))
  const temporary = join(out, '.answers.jsonl.tmp')
  await writeFile(temporary, answers.map((a) => `${JSON.stringify(a)}\n`).join(''))
  await rename(temporary, join(out, 'answers.jsonl'))
  const names = [...new Set([asked, ...REPORTED.split(',')])]
  const table = selectionReport(items, names, values.seed ?? '0')
  if (values.json)
    process.stdout.write(
      `${JSON.stringify({ run: out, ...outcome.summary, seconds: outcome.seconds, table, diversity: different ?? null, precision: precisionByRate(items) })}\n`,
    )
  else if (items.length > 0) {
    printSelection(table, items, names)
    printPrecision(items)
    if (different !== undefined) process.stdout.write(`\ndiversity of solutions  ${different.toFixed(3)}\n`)
  }
  return exitCodeOf(outcome)
}

export const command: Command = { usage: USAGE, run }
