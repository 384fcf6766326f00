/** `mm-prm teach`: analyses of labelled steps by a teacher, as data for judges in words. */
import { join } from 'node:path'
import { DecisionFile } from '../contracts/decisions.ts'
import { invalidArgument } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { TrainSample } from '../contracts/trainer.ts'
import { type Analyses, analyse, balanced, imitationRows, preferenceRows, type TaughtStep } from '../critics/index.ts'
import { together } from '../dataset/consensus.ts'
import { readDataset } from '../train/data.ts'
import { Closing } from './closing.ts'
import { type Command, EXIT, numberIn, positiveInteger, readOptions, required } from './command.ts'
import { ENGINE_OPTIONS, engineUsage } from './engine-options.ts'
import { interruptible, sayStopped } from './interrupt.ts'
import { JUDGE_OPTIONS, openTeacher } from './judge-options.ts'
import { LineFile } from './lines.ts'
import { Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const DEFAULT_N = 4

const USAGE = `usage: mm-prm teach --data FILE --out DIR --judge-model DIR|NAME [options]

Asks a teacher to analyse every labelled step in the words of R-PRM, and keeps what comes to the label: DIR/sft.jsonl has
conversations to be imitated, DIR/dpo.jsonl pairs of analyses, the one that agrees with the label chosen. Both are about as many
right steps as wrong ones. Pictures are not shown: rows with one are left out.

  --data FILE              labelled steps, in any form that mm-prm train --task prm reads
  --out DIR                where files go
  --judge-model DIR|NAME   the teacher: a checkpoint folder, or a model's name on
  --judge-endpoint URL     an OpenAI-compatible server, up to and including /v1
  --judge-max-tokens N     tokens of an analysis (default: as published)
  --api-key-file FILE      for that server
  -n N                     analyses of each step (default ${DEFAULT_N})
  --threshold X            a step is right where its label is at least X (default 0.5)
  --seed S                 whole number (default 0)
  --resume                 go on with what was stopped, without asking anything twice
${engineUsage(24)}
  --json                   what was done, as one object`

const OPTIONS = {
  ...JUDGE_OPTIONS,
  ...ENGINE_OPTIONS,
  'api-key-file': { type: 'string' },
  data: { type: 'string' },
  out: { type: 'string' },
  n: { type: 'string', short: 'n' },
  threshold: { type: 'string' },
  seed: { type: 'string' },
  resume: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values']

const isPictured = ({ image, images }: TrainSample) => image !== undefined || images !== undefined

/** @throws EngineError INVALID_ARGUMENT: siblings are labelled steps that this command does not ask about */
function checkPaths(file: string, samples: readonly TrainSample[]): void {
  const group = samples.find(({ siblings }) => siblings)
  if (!group) return
  throw invalidArgument(
    `${file}: sample ${group.id} has a "prefix": teach asks about the steps of whole paths, as mm-prm dataset writes them without --samples groups`,
  )
}

/** None of a row with a picture. @param row of the file: its id may stand twice */
function taughtSteps(sample: TrainSample, row: number, threshold: number): TaughtStep[] {
  const { id, question, steps, labels = [] } = sample
  if (isPictured(sample)) return []
  return labels.flatMap((label, step) =>
    label === null ? [] : [{ id: `${id}#${row}/${step}`, question, steps, step, isRight: label >= threshold }],
  )
}

function readTeach(values: Values) {
  return {
    n: positiveInteger(values.n, 'n') ?? DEFAULT_N,
    threshold: numberIn(values.threshold, 'threshold', { above: 0, max: 1 }) ?? 0.5,
    seed: numberIn(values.seed, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true }) ?? 0,
  }
}

type RowsOf = (taught: TaughtStep, found: Analyses) => readonly { readonly id: string }[]

/** The ids of all rows that there could be, which are all that drawing some of them needs. */
class Lots {
  readonly #rowsOf: RowsOf
  readonly #rows: { id: string; isRight: boolean }[] = []

  constructor(rowsOf: RowsOf) {
    this.#rowsOf = rowsOf
  }

  add(taught: TaughtStep, found: Analyses): void {
    for (const { id } of this.#rowsOf(taught, found)) this.#rows.push({ id, isRight: taught.isRight })
  }

  /** Writes those that are drawn, in the order of the steps; returns how many. */
  async write(path: string, seed: number, lessons: Iterable<readonly [TaughtStep, Analyses]>): Promise<number> {
    const kept = new Set(balanced(this.#rows, seed).map(({ id }) => id))
    await using file = await LineFile.open(path, 'w')
    for (const [taught, found] of lessons)
      for (const row of this.#rowsOf(taught, found)) if (kept.has(row.id)) await file.write(JSON.stringify(row))
    return kept.size
  }
}

async function teach(values: Values, closing: Closing, signal: AbortSignal) {
  const out = required(values.out, 'out')
  const { n, threshold, seed } = readTeach(values)
  const data = required(values.data, 'data')
  const { samples, fingerprint } = await readDataset(data, 'prm', 'error')
  checkPaths(data, samples)
  const { critic, maxTokens } = await openTeacher(values)
  closing.add(critic.close)
  makeFolder(out)
  const settings = { data: fingerprint, n, threshold, seed, maxTokens: maxTokens ?? null, teacher: critic.name }
  const decisions = new DecisionFile<Analyses>(join(out, 'asked.jsonl'), settings, values.resume ?? false)
  const counts = { steps: 0, pictured: 0, agreeing: 0, disagreeing: 0, unread: 0 }
  const [imitated, preferred] = [new Lots(imitationRows), new Lots(preferenceRows)]
  const progress = new Progress('teach')
  for (const [i, sample] of samples.entries()) {
    const steps = taughtSteps(sample, i, threshold)
    if (isPictured(sample)) counts.pictured++
    const asked = await together(
      steps,
      async (taught, either) => {
        const known = decisions.find(taught.id)
        if (known) return known
        const found = await analyse(critic, taught, { n, seed, maxTokens }, either)
        decisions.keep(taught.id, found)
        return found
      },
      signal,
    )
    for (const [at, found] of asked.entries()) {
      counts.steps++
      counts.agreeing += found.agreeing.length
      counts.disagreeing += found.disagreeing.length
      counts.unread += found.unread
      for (const lots of [imitated, preferred]) lots.add(steps[at] as TaughtStep, found)
    }
    progress.update(`${counts.steps} steps`, (i + 1) / samples.length)
  }
  function* lessons() {
    for (const [i, sample] of samples.entries()) {
      for (const taught of taughtSteps(sample, i, threshold)) yield [taught, decisions.find(taught.id) as Analyses] as const
    }
  }
  const sft = await imitated.write(join(out, 'sft.jsonl'), seed, lessons())
  const dpo = await preferred.write(join(out, 'dpo.jsonl'), seed, lessons())
  decisions.remove()
  progress.finish(`${sft} conversations, ${dpo} pairs`)
  return { ...counts, sft, dpo }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  readTeach(values)
  const result = await interruptible(async (signal) => {
    await using closing = new Closing()
    return await teach(values, closing, signal)
  })
  if (!result) return sayStopped()
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else process.stdout.write(formatColumns(Object.entries(result).map(([name, value]) => [name, String(value)])))
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }
