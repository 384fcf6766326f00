/** Two evaluations of the same problems, with paired intervals. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { readJsonLines } from '../contracts/json-lines.ts'
import { HEADLINE } from './answer-results.ts'
import { pairedIntervals, sumByUnit } from './paired.ts'
import { type AnswerTaskResults, type EvalResults, resultsSchema } from './results.ts'

/** One line per problem, for comparisons. */
export const PER_PROBLEM = 'problems.jsonl'

export interface Difference {
  readonly task: string
  /** `policy`, or an aggregation of both PRMs. */
  readonly choice: string
  readonly problems: number
  readonly a: number
  readonly b: number
  /** b - a, with its paired 95 % interval. */
  readonly difference: number
  readonly low: number | null
  readonly high: number | null
}

type PerProblem = { id: string; answer: string; unit: string; policy: number; prm: Record<string, number> }

async function readResults(folder: string): Promise<EvalResults> {
  const path = join(folder, 'results.json')
  if (!existsSync(path)) throw invalidArgument(`${folder}: no results.json there; an evaluation writes one`)
  const parsed = resultsSchema.safeParse(JSON.parse(await readFile(path, 'utf8')))
  if (!parsed.success) throw invalidArgument(`${path}: ${parsed.error.issues[0]?.message}`, parsed.error)
  return parsed.data
}

async function readProblems(folder: string, task: string): Promise<Map<string, PerProblem>> {
  const problems = new Map<string, PerProblem>()
  for await (const { value } of readJsonLines(join(folder, task, PER_PROBLEM))) {
    if (value) problems.set(value['id'] as string, value as unknown as PerProblem)
  }
  return problems
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/**
 * On the problems that both have, task by task.
 * @throws EngineError INVALID_ARGUMENT: no results, no task or problem in common, other gradings, or other rows under the same ids
 */
export async function compareRuns(a: string, b: string, seed: string | number = 0): Promise<Difference[]> {
  const [first, second] = [await readResults(a), await readResults(b)]
  const isAnswers = ({ tasks }: EvalResults, name: string) => tasks[name]?.kind === 'answers'
  const shared = Object.keys(first.tasks).filter((name) => isAnswers(first, name) && isAnswers(second, name))
  if (shared.length === 0) throw invalidArgument(`${a} and ${b} have no solution-level task in common`)
  for (const name of shared) {
    const [x, y] = [first, second].map(({ tasks }) => (tasks[name] as AnswerTaskResults).grade)
    if (x !== y) throw invalidArgument(`${name}: ${a} has the verdicts "${x}", ${b} "${y}"; --regrade one of them with --grade`)
  }
  const differences = await Promise.all(shared.map((task) => compareTask(task, a, b, seed)))
  return differences.flat()
}

async function compareTask(task: string, a: string, b: string, seed: string | number): Promise<Difference[]> {
  const [of, others] = [await readProblems(a, task), await readProblems(b, task)]
  const pairs = [...of.values()].flatMap((one) => {
    const other = others.get(one.id)
    return other ? [[one, other] as const] : []
  })
  const other = pairs.find(([x, y]) => x.answer !== y.answer)?.[0].id
  if (other !== undefined) throw invalidArgument(`${a} and ${b} are of other rows: ${task} "${other}" has another answer in each`)
  const [example] = pairs
  if (!example) throw invalidArgument(`${a} and ${b} have no problem of ${task} in common`)
  const choices = ['policy', ...[HEADLINE].filter((name) => example.every(({ prm }) => name in prm))]
  const value = (problem: PerProblem, choice: string) => (choice === 'policy' ? problem.policy : (problem.prm[choice] as number))
  const values = choices.map((choice) => pairs.map(([x, y]) => value(y, choice) - value(x, choice)))
  const intervals = pairedIntervals(
    sumByUnit(
      pairs.map(([x]) => x.unit),
      values,
    ),
    seed,
  )
  return choices.map((choice, i) => ({
    ...{ task, choice, problems: pairs.length },
    a: mean(pairs.map(([x]) => value(x, choice))),
    b: mean(pairs.map(([, y]) => value(y, choice))),
    difference: mean(values[i] as number[]),
    ...(intervals[i] as { low: number | null; high: number | null }),
  }))
}
