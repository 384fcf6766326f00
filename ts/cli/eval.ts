/** `mm-prm eval`: public benchmarks from files on disk. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import { withoutUserinfo } from '../contracts/secrets.ts'
import {
  compareRuns,
  type EvalResults,
  loadAnswerSet,
  loadTask,
  resultsSchema,
  type StepTask,
  scoreItems,
  stepResults,
} from '../eval/index.ts'
import type { OpenedScorer } from '../kit/index.ts'
import { type Command, EXIT, readOptions, required, UsageError } from './command.ts'
import { type AnswerWork, enter, generate, grade, makeGrader, policyName, prepareFolders, score } from './eval-answers.ts'
import { contaminationOf, readTrained } from './eval-contamination.ts'
import { Costs } from './eval-costs.ts'
import { generateThere } from './eval-fleet.ts'
import {
  EVAL_OPTIONS,
  EVAL_USAGE,
  type EvalSettings,
  type EvalValues,
  readPrice,
  readSettings,
  readTasks,
  type Tasks,
} from './eval-options.ts'
import { tablesOf, writeResults, writeWhole } from './eval-report.ts'
import { interruptible, sayStopped } from './interrupt.ts'
import { openJudge } from './judge-options.ts'
import { openPolicy, openScorer } from './policy-options.ts'
import { Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const RUN = 'run.json'

/** What a run was made with; names come from earlier stages. */
interface RunRecord extends EvalSettings {
  policy?: string
  prm?: string
  contamination?: string
}

interface Evaluation {
  readonly out: string
  readonly resume: boolean
  readonly values: EvalValues
  readonly settings: EvalSettings
}

type StepSet = { task: StepTask; loaded: Awaited<ReturnType<typeof loadTask>> }
interface Sets {
  readonly works: readonly AnswerWork[]
  readonly steps: readonly StepSet[]
}

/** Files are read whole before a model opens: what is wrong with them costs no wait. */
async function loadSets({ task, data, limit }: EvalSettings, out: string): Promise<Sets> {
  const tasks = readTasks(task)
  const works: AnswerWork[] = []
  for (const one of tasks.answers) works.push({ set: await loadAnswerSet(one, data, limit), out: join(out, one.name) })
  const steps: StepSet[] = []
  for (const one of tasks.steps) steps.push({ task: one, loaded: await loadTask(one, data, limit) })
  return { works, steps }
}

async function scoreSteps(sets: readonly StepSet[], scorer: OpenedScorer, e: Evaluation, costs: Costs, signal: AbortSignal) {
  const tasks: EvalResults['tasks'] = {}
  for (const { task, loaded } of sets) {
    const progress = new Progress(task.name)
    const onProgress = (done: number, total: number) => progress.update(`${done} of ${total} solutions`, done / total)
    const { out, resume } = e
    tasks[task.name] = await costs.during(task.name, async () => {
      const run = await scoreItems({ items: loaded.items, scorer, out: join(out, task.name), resume, signal, onProgress })
      progress.finish(`${loaded.items.length} solutions`)
      return stepResults(task, loaded, run, { seed: e.settings.seed, recorded: scorer.engine?.stepThreshold() })
    })
  }
  return tasks
}

/** Generates, has it done by the workers of a database, or takes what was generated elsewhere; returns the policy's name. */
async function makeSolutions(works: readonly AnswerWork[], e: Evaluation, costs: Costs, signal: AbortSignal): Promise<string> {
  const { values, settings } = e
  if (values.responses !== undefined) {
    await enter(works[0] as AnswerWork, values.responses, values.steps)
    return 'responses'
  }
  if (values.store !== undefined) return generateThere(works, values, settings, costs, signal)
  await using policy = await openPolicy({ ...values, scorer: values.prm })
  await generate(works, policy, settings, costs, signal)
  return policyName(policy)
}

async function evaluate(sets: Sets, e: Evaluation, signal: AbortSignal): Promise<EvalResults> {
  const { out, values, settings } = e
  const costs = new Costs(out)
  prepareFolders(sets.works, e.resume)
  const policy = sets.works.length > 0 ? await makeSolutions(sets.works, e, costs, signal) : undefined
  let tasks: EvalResults['tasks'] = {}
  let prm: string | undefined
  if (values.prm !== undefined) {
    await using scorer = await openScorer(values.prm, values)
    prm = scorer.name
    await score(sets.works, scorer, settings, costs, signal)
    tasks = await scoreSteps(sets.steps, scorer, e, costs, signal)
  }
  const { contamination } = values
  const record: RunRecord = {
    ...settings,
    ...(policy && { policy }),
    ...(prm && { prm }),
    ...(contamination && { contamination: withoutUserinfo(contamination) }),
  }
  await writeWhole(out, RUN, `${JSON.stringify(record, null, 1)}\n`)
  const graded = await gradeAll(sets.works, e, record, costs, signal)
  return { ...graded, tasks: { ...graded.tasks, ...tasks } }
}

async function gradeAll(works: readonly AnswerWork[], e: Evaluation, run: RunRecord, costs: Costs, signal: AbortSignal) {
  const { values, settings } = e
  await using judge = works.length > 0 ? await openJudge(values) : undefined
  const grader = makeGrader(judge)
  const against = values.contamination ?? run.contamination
  const trained = against === undefined || works.length === 0 ? undefined : await readTrained(against, signal)
  const tasks: EvalResults['tasks'] = {}
  let n = 0
  for (const work of works) {
    const { name } = work.set.task
    const { results, tokens, most } = await grade(work, settings, { grader, scorer: run.prm }, costs, signal)
    const contamination = trained && (await contaminationOf(work.set, trained, signal))
    tasks[name] = { ...results, ...(contamination && { contamination }) }
    costs.tokens(name, tokens, readPrice(values))
    n = Math.max(n, most)
  }
  const names = {
    ...(run.policy && { policy: run.policy }),
    ...(run.prm && { prm: run.prm }),
    ...(judge && { judge: judge.name }),
  }
  return { version: 1, ...names, ...(works.length > 0 && { n }), tasks } satisfies EvalResults
}

