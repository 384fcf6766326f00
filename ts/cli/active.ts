/** `mm-prm active`: what an ensemble does not know of its solutions, labelled by a judge. */
import { rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { DecisionFile } from '../contracts/decisions.ts'
import type { Problem } from '../contracts/problem.ts'
import type { CandidateRecord } from '../contracts/records.ts'
import type { RunReader } from '../contracts/run-store.ts'
import type { FirstError } from '../contracts/verifier.ts'
import { type ActiveOptions, activeSamples, noActiveCounts } from '../dataset/active.ts'
import { stepsRow } from '../dataset/formats/steps.ts'
import type { OpenedScorer } from '../kit/index.ts'
import { openRun } from '../store/reader.ts'
import { firstErrorJudge, rememberingJudge } from '../verify/index.ts'
import { Closing } from './closing.ts'
import { type Command, EXIT, numberIn, positiveInteger, readOptions, required } from './command.ts'
import {
  CRITIC_OPTIONS,
  criticUsage,
  ENGINE_OPTIONS,
  engineUsage,
  PRM_ADAPTER_OPTIONS,
  prmAdapterUsage,
  SCORING_OPTIONS,
  scoringUsage,
} from './engine-options.ts'
import { interruptible, sayStopped } from './interrupt.ts'
import { JUDGE_OPTIONS, openJudge } from './judge-options.ts'
import { LineFile } from './lines.ts'
import { openScorer } from './policy-options.ts'
import { Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const USAGE = `usage: mm-prm active --run DIR --output FILE.jsonl --judge-model DIR|NAME [options]

Takes the solutions of a run (mm-prm search --strategy best-of-n) whose scorer tells how sure it is: an ensemble, or a judge in
words asked several times. A solution is known where each step up to the first that scores below --threshold has a spread of at
most --max-std and a score of at least --sure, or at most 1 less that. Known ones are dropped; of the others the judge names the
first wrong step, and they are written for mm-prm train --task prm: 1 before it, 0 there, null behind it.

  --run DIR|URL            whose solutions; postgres://…#RUN
  --output FILE.jsonl      training rows
  --budget N               solutions that the judge is asked about, at most (default 1000)
  --max-std X  (0.01)   --sure X  (0.9)   --threshold X  (0.5)
  --prm DIR|URL            scores the solutions anew, as the next round's ensemble does (default: the run's own scores)
${prmAdapterUsage(24)}
${scoringUsage(24)}
${criticUsage(24)}
  --judge-model DIR|NAME   a checkpoint folder, or a model's name on
  --judge-endpoint URL     an OpenAI-compatible server, up to and including /v1
  --judge-max-tokens N     tokens of its reply, with what it reasons first (default 4096)
  --api-key-file FILE      for that server
  --resume                 go on with what was stopped, without asking the judge anything twice
${engineUsage(24)}
  --json                   what was done, as one object`

const OPTIONS = {
  ...JUDGE_OPTIONS,
  ...ENGINE_OPTIONS,
  ...SCORING_OPTIONS,
  ...CRITIC_OPTIONS,
  ...PRM_ADAPTER_OPTIONS,
  'api-key-file': { type: 'string' },
  run: { type: 'string' },
  output: { type: 'string' },
  prm: { type: 'string' },
  budget: { type: 'string' },
  'max-std': { type: 'string' },
  sure: { type: 'string' },
  threshold: { type: 'string' },
  resume: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values']

function readActive(values: Values): ActiveOptions {
  const given = {
    budget: positiveInteger(values.budget, 'budget'),
    maxStd: numberIn(values['max-std'], 'max-std', { min: 0 }),
    sure: numberIn(values.sure, 'sure', { min: 0.5, max: 1 }),
    threshold: numberIn(values.threshold, 'threshold', { min: 0, max: 1 }),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** Candidates with the scores of another scorer than the run's. */
async function* scoredAnew(reader: RunReader, scorer: OpenedScorer, signal: AbortSignal) {
  for await (const { problem, candidates } of reader.candidates()) {
    const complete = candidates.filter((c) => c.outcome === 'complete')
    const scored = await scorer.score({ problem, solutions: complete.map((c) => c.steps) }, signal)
    yield { problem, candidates: complete.map((c, i) => rescored(c, scored[i])) }
  }
}

function rescored(
  { scores: _, logits: __, std: ___, ...rest }: CandidateRecord,
  scored?: Awaited<ReturnType<OpenedScorer['score']>>[number],
): CandidateRecord {
  if (!scored || scored.error !== undefined) return rest
  return { ...rest, scores: scored.scores, ...(scored.std && { std: scored.std }) }
}

async function select(values: Values, reader: RunReader, closing: Closing, signal: AbortSignal) {
  const output = resolve(required(values.output, 'output'))
  required(values['judge-model'], 'judge-model')
  const options = readActive(values)
  const scorer = values.prm === undefined ? undefined : await openScorer(values.prm, values)
  if (scorer) closing.add(scorer.close)
  const judge = await openJudge(values)
  if (!judge) throw new Error('unreachable: the judge is required')
  closing.add(judge.close)
  const settings = { run: reader.runId, ...options, scorer: scorer?.name ?? reader.identity.scorer, judge: judge.name }
  const decisions = new DecisionFile<FirstError>(`${output}.judged.jsonl`, settings, values.resume ?? false)
  closing.add(() => rm(`${output}.part`, { force: true }))
  await using file = await LineFile.open(`${output}.part`, 'w')
  const counts = noActiveCounts()
  const progress = new Progress('active')
  const candidates: AsyncIterable<{ problem: Problem; candidates: CandidateRecord[] }> = scorer
    ? scoredAnew(reader, scorer, signal)
    : reader.candidates()
  const sources = { candidates, judge: rememberingJudge(firstErrorJudge(judge.ask), decisions), counts, signal }
  let written = 0
  for await (const sample of activeSamples(sources, options)) {
    await file.write(JSON.stringify(stepsRow(sample)))
    written++
    progress.update(`${counts.seen} solutions, ${counts.known} known, ${counts.asked} judged`)
  }
  await file.close()
  await rename(`${output}.part`, output)
  decisions.remove()
  progress.finish(`${written} of ${counts.seen} solutions`)
  return { ...counts, written }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  readActive(values) // a bad option shows before anything is opened
  const reader: RunReader = await openRun(required(values.run, 'run'))
  const result = await interruptible(async (signal) => {
    await using closing = new Closing()
    closing.add(async () => reader.close())
    return await select(values, reader, closing, signal)
  })
  if (!result) return sayStopped()
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else process.stdout.write(formatColumns(Object.entries(result).map(([name, value]) => [name, String(value)])))
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }
