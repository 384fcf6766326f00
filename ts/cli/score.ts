/** `mm-prm score`: step scores for every line of a JSONL file, in input order. */
import { invalidArgument } from '../contracts/errors.ts'
import type { Engine } from '../engine/engine.ts'
import { type Command, EXIT, readOptions } from './command.ts'
import { readScoring, SCORING_OPTIONS, scoringUsage } from './engine-options.ts'
import { isStringList, MODEL_OPTIONS, MODEL_USAGE, readModelJob, readQuestionLine, runModelJob } from './model-job.ts'

const USAGE = `usage: mm-prm score --model DIR --input FILE.jsonl [options]

Each input line is {"id", "question", "steps": [...]} or {"id", "question", "solutions": [[...], ...]}, and may have an "image"
or "images": [...]; each output line {"id", "scores"}, in input order: one score per step. A solution without steps has [], and
one that cannot be scored (a blank step, too long) null, with "errors": [{"candidate", "code", "message"}] beside "scores". A bad
line becomes {"id", "error": {"code", "message", "line"}} in its place. The exit code is ${EXIT.someLinesBad} where there was an error.
An image is a data URI or a path relative to the input file; several stand at the marks <image> of the question, one each, or
before it.

${MODEL_USAGE}
${scoringUsage(24)}`

const KEYS = ['id', 'question', 'image', 'images', 'steps', 'solutions']
/** Lines worked on at once: the engine runs one while the next ones' images are decoded. */
const IN_FLIGHT = 4

async function score(engine: Engine, value: Record<string, unknown>, folder: string): Promise<object> {
  const { id: _, ...line } = readQuestionLine(value, folder, KEYS)
  const { steps, solutions } = value
  if ((steps === undefined) === (solutions === undefined))
    throw invalidArgument('exactly one of "steps" and "solutions" is needed')
  if (steps !== undefined) {
    if (!isStringList(steps)) throw invalidArgument('"steps" must be a list of strings')
    return { scores: await engine.scoreSteps({ ...line, steps }) }
  }
  if (!Array.isArray(solutions) || !solutions.every(isStringList))
    throw invalidArgument('"solutions" must be a list of lists of strings')
  const { scores, errors } = await engine.scoreCandidates({ ...line, solutions })
  return { scores, ...(errors.length > 0 && { errors }) }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, { ...MODEL_OPTIONS, ...SCORING_OPTIONS })
  const job = readModelJob(values)
  Object.assign(job.engine, readScoring(values))
  return runModelJob(job, 'scoring', IN_FLIGHT, score)
}

export const command: Command = { usage: USAGE, run }
