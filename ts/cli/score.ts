/** `mm-prm score`: step scores for every line of a JSONL file, in input order. */
import { invalidArgument } from '../contracts/errors.ts'
import { readRollout } from '../contracts/read-rollout.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import { defaultSplitter, type StepSplitter, stepSplitter } from '../contracts/step-splitter.ts'
import { verdictFields } from '../contracts/verdict.ts'
import type { Engine } from '../engine/engine.ts'
import { openScorer } from '../kit/index.ts'
import { type Command, EXIT, numberIn, readOptions, UsageError } from './command.ts'
import {
  CRITIC_OPTIONS,
  criticUsage,
  type Judging,
  readCritic,
  readScoring,
  SCORING_OPTIONS,
  scoringUsage,
} from './engine-options.ts'
import { isStringList, MODEL_OPTIONS, MODEL_USAGE, readModelJob, readQuestionLine, runModelJob } from './model-job.ts'

const USAGE = `usage: mm-prm score --model DIR --input FILE.jsonl [options]

Each input line is {"id", "question", "steps": [...]}, {"id", "question", "solutions": [[...], ...]} or {"id", "question",
"solution": TEXT}, and may have an "image" or "images": [...]; each output line {"id", "scores"}, in input order: one score per
step. A text is cut into steps, which stand beside the scores: {"id", "steps", "scores"}. A solution without steps has [], and
one that cannot be scored (a blank step, too long) null, with "errors": [{"candidate", "code", "message"}] beside "scores". Where it
is known which scores are those of wrong steps, "drop" (how far each score falls below the one before), "flagged" and "threshold" stand
beside them. A bad
line becomes {"id", "error": {"code", "message", "line"}} in its place. The exit code is ${EXIT.someLinesBad} where there was an error.
An image is a data URI or a path relative to the input file; several stand at the marks <image> of the question, one each, or
before it.

${MODEL_USAGE}
  --threshold X            steps that score less are flagged (default: what the checkpoint records, if it does)
  --steps NAME             how a text is cut: tags <step> where it has them, else blank-line (default), line, step-n, heading, cte or
                           regex:PATTERN, with /K behind it for at most K steps
${scoringUsage(24)}
${criticUsage(24)}`

const OWN_OPTIONS = { steps: { type: 'string' }, threshold: { type: 'string' } } as const
const KEYS = ['id', 'question', 'image', 'images', 'steps', 'solution', 'solutions']
/** Lines worked on at once: the engine runs one while the next ones' images are decoded. */
const IN_FLIGHT = 4

type ScoreLine = (engine: Engine, value: Record<string, unknown>, folder: string) => Promise<object>

const scoreWith =
  (splitter: StepSplitter, given: number | undefined): ScoreLine =>
  async (engine, value, folder) => {
    const threshold = given ?? engine.stepThreshold()
    const { id: _, ...line } = readQuestionLine(value, folder, KEYS)
    const { isOne, list, cut } = readSolutions(value, splitter)
    if (isOne) {
      const scores = await engine.scoreSteps({ ...line, steps: list[0] as string[] })
      return { ...cut, scores, ...verdictFields(scores, threshold) }
    }
    const { scores, errors } = await engine.scoreCandidates({ ...line, solutions: list })
    return { scores, ...(errors.length > 0 && { errors }), ...verdictFields(scores, threshold) }
  }

/** The same by a judge in words. */
function judgeWith(judging: Judging, splitter: StepSplitter, threshold: number | undefined): ScoreLine {
  let scorer: Promise<StepScorer> | undefined
  return async (engine, value, folder) => {
    scorer ??= openScorer({ ...judging, engine })
    const { id, ...line } = readQuestionLine(value, folder, KEYS)
    const problem = { id: String(id), answer: '', ...line }
    const solutions = readSolutions(value, splitter)
    const judged = await (await scorer).score({ problem, solutions: solutions.list })
    const errors = judged.flatMap(({ error }, candidate) =>
      error === undefined ? [] : [{ candidate, code: 'ERR_ENGINE_POLICY', message: error }],
    )
    const scores = judged.map((s) => (s.error === undefined ? s.scores : null))
    const own = solutions.isOne ? scores[0] : scores
    return { ...solutions.cut, scores: own, ...(errors.length > 0 && { errors }), ...verdictFields(own, threshold) }
  }
}

interface Solutions {
  isOne: boolean
  list: string[][]
  /** Steps that a text was cut into. */
  cut?: { steps: string[] }
}

function readSolutions({ steps, solution, solutions }: Record<string, unknown>, splitter: StepSplitter): Solutions {
  if ([steps, solution, solutions].filter((given) => given !== undefined).length !== 1)
    throw invalidArgument('exactly one of "steps", "solution" and "solutions" is needed')
  if (solution !== undefined) {
    if (typeof solution !== 'string') throw invalidArgument('"solution" must be a text; "solutions" are lists of steps')
    const cut = stepsOf(solution, splitter)
    if (cut.length === 0) throw invalidArgument('"solution" has no steps: the text is empty')
    return { isOne: true, list: [cut], cut: { steps: cut } }
  }
  if (steps !== undefined) {
    if (!isStringList(steps)) throw invalidArgument('"steps" must be a list of strings')
    return { isOne: true, list: [steps] }
  }
  if (!Array.isArray(solutions) || !solutions.every(isStringList))
    throw invalidArgument('"solutions" must be a list of lists of strings')
  return { isOne: false, list: solutions }
}

/** A policy's own tags tell its steps; of other texts the splitter does. */
function stepsOf(text: string, splitter: StepSplitter): string[] {
  const { steps } = readRollout(text, { truncated: false })
  return steps.length > 0 ? steps : splitter.split(text)
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, { ...MODEL_OPTIONS, ...SCORING_OPTIONS, ...CRITIC_OPTIONS, ...OWN_OPTIONS })
  const job = readModelJob(values)
  const critic = readCritic(values)
  const splitter = values.steps === undefined ? defaultSplitter : stepSplitter(values.steps)
  const threshold = numberIn(values.threshold, 'threshold', { above: 0, max: 1 })
  if (values['prm-model'] !== undefined) throw new UsageError('--prm-model is for a server: here --model is the folder')
  if (critic) return runModelJob(job, 'scoring', IN_FLIGHT, judgeWith(critic, splitter, threshold))
  Object.assign(job.engine, readScoring(values))
  return runModelJob(job, 'scoring', IN_FLIGHT, scoreWith(splitter, threshold))
}

export const command: Command = { usage: USAGE, run }