/** The settings that a run was made with; options of this call come before them. */
async function regradeSettings(out: string, values: EvalValues): Promise<RunRecord> {
  const path = join(out, RUN)
  if (!existsSync(path))
    throw invalidArgument(`--regrade ${out}: no ${RUN} there; an evaluation writes one once its solutions are made`)
  const record = JSON.parse(await readFile(path, 'utf8')) as RunRecord
  const given = readSettings(values, record.task, values.data ?? record.data)
  return {
    ...record,
    data: given.data,
    ...(values.grade !== undefined && { grade: given.grade }),
    ...(values.n !== undefined && { n: given.n }),
    ...(values.seed !== undefined && { seed: given.seed }),
  }
}

/** What a run says of steps: there is nothing to grade anew. */
async function stepTasksOf(out: string): Promise<EvalResults['tasks']> {
  const path = join(out, 'results.json')
  if (!existsSync(path)) return {}
  const { tasks } = resultsSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  return Object.fromEntries(Object.entries(tasks).filter(([, task]) => task.kind === 'steps'))
}

async function compare(folders: readonly string[], json: boolean | undefined, seed: string | undefined): Promise<number> {
  const [a, b] = folders
  if (a === undefined || b === undefined) throw new UsageError('--compare takes two folders')
  const differences = await compareRuns(a, b, seed ?? '0')
  const percent = (value: number | null) => (value === null ? '–' : (100 * value).toFixed(1))
  const rows = differences.map((d) => [
    ...[d.task, d.choice, String(d.problems), percent(d.a), percent(d.b), percent(d.difference)],
    `${percent(d.low)} to ${percent(d.high)}`,
  ])
  const head = ['task', 'choice', 'problems', 'A in %', 'B in %', 'B - A', '95 % interval']
  process.stdout.write(json ? `${JSON.stringify(differences, null, 1)}\n` : formatColumns([head, ...rows]))
  return EXIT.ok
}

const MAX_SAID = 5

/** Who is missing from the table, and why; all of them stand in `results.json`. */
function sayIncomplete({ tasks }: EvalResults): boolean {
  const said = Object.entries(tasks).flatMap(([name, task]) => {
    const unscored = task.unscored.map(({ id, message }) => `${name}: not scored: "${id}": ${message}`)
    const refused = task.kind === 'answers' ? task.refused.map(({ id, message }) => `${name}: refused: "${id}": ${message}`) : []
    const [all, told] = [[...refused, ...unscored], task.counts.unscored + (task.kind === 'answers' ? task.counts.refused : 0)]
    const more = told > MAX_SAID ? [`${name}: and ${told - MAX_SAID} more`] : []
    return [...all.slice(0, MAX_SAID), ...more]
  })
  for (const line of said) process.stderr.write(`mm-prm: ${line}\n`)
  return said.length > 0
}

function show({ results, json }: Written, asJson: boolean | undefined): number {
  const text = tablesOf(results).map(({ title, rows }) => `${title}\n${formatColumns(rows)}`)
  process.stdout.write(asJson ? json : text.join('\n'))
  return sayIncomplete(results) ? EXIT.someLinesBad : EXIT.ok
}

function checkModels({ answers, steps }: Tasks, values: EvalValues): void {
  if (steps.length > 0) required(values.prm, 'prm')
  if (answers.length > 0 && values.model === undefined && values.responses === undefined)
    throw new UsageError('--model (what writes the solutions) or --responses (solutions made elsewhere) is required')
  if (values.model !== undefined && values.responses !== undefined) throw new UsageError('--responses takes no --model')
  if (values.responses !== undefined && answers.length !== 1)
    throw new UsageError('--responses is of one task with answers: its lines name rows of one set')
}

/** What an evaluation came to, and the text of its `results.json`. */
export interface Written {
  readonly results: EvalResults
  readonly json: string
}

/** All that `mm-prm eval` does but print; undefined where it was stopped. */
export async function evaluateFiles(values: EvalValues): Promise<Written | undefined> {
  const isRegrade = values.regrade !== undefined
  const out = isRegrade ? required(values.regrade, 'regrade') : required(values.out, 'out')
  const settings: RunRecord = isRegrade
    ? await regradeSettings(out, values)
    : readSettings(values, required(values.task, 'task'), resolve(required(values.data, 'data')))
  readPrice(values)
  const evaluation = { out, resume: values.resume ?? false, values, settings }
  if (!isRegrade) checkModels(readTasks(settings.task), values)
  const sets = await loadSets(settings, out)
  makeFolder(out)
  const results = await interruptible<EvalResults>(async (signal) => {
    if (!isRegrade) return evaluate(sets, evaluation, signal)
    const { tasks, ...graded } = await gradeAll(sets.works, evaluation, settings, new Costs(out), signal)
    return { ...graded, tasks: { ...tasks, ...(await stepTasksOf(out)) } }
  })
  return results && { results, json: await writeResults(out, results) }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readOptions(argv, EVAL_OPTIONS, 2)
  if (values.compare) return compare(positionals, values.json, values.seed)
  if (positionals.length > 0) throw new UsageError(`unexpected argument "${positionals[0]}"`)
  const written = await evaluateFiles(values)
  return written ? show(written, values.json) : sayStopped()
}

export const command: Command = { usage: EVAL_USAGE, run }
