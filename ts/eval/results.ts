/** `results.json` of an evaluation: the same bytes whenever the same scores are there. */
import { z } from 'zod'
import type { StepRun } from './step-run.ts'
import { aboveThreshold, figuresOf, fromThreshold, type LoadedTask, type StepTask, tuneThreshold } from './step-task.ts'

const percent = z.number().nullable()
const decisionSchema = z.strictObject({
  /** The figure to quote, in percent, with its 95 % bootstrap interval over solutions; null where it has no value. */
  value: percent,
  low: percent,
  high: percent,
  /** Of `tuned`, and on what; of `recorded`, which is the checkpoint's own; the other decisions' names say all. */
  threshold: z.number().optional(),
  tunedOn: z.string().optional(),
  /** The benchmark's own table. */
  figures: z.record(z.string(), z.unknown()),
})

const stepTaskSchema = z.strictObject({
  kind: z.literal('steps'),
  figure: z.string(),
  counts: z.strictObject({ solutions: z.int(), steps: z.int(), unscored: z.int() }),
  /** By how steps were called right: `above 0.5`, `tuned`, `recorded` by the checkpoint, a rule of the benchmark's own. */
  prm: z.record(z.string(), decisionSchema),
  /** What calling every step right, or wrong, gives. */
  floors: z.strictObject({ alwaysRight: percent, alwaysWrong: percent }),
  /** Solutions that could not be scored, and why. */
  unscored: z.array(z.strictObject({ id: z.string(), message: z.string() })),
})

/** A share in [0, 1]; null where it has no value. */
const share = z.number().nullable()
const selectedSchema = z.strictObject({
  /** Undecided solutions count as wrong. */
  accuracy: share,
  /** 95 % bootstrap interval over the task's independent units. */
  low: share,
  high: share,
  /** The upper end of what the accuracy may be, where some solutions are undecided. */
  accuracyIfUndecidedRight: share,
  /** Over the policy's own accuracy, with its paired interval. */
  gain: share,
  gainLow: share,
  gainHigh: share,
})
const categorySchema = z.strictObject({ total: z.int(), policy: z.number(), prm: z.number().optional() })
const blockSchema = z.strictObject({
  policy: selectedSchema.omit({ gain: true, gainLow: true, gainHigh: true }).extend({
    /** By k: at least one of k solutions is right. */
    passAt: z.record(z.string(), share),
    /** Their intervals. */
    passWithin: z.record(z.string(), z.strictObject({ low: share, high: share })),
    majority: selectedSchema,
    oracle: selectedSchema,
    /** Each problem's first solution alone. */
    first: z.strictObject({ right: z.int(), wrong: z.int(), undecided: z.int(), total: z.int() }),
  }),
  /** Null where no scorer was given. */
  prm: z
    .strictObject({
      scorer: z.string(),
      /** The aggregation to quote. */
      headline: z.string(),
      /** Best of n by aggregation. */
      selection: z.record(z.string(), selectedSchema),
      weighted: selectedSchema,
      /** By aggregation and number of solutions. */
      sweep: z.record(z.string(), z.record(z.string(), share)),
    })
    .nullable(),
  /** By dimension and value: problems, and shares right by the policy and by the headline's choice. */
  categories: z.record(z.string(), z.record(z.string(), categorySchema)),
  /** The benchmark's own table, of each problem's first solution. */
  figures: z.record(z.string(), z.unknown()).optional(),
})

const answerTaskSchema = blockSchema.extend({
  kind: z.literal('answers'),
  figure: z.string(),
  /** Whose verdicts these are. */
  grade: z.enum(['ours', 'official']),
  /** What intervals draw. */
  units: z.string(),
  /** The same by the set's official rules, where these are not the main ones. */
  official: blockSchema.optional(),
  counts: z.strictObject({
    ...{ problems: z.int(), solutions: z.int(), refused: z.int(), truncated: z.int(), unparsed: z.int() },
    ...{ withoutAnswer: z.int(), undecided: z.int(), unscored: z.int() },
  }),
  /** Problems that have no solutions, and why; the first hundred. */
  refused: z.array(z.strictObject({ id: z.string(), message: z.string() })),
  unscored: z.array(z.strictObject({ id: z.string(), solution: z.int(), message: z.string() })),
  /** Problems with solutions that no rule or judge could decide. */
  undecided: z.array(z.string()),
  /** Problems that also stand in the training data, by text or picture; `unread`: rows and pictures of that which say nothing. */
  contamination: z
    .strictObject({
      ...{ against: z.string(), byText: z.int(), byPicture: z.int(), problems: z.int(), unread: z.int() },
      /** The first hundred. */
      ids: z.array(z.string()),
    })
    .optional(),
})

export const resultsSchema = z.strictObject({
  version: z.literal(1),
  /** The policy's and the scorer's names, which hold their checkpoints' hashes; absent where there was none. */
  policy: z.string().optional(),
  prm: z.string().optional(),
  judge: z.string().optional(),
  /** Solutions per problem that were graded: as many as were asked for, or as there are. */
  n: z.int().optional(),
  tasks: z.record(z.string(), z.discriminatedUnion('kind', [stepTaskSchema, answerTaskSchema])),
})

export type Selected = z.output<typeof selectedSchema>
export type AnswerBlock = z.output<typeof blockSchema>
export type AnswerTaskResults = z.output<typeof answerTaskSchema>
export type StepTaskResults = z.output<typeof stepTaskSchema>
export type EvalResults = z.output<typeof resultsSchema>

export function stepResults(
  task: StepTask,
  loaded: LoadedTask,
  { scores, unscored }: StepRun,
  { seed, recorded }: { seed: string | number; recorded?: number | undefined },
): StepTaskResults {
  const tuned = tuneThreshold(loaded, scores)
  const decisions = [
    aboveThreshold('above 0.5', 0.5),
    ...(tuned === null ? [] : [aboveThreshold('tuned', tuned)]),
    ...(recorded === undefined ? [] : [fromThreshold('recorded', recorded)]),
    ...loaded.rules,
  ]
  const floor = (isRight: boolean) =>
    loaded.headline(
      loaded.items.map((item) => item.steps.map(() => isRight)),
      [...loaded.items.keys()],
    )
  const prm = decisions.map((decision) => {
    const tunedOn = decision.name === 'tuned' && { tunedOn: loaded.tuningSplit.name }
    const threshold = { tuned, recorded }[decision.name] ?? undefined
    const more = { ...(threshold !== undefined && { threshold }), ...tunedOn }
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
