/** `mm-prm dataset`: search trees to training data. */
import { resolve } from 'node:path'
import { DecisionFile } from '../contracts/decisions.ts'
import type { RunReader } from '../contracts/run-store.ts'
import type { FirstError } from '../contracts/verifier.ts'
import {
  BALANCE_KEYS,
  buildDataset,
  type DatasetManifest,
  type DatasetOptions,
  FORMAT_NAMES,
  LABEL_KINDS,
} from '../dataset/index.ts'
import type { OpenedJudge } from '../kit/index.ts'
import { openRun } from '../store/reader.ts'
import { firstErrorJudge, rememberingJudge } from '../verify/index.ts'
import { type Command, EXIT, oneOf, positiveInteger, readOptions, required, UsageError } from './command.ts'
import { ENGINE_OPTIONS, engineUsage } from './engine-options.ts'
import { interruptible, sayStopped } from './interrupt.ts'
import { JUDGE_OPTIONS, openJudge } from './judge-options.ts'
import { Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const USAGE = `usage: mm-prm dataset --run DIR --out DIR [options]

Turns the finished trees of a search run into samples with a label per step, split by problem, and a manifest.

  --run DIR|URL        run folder of mm-prm search, or postgres://…#RUN
  --out DIR            where files go
  --format LIST        ${FORMAT_NAMES.join(', ')} (default steps)
  --samples paths|groups   groups: next steps of one prefix side by side, with --format groups (default paths)
  --label KIND         ${LABEL_KINDS.join(', ')} (default soft)
  --tau X              hard labels: right when MC > X (default 0)
  --epsilon X          relative labels: right when MC(s,a) / MC(s) >= X (default 0.8)
  --min-words N        paths with fewer words are dropped (default 11)
  --positives all|cut  cut: no more positives than negatives per problem (default cut)
  --after-error X      cut: a wrong path ends at its first error; wrong: what follows it is kept as wrong (default cut)
  --max-paths N        at most so many samples of a problem, half of them right where there are as many (default all)
  --balance-by LIST    ${BALANCE_KEYS.join(', ')}: no bin outweighs the median one
  --keep X             share of samples with the best data-efficiency score (default 1)
  --judge-model DIR|NAME   keep only samples on which this model finds the same first error as the search
  --judge-endpoint URL     where it is a name: an OpenAI-compatible server, up to and including /v1
  --judge-max-tokens N     tokens of its reply, with what it reasons first (default 4096)
  --api-key-file FILE  for that server
  --resume             go on with a build that was stopped, without asking that model anything twice
  --validation X       share of problems, --test X likewise (default 0)
  --seed S             of every choice (default 0)
  --json               the manifest on standard output
for that model, where it runs here:
${engineUsage(20)}`

const OPTIONS = {
  ...JUDGE_OPTIONS,
  ...ENGINE_OPTIONS,
  'api-key-file': { type: 'string' },
  run: { type: 'string' },
  out: { type: 'string' },
  format: { type: 'string' },
  samples: { type: 'string' },
  label: { type: 'string' },
  tau: { type: 'string' },
  epsilon: { type: 'string' },
  'min-words': { type: 'string' },
  positives: { type: 'string' },
  'after-error': { type: 'string' },
  'max-paths': { type: 'string' },
  'balance-by': { type: 'string' },
  keep: { type: 'string' },
  validation: { type: 'string' },
  test: { type: 'string' },
  seed: { type: 'string' },
  resume: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

function numberOption(value: string | undefined, name: string): number | undefined {
  if (value === undefined) return undefined
  const n = Number(value)
  if (value.trim() === '' || !Number.isFinite(n)) throw new UsageError(`--${name} must be a number, got "${value}"`)
  return n
}

const listOption = (value: string | undefined) => value?.split(',').map((item) => item.trim())

function readDatasetOptions(values: Partial<Record<string, string | boolean | undefined>>): DatasetOptions {
  const text = (name: string) => values[name] as string | undefined
  const minWords = numberOption(text('min-words'), 'min-words')
  const given = {
    samples: oneOf(text('samples'), 'samples', ['paths', 'groups'] as const),
    label: oneOf(text('label'), 'label', LABEL_KINDS),
    tau: numberOption(text('tau'), 'tau'),
    epsilon: numberOption(text('epsilon'), 'epsilon'),
    maxShortWords: minWords === undefined ? undefined : Math.max(0, minWords - 1),
    balance: { all: 'none', cut: 'negatives' }[oneOf(text('positives'), 'positives', ['all', 'cut'] as const) ?? 'cut'],
    afterError: oneOf(text('after-error'), 'after-error', ['cut', 'wrong'] as const),
    maxPaths: positiveInteger(text('max-paths'), 'max-paths'),
    balanceBy: listOption(text('balance-by'))?.map((key) => oneOf(key, 'balance-by', BALANCE_KEYS)),
    keep: numberOption(text('keep'), 'keep'),
    validation: numberOption(text('validation'), 'validation'),
    test: numberOption(text('test'), 'test'),
    formats: listOption(text('format')),
    seed: text('seed'),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as DatasetOptions
}

function printSummary(manifest: DatasetManifest): void {
  const { problems, samples, kinds, labels, dropped } = manifest
  const rows: [string, number | string][] = [
    ['problems used', `${problems.used} of ${problems.seen}`],
    ['samples: train', samples.train],
    ['samples: validation', samples.validation],
    ['samples: test', samples.test],
    kinds.group ? ['groups', kinds.group] : ['negative / positive', `${kinds.negative} / ${kinds.positive}`],
    ['labels', labels.count],
    ['mean label', labels.mean.toFixed(3)],
    ...Object.entries(dropped).flatMap(([reason, n]): [string, number][] => (n > 0 ? [[`dropped: ${reason}`, n]] : [])),
  ]
  process.stdout.write(formatColumns(rows.map(([name, value]) => [name, String(value)])))
  const most = Math.max(1, ...labels.histogram)
  process.stdout.write('\nlabels by value\n')
  labels.histogram.forEach((n, i) => {
    process.stdout.write(
      `${(i / 10).toFixed(1)} to ${((i + 1) / 10).toFixed(1)}  ${'█'.repeat(Math.round((40 * n) / most)).padEnd(40)}  ${n}\n`,
    )
  })
}

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values']

interface Sources {
  reader: RunReader
  judge: OpenedJudge | undefined
  signal: AbortSignal
}

async function build(values: Values, out: string, { reader, judge, signal }: Sources): Promise<DatasetManifest> {
  const source = { runId: reader.runId, identity: reader.identity, ...(judge && { judge: judge.name }) }
  const judged = judge && new DecisionFile<FirstError>(`${resolve(out)}.judged.jsonl`, source, values.resume ?? false)
  const progress = new Progress('dataset')
  const total = (await reader.summary()).problems.done
  const onProgress = (p: { phase: string; problems: number; samples: number }) =>
    progress.update(`${p.phase}: ${p.problems} problems, ${p.samples} labels`, total > 0 ? p.problems / total : undefined)
  const manifest = await buildDataset({
    ...{ trees: () => reader.trees(), out, ...readDatasetOptions(values), source, onProgress, signal },
    ...(judge && judged && { judge: rememberingJudge(firstErrorJudge(judge.ask), judged) }),
  })
  judged?.remove()
  progress.finish(`${manifest.samples.train + manifest.samples.validation + manifest.samples.test} samples`)
  return manifest
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const folder = required(values.run, 'run')
  const out = required(values.out, 'out')
  readDatasetOptions(values) // a bad option shows before a model is opened
  const reader: RunReader = await openRun(folder)
  let judge: OpenedJudge | undefined
  try {
    judge = await openJudge(values)
    const manifest = await interruptible((signal) => build(values, out, { reader, judge, signal }))
    if (!manifest) return sayStopped()
    if (values.json) process.stdout.write(`${JSON.stringify(manifest)}\n`)
    else printSummary(manifest)
    return EXIT.ok
  } finally {
    await judge?.close()
    await reader.close()
  }
}

export const command: Command = { usage: USAGE, run }
