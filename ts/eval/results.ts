/** `results.json` of an evaluation: the same bytes whenever the same scores are there. */
import { z } from 'zod'
import type { StepRun } from './step-run.ts'
import { aboveThreshold, figuresOf, type LoadedTask, type StepTask, tuneThreshold } from './step-task.ts'

const percent = z.number().nullable()
const decisionSchema = z.strictObject({
  /** The figure to quote, in percent, with its 95 % bootstrap interval over solutions; null where it has no value. */
  value: percent,
  low: percent,
  high: percent,
  /** The threshold that was tuned, and on what; the other decisions' names say all. */
  threshold: z.number().optional(),
  tunedOn: z.string().optional(),
  /** The benchmark's own table. */
  figures: z.record(z.string(), z.unknown()),
})

const stepTaskSchema = z.strictObject({
  kind: z.literal('steps'),
  figure: z.string(),
  counts: z.strictObject({ solutions: z.int(), steps: z.int(), unscored: z.int() }),
  /** By how steps were called right: `above 0.5`, `tuned`, a rule of the benchmark's own. */
  prm: z.record(z.string(), decisionSchema),
  /** What calling every step right, or wrong, gives. */
  floors: z.strictObject({ alwaysRight: percent, alwaysWrong: percent }),
  /** Solutions that could not be scored, and why. */
  unscored: z.array(z.strictObject({ id: z.string(), message: z.string() })),
})

export const resultsSchema = z.strictObject({
  version: z.literal(1),
  /** The scorer's name, which holds its checkpoint's hash. */
  prm: z.string(),
  tasks: z.record(z.string(), stepTaskSchema),
})

export type StepTaskResults = z.output<typeof stepTaskSchema>
export type EvalResults = z.output<typeof resultsSchema>

export function stepResults(
  task: StepTask,
  loaded: LoadedTask,
  { scores, unscored }: StepRun,
  seed: string | number,
): StepTaskResults {
  const tuned = tuneThreshold(loaded, scores)
  const decisions = [
    aboveThreshold('above 0.5', 0.5),
    ...(tuned === null ? [] : [aboveThreshold('tuned', tuned)]),
    ...loaded.rules,
  ]
  const floor = (isRight: boolean) =>
    loaded.headline(
      loaded.items.map((item) => item.steps.map(() => isRight)),
      [...loaded.items.keys()],
    )
  const prm = decisions.map((decision) => {
    const more = decision.name === 'tuned' ? { threshold: tuned as number, tunedOn: loaded.tuningSplit.name } : {}
    return [decision.name, { ...figuresOf(loaded, scores, decision, seed), ...more }] as const
  })
  return {
    kind: 'steps',
    figure: task.figure,
    counts: {
      solutions: loaded.items.length,
      steps: loaded.items.reduce((sum, item) => sum + item.steps.length, 0),
      unscored: unscored.length,
    },
    prm: Object.fromEntries(prm) as StepTaskResults['prm'],
    floors: { alwaysRight: floor(true), alwaysWrong: floor(false) },
    unscored,
  }
}
