/** Options of `mm-prm eval`, and what they say together. */
import { ANSWER_TASKS, type AnswerTask, findTask, isAnswerTask, STEP_TASKS, type StepTask } from '../eval/index.ts'
import { EXIT, numberIn, oneOf, positiveInteger, UsageError } from './command.ts'
import {
  CRITIC_OPTIONS,
  criticUsage,
  PRM_ADAPTER_OPTIONS,
  prmAdapterUsage,
  SCORING_OPTIONS,
  scoringUsage,
} from './engine-options.ts'
import { JUDGE_OPTIONS, JUDGE_USAGE } from './judge-options.ts'
import { POLICY_OPTIONS, POLICY_USAGE, scorerUsage } from './policy-options.ts'

export const DEFAULT_N = 16

export const EVAL_USAGE = `usage: mm-prm eval --task NAME[,NAME] --data DIR --out DIR [--model DIR|NAME | --responses FILE] [--prm DIR] [options]
       mm-prm eval --regrade DIR [--judge-model …]
       mm-prm eval --compare DIR DIR

Samples solutions of benchmark problems, scores their steps, grades their answers, and writes the table to --out:
results.json, results.md, results.csv and results.html; what costs time and money, to costs.json. Tasks with answers:
${ANSWER_TASKS.map((t) => t.name).join(', ')}.
With steps that are known to be right or wrong (these need --prm alone): ${STEP_TASKS.map((t) => t.name).join(', ')}.
Everything is kept as it comes; --resume goes on after an interruption, and with another --prm or a smaller -n needs no new
samples. Exit code ${EXIT.someLinesBad}: some problems were refused, or some solutions could not be scored.

  --task NAMES             one or several, with commas
  --data DIR               the set's folder, or a parent of several
${scorerUsage('--prm NAME|PATH', 24)}
${prmAdapterUsage(24)}
${scoringUsage(24)}
${criticUsage(24)}
  --out DIR                results
  -n N                     solutions per problem (default ${DEFAULT_N})
  --store URL              postgres://…: solutions are made by its workers (mm-prm worker), the same as they would be here
  --responses FILE         grade generations of one task made elsewhere: JSON lines {"row" (from 0) or "id", "responses":
                           [text, …]}; where they have no tags, --steps tells their steps apart
  --grade NAME             official, ours, or both (default both): rules of the set's authors, or our own
  --limit N                the first N rows; without it a set must be whole
  --contamination PATH     what a model was trained on: problems, a training set, or a search run (its folder, its run.db or
                           postgres://…#RUN); problems that a set shares with it, by text or picture, are counted
  --price P                money for a million generated tokens, for costs.json
  --seed S                 of sampling and intervals: a whole number (default 0)
  --resume                 go on with what --out holds; begin where it holds nothing
  --regrade DIR            grade what DIR holds anew, without a model
  --compare DIR DIR        differences of two evaluations, with paired intervals
${JUDGE_USAGE}
${POLICY_USAGE}
  --json                   results.json on standard output too`

export const EVAL_OPTIONS = {
  ...POLICY_OPTIONS,
  ...JUDGE_OPTIONS,
  task: { type: 'string' },
  data: { type: 'string' },
  prm: { type: 'string' },
  ...SCORING_OPTIONS,
  ...CRITIC_OPTIONS,
  ...PRM_ADAPTER_OPTIONS,
  out: { type: 'string' },
  n: { type: 'string', short: 'n' },
  store: { type: 'string' },
  responses: { type: 'string' },
  grade: { type: 'string' },
  limit: { type: 'string' },
  contamination: { type: 'string' },
  price: { type: 'string' },
  seed: { type: 'string' },
  resume: { type: 'boolean' },
  regrade: { type: 'string' },
  compare: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

type Name = keyof typeof EVAL_OPTIONS
type ValueOf<O> = O extends { multiple: true } ? string[] : O extends { type: 'boolean' } ? boolean : string
export type EvalValues = { [K in Name]?: ValueOf<(typeof EVAL_OPTIONS)[K]> | undefined }

export interface Tasks {
  readonly answers: readonly AnswerTask[]
  readonly steps: readonly StepTask[]
}

export function readTasks(names: string): Tasks {
  const tasks = names.split(',').map((name) => findTask(name.trim()))
  if (new Set(tasks).size < tasks.length) throw new UsageError(`--task ${names}: a task is named twice`)
  return { answers: tasks.filter(isAnswerTask), steps: tasks.filter((task) => !isAnswerTask(task)) as StepTask[] }
}

/** What decides about figures and not about models; kept in `run.json`, so that a run can be graded anew. */
export interface EvalSettings {
  readonly task: string
  readonly data: string
  readonly limit: number | undefined
  readonly n: number
  readonly seed: number
  readonly grade: 'official' | 'ours' | 'both'
}

export function readSettings(values: EvalValues, task: string, data: string): EvalSettings {
  return {
    ...{ task, data },
    seed: numberIn(values.seed, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true }) ?? 0,
    limit: positiveInteger(values.limit, 'limit'),
    n: positiveInteger(values.n, 'n') ?? DEFAULT_N,
    grade: oneOf(values.grade, 'grade', ['official', 'ours', 'both']) ?? 'both',
  }
}

export const readPrice = (values: EvalValues) => numberIn(values.price, 'price', { min: 0 })
