/** `mm-prm eval`: public benchmarks from files on disk. */
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import {
  type EvalResults,
  findFolder,
  findTask,
  loadTask,
  resultRows,
  STEP_TASKS,
  type StepTask,
  scoreItems,
  stepResults,
  toCsv,
  toMarkdown,
} from '../eval/index.ts'
import type { OpenedScorer } from '../kit/index.ts'
import { page, tableHtml } from '../report/index.ts'
import { type Command, EXIT, positiveInteger, readOptions, required, UsageError } from './command.ts'
import { ENGINE_OPTIONS, engineUsage, PRM_ADAPTER_OPTIONS, prmAdapterUsage, readEngineOptions } from './engine-options.ts'
import { interruptible, sayStopped } from './interrupt.ts'
import { openScorer } from './policy-options.ts'
import { Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const USAGE = `usage: mm-prm eval --task NAME[,NAME] --data DIR --prm DIR --out DIR [options]

Scores the steps of benchmark solutions and compares them with what is known of each step. Tasks: ${STEP_TASKS.map((t) => t.name).join(', ')}.
Writes results.json, results.md, results.csv and results.html to --out; what costs time, to costs.json. Every solution's
scores are kept as they come; --resume goes on after an interruption. Exit code ${EXIT.someLinesBad}: some solutions could not be scored.

  --task NAMES             one or several, with commas
  --data DIR               the set's folder, or a parent of several
  --prm DIR|URL            process reward model: a checkpoint, or a server (mm-prm serve) that has one
  --api-key-file FILE      for that server
${prmAdapterUsage(24)}
  --scoring NAME           its scoring family (default: what the checkpoint says or shows)
  --out DIR                results
  --limit N                the first N rows of each file; without it a set must be whole
  --seed S                 of the bootstrap (default 0)
  --resume                 go on with what --out holds
${engineUsage(24)}
  --json                   results.json on standard output too`

const OPTIONS = {
  task: { type: 'string' },
  data: { type: 'string' },
  prm: { type: 'string' },
  scoring: { type: 'string' },
  ...PRM_ADAPTER_OPTIONS,
  out: { type: 'string' },
  limit: { type: 'string' },
  seed: { type: 'string' },
  resume: { type: 'boolean' },
  json: { type: 'boolean' },
  'api-key-file': { type: 'string' },
  ...ENGINE_OPTIONS,
} as const

function readTasks(names: string): StepTask[] {
  const tasks = names.split(',').map((name) => findTask(name.trim()))
  if (new Set(tasks).size < tasks.length) throw new UsageError(`--task ${names}: a task is named twice`)
  return tasks
}

/** Appears whole or not at all. */
async function writeWhole(out: string, name: string, text: string): Promise<void> {
  const temporary = join(out, `.${name}.tmp`)
  await writeFile(temporary, text)
  await rename(temporary, join(out, name))
}

async function writeResults(out: string, results: EvalResults, costs: object): Promise<string> {
  const json = `${JSON.stringify(results, null, 1)}\n`
  const rows = resultRows(results)
  const section = { title: 'Steps', note: `scored by ${results.prm}`, html: tableHtml(rows) }
  await writeWhole(out, 'costs.json', `${JSON.stringify(costs, null, 1)}\n`)
  await writeWhole(out, 'results.md', toMarkdown(rows))
  await writeWhole(out, 'results.csv', toCsv(rows))
  await writeWhole(
    out,
    'results.html',
    page('Evaluation', 'Figures in percent; intervals by bootstrap over solutions.', [section]),
  )
  await writeWhole(out, 'results.json', json)
  return json
}

interface Evaluation {
  scorer: OpenedScorer
  out: string
  resume: boolean
  seed: string
}

type Loaded = { task: StepTask; loaded: Awaited<ReturnType<typeof loadTask>> }

async function evaluate(sets: readonly Loaded[], { scorer, out, resume, seed }: Evaluation, signal: AbortSignal) {
  const results: EvalResults = { version: 1, prm: scorer.name, tasks: {} }
  const costs: Record<string, { seconds: number }> = {}
  for (const { task, loaded } of sets) {
    const began = performance.now()
    const progress = new Progress(task.name)
    const onProgress = (done: number, total: number) => progress.update(`${done} of ${total} solutions`, done / total)
    const run = await scoreItems({ items: loaded.items, scorer, out: join(out, task.name), resume, signal, onProgress })
    progress.finish(`${loaded.items.length} solutions`)
    results.tasks[task.name] = stepResults(task, loaded, run, seed)
    costs[task.name] = { seconds: (performance.now() - began) / 1000 }
  }
  return { results, costs }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const tasks = readTasks(required(values.task, 'task'))
  const data = required(values.data, 'data')
  const out = required(values.out, 'out')
  const limit = positiveInteger(values.limit, 'limit')
  const model = required(values.prm, 'prm')
  const { seed = '0', resume = false } = values
  readEngineOptions(values) // a bad option shows before files are read
  // Files are read whole before the model opens: what is wrong with them costs no wait.
  const sets = await Promise.all(
    tasks.map(async (task) => ({
      task,
      loaded: await loadTask(task, findFolder(task.name, Object.keys(task.files), data), limit),
    })),
  )
  makeFolder(out)
  await using scorer = await openScorer(model, values)
  const evaluated = await interruptible((signal) => evaluate(sets, { scorer, out, resume, seed }, signal))
  if (!evaluated) return sayStopped()
  const { results, costs } = evaluated
  const json = await writeResults(out, results, costs)
  process.stdout.write(values.json ? json : formatColumns(resultRows(results)))
  return Object.values(results.tasks).some((task) => task.counts.unscored > 0) ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }
