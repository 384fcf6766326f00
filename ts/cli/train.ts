/** `mm-prm train`: a policy or a process reward model from a checkpoint and a JSONL file. */
import { existsSync } from 'node:fs'
import { ISAS } from '../contracts/isa.ts'
import { HEAD_KINDS, TRAIN_LOSSES } from '../contracts/trainer.ts'
import { MAX_THREADS } from '../engine/options.ts'
import { openTrainable } from '../engine/trainable.ts'
import { type Recipe, readRecipe, runTraining } from '../train/index.ts'
import { type Command, EXIT, numberIn, oneOf, positiveInteger, readOptions, required, UsageError } from './command.ts'
import { modelFolder } from './hub-model.ts'
import { Progress } from './progress.ts'
import { formatRows } from './table.ts'

const USAGE = `usage: mm-prm train --task policy|prm --init DIR --data FILE.jsonl --out DIR [options]

Trains the checkpoint in --init and leaves one of the same form in --out, with metrics.jsonl, mm-prm.json (how it was
trained and is to be used) and checkpoints/. Data (.jsonl, .json, .csv, .parquet): what \`mm-prm dataset\` writes in any of
its formats, TRL's {"prompt","completions","labels"}, Math-Shepherd's {"input","label"}, the reference's conversations, or
{"question","image"?,"steps","answer"} for a policy, or {"messages"} that end in what it is to say. What was skipped is named
on standard error.

  --task NAME          policy: next token, or pairs of answers (--loss dpo); prm: soft labels at each step's marker
  --init DIR|NAME      checkpoint folder to start from, or org/name[@revision] on a hub
  --data FILE[=W]      training data; may be given more than once, and each file's share of the samples is then by its
                       weight W (default 1)
  --eval-data FILE     evaluation data, read after every epoch (or evalFraction, evalEvery in the recipe)
  --out DIR            result; must be new, or --resume
  --head NAME          prm: value, classes, two-layer or ensemble, in the form of a public family: the checkpoint's own where it
                       has such a one, else a new one (default: the checkpoint's, or the pieces Yes and No)
  --recipe FILE        JSON of options: learningRate, epochs, batchSize, schedule, freeze, lora, checkpointEvery, patience,
                       head {kind, heads, width, anchor}, rankWeight, rankMargin …
  --resume             go on from the newest checkpoint in --out, if there is one, to the same bits
  --learning-rate X    overrides the recipe, as do the following
  --epochs X
  --loss NAME          policy: dpo, over pairs {"prompt","chosen","rejected"} as \`mm-prm teach\` and TRL write them, texts or
                       messages, or {"question","image"?,"chosen":{"steps","answer"},"rejected":{…}}; prm: cross-entropy
                       (pieces and classes), bce (value, ensemble), or rank: beside it, next steps of one prefix against
                       each other, from \`mm-prm dataset --samples groups\` (default: what fits the head)
  --beta X             dpo: how much a log-ratio counts (default 0.1; labelSmoothing and chosenWeight are the recipe's)
  --batch-size N
  --max-steps N
  --seed N
  --device NAME        cpu or auto; cards do not train yet (default: cpu)
  --isa NAME           instruction set of the CPU (default: the best)
  --threads N          (default: one per usable core)
  --json               result as JSON`

const OPTIONS = {
  task: { type: 'string' },
  init: { type: 'string' },
  data: { type: 'string', multiple: true },
  'eval-data': { type: 'string' },
  out: { type: 'string' },
  head: { type: 'string' },
  recipe: { type: 'string' },
  resume: { type: 'boolean' },
  'learning-rate': { type: 'string' },
  epochs: { type: 'string' },
  loss: { type: 'string' },
  beta: { type: 'string' },
  'batch-size': { type: 'string' },
  'max-steps': { type: 'string' },
  seed: { type: 'string' },
  device: { type: 'string' },
  isa: { type: 'string' },
  threads: { type: 'string' },
  json: { type: 'boolean' },
} as const

/** Leaves out what was not given, so that the recipe's value or the default counts. */
function given<T extends Record<string, unknown>>(values: T) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>
  }
}

/** `FILE=WEIGHT`, where no file has that very name. */
function readSource(given: string): { data: string; weight: number } {
  const [, data, written] = /^(.+)=([^=/\\]*)$/.exec(given) ?? []
  if (data === undefined || existsSync(given)) return { data: given, weight: 1 }
  const weight = Number(written)
  if (written?.trim() && Number.isFinite(weight) && weight > 0) return { data, weight }
  throw new UsageError(`--data ${given}: no such file, and "${written}" is no weight: a number above 0 is expected behind "="`)
}

/** Weights say nothing of a single file. */
function readSources(given: readonly string[] | undefined) {
  const sources = (given ?? []).map(readSource)
  const [only] = sources
  if (!only) return required(undefined, 'data')
  return sources.length === 1 ? only.data : sources
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const task = oneOf(required(values.task, 'task'), 'task', ['policy', 'prm']) as 'policy' | 'prm'
  const recipe: Recipe = values.recipe === undefined ? {} : await readRecipe(values.recipe)
  const progress = new Progress('training')
  const result = await runTraining(
    {
      ...recipe,
      ...given({
        learningRate: numberIn(values['learning-rate'], 'learning-rate', { above: 0 }),
        loss: oneOf(values.loss, 'loss', TRAIN_LOSSES),
        beta: numberIn(values.beta, 'beta', { above: 0 }),
        epochs: numberIn(values.epochs, 'epochs', { above: 0 }),
        seed: numberIn(values.seed, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true }),
        batchSize: positiveInteger(values['batch-size'], 'batch-size'),
        maxSteps: positiveInteger(values['max-steps'], 'max-steps'),
        head: oneOf(values.head, 'head', HEAD_KINDS),
        device: values.device,
        isa: oneOf(values.isa, 'isa', ISAS),
        threads: positiveInteger(values.threads, 'threads', MAX_THREADS),
        evalData: values['eval-data'],
      }),
      task,
      init: await modelFolder(required(values.init, 'init')),
      data: readSources(values.data),
      out: required(values.out, 'out'),
      resume: values.resume ?? false,
      onWarning: (warning) => process.stderr.write(`mm-prm: ${warning}\n`),
      onReference: ({ done, total }) => progress.update(`reference of ${done} of ${total} pairs`, done / total),
      onProgress: (p) => {
        const evaluation = p.evalLoss === undefined ? '' : `, best eval ${p.evalLoss.toFixed(4)}`
        const rate = `${p.samplesPerSecond.toFixed(1)} samples/s, ${Math.round(p.tokensPerSecond)} tokens/s`
        progress.update(
          `step ${p.step} of ${p.totalSteps}, loss ${p.loss.toFixed(4)}, accuracy ${(100 * p.accuracy).toFixed(1)} %${evaluation}, ${rate}`,
          p.step / p.totalSteps,
        )
      },
    },
    openTrainable,
  )
  const { skippedLines, skippedSamples, ...summary } = result
  const best = result.bestEvalLoss === null ? '' : `, best eval ${result.bestEvalLoss.toFixed(4)} at step ${result.bestStep}`
  progress.finish(`${result.steps} steps, loss ${result.loss.toFixed(4)}${best}`)
  for (const { file, line, id, reason } of skippedLines) {
    process.stderr.write(`${file}: line ${line} was skipped: ${reason}${id === undefined ? '' : ` (id ${id})`}\n`)
  }
  for (const { id, tokens } of skippedSamples) process.stderr.write(`sample ${id} was skipped: ${tokens} tokens are too many\n`)
  process.stdout.write(
    values.json
      ? `${JSON.stringify(result)}\n`
      : formatRows({ ...summary, skippedLines: skippedLines.length, skippedSamples: skippedSamples.length }),
  )
  return skippedLines.length > 0 ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }
