/** `mm-prm generate`: n completions for every line of a JSONL file, in input order. */
import { createHash } from 'node:crypto'
import { invalidArgument } from '../contracts/errors.ts'
import type { Engine } from '../engine/engine.ts'
import { MAX_SAMPLES } from '../engine/generate-options.ts'
import { type Command, EXIT, numberIn, oneOf, positiveInteger, readOptions } from './command.ts'
import {
  type AnswerLine,
  isStringList,
  MODEL_OPTIONS,
  MODEL_USAGE,
  readModelJob,
  readQuestionLine,
  runModelJob,
} from './model-job.ts'
import { readSampling, SAMPLING_OPTIONS, SAMPLING_USAGE } from './sampling-options.ts'
import { readTemplateVariables, TEMPLATE_VARIABLE_OPTIONS, TEMPLATE_VARIABLE_USAGE } from './template-variables.ts'

const USAGE = `usage: mm-prm generate --model DIR --input FILE.jsonl [options]

Each input line is {"id", "question", "steps"?: [...]}, where steps are those written so far, and may have an "image" or
"images": [...]; each output line {"id", "completions": [{"text", "steps", "answer", "finish", "tokens"}]} in input order: steps
end with the answer, tokens is their number, finish is stop, length or steps. A sample depends on the seed, the line's id and its
index, never on other lines. A bad line becomes {"id", "error": {"code", "message", "line"}} in its place, and the exit code is
then ${EXIT.someLinesBad}. An image is a data URI or a path relative to the input file; several stand at the marks <image> of the
question, one each, or before it.

  -n N                     completions per line (default 1)
  --seed S                 whole number (default 0)
${SAMPLING_USAGE}
  --min-p P                in [0, 1] (default 0)
  --order vllm|hf          whose order of the filters (default vllm)
  --max-steps M            steps per completion at most (default: as many as it writes)
  --stop TEXT              a text that ends a completion; may be given more than once
  --template NAME          rollout template (default: the checkpoint's own)
${TEMPLATE_VARIABLE_USAGE}
${MODEL_USAGE}`

const OPTIONS = {
  ...MODEL_OPTIONS,
  n: { type: 'string', short: 'n' },
  seed: { type: 'string' },
  ...SAMPLING_OPTIONS,
  'min-p': { type: 'string' },
  order: { type: 'string' },
  'max-steps': { type: 'string' },
  stop: { type: 'string', multiple: true },
  template: { type: 'string' },
  ...TEMPLATE_VARIABLE_OPTIONS,
} as const

const KEYS = ['id', 'question', 'image', 'images', 'steps']
/** Samples that keep the engine's batch full; so many lines are worked on at once. */
const SAMPLES_IN_FLIGHT = 128
const MIN_IN_FLIGHT = 4

/** The seed of one line's samples: other lines have no part in it. */
export function lineSeed(seed: number, id: string | number): bigint {
  return createHash('sha256')
    .update(JSON.stringify([seed, id]))
    .digest()
    .readBigUInt64LE()
}

function readGenerateOptions(argv: readonly string[]) {
  const { values } = readOptions(argv, OPTIONS)
  const maxSteps = positiveInteger(values['max-steps'], 'max-steps')
  const order = oneOf(values.order, 'order', ['vllm', 'hf'])
  const minP = numberIn(values['min-p'], 'min-p', { min: 0, max: 1 })
  const { maxTokens, ...sampling } = readSampling(values)
  return {
    job: readModelJob(values),
    seed: numberIn(values.seed, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true }) ?? 0,
    request: {
      n: positiveInteger(values.n, 'n', MAX_SAMPLES) ?? 1,
      ...(maxTokens && { maxTokens }),
      ...(maxSteps && { maxSteps }),
      ...(values.stop && { stop: values.stop }),
      ...(values.template !== undefined && { template: values.template }),
      ...readTemplateVariables(values['template-variable']),
      sampling: { ...sampling, ...(minP !== undefined && { minP }), ...(order && { order }) },
    },
  }
}

async function run(argv: readonly string[]): Promise<number> {
  const { job, seed, request } = readGenerateOptions(argv)
  const answer: AnswerLine = async (engine: Engine, value, folder) => {
    const { id, ...line } = readQuestionLine(value, folder, KEYS)
    const steps = value['steps'] ?? []
    if (!isStringList(steps)) throw invalidArgument('"steps" must be a list of strings')
    const completions = await engine.generate({ ...line, steps, ...request, seed: lineSeed(seed, id) })
    return {
      completions: completions.map(({ text, steps, answer, finish, tokens }) => ({
        text,
        steps,
        answer,
        finish,
        tokens: tokens.length,
      })),
    }
  }
  const inFlight = Math.max(MIN_IN_FLIGHT, Math.ceil(SAMPLES_IN_FLIGHT / request.n))
  return runModelJob(job, 'generating', inFlight, answer)
}

export const command: Command = { usage: USAGE, run }
