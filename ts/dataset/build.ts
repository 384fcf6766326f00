/**
 * The dataset builder: trees in, split and balanced sample files and a manifest out. One tree is in memory at a
 * time; what needs a view of the whole (efficiency threshold, bins) is counted in a first pass over the trees.
 */
import { rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import { mcValue, type ProblemTree } from '../contracts/records.ts'
import { validate } from '../contracts/validate.ts'
import type { FirstErrorJudge } from '../contracts/verifier.ts'
import { consensus } from './consensus.ts'
import { FORMAT_NAMES, findFormat } from './formats/index.ts'
import type { SampleWriter } from './formats/writer.ts'
import { LABEL_KINDS, type LabelKind } from './labels.ts'
import type { Sample } from './sample.ts'
import { BALANCE_KEYS, type BalanceBy, binOf, efficiencyScore, keepShares, lot, scoreThreshold, splitOf } from './selection.ts'
import { type Traversal, traverse } from './traverse.ts'

const fraction = z.number().min(0).max(1)
const optionsSchema = z.strictObject({
  label: z.enum(LABEL_KINDS as [LabelKind, ...LabelKind[]]).default('soft'),
  tau: fraction.default(0),
  epsilon: z.number().positive().default(0.8),
  maxShortWords: z.number().int().nonnegative().default(10),
  balance: z.enum(['negatives', 'none']).default('negatives'),
  afterError: z.enum(['cut', 'wrong']).default('cut'),
  /** Bins that are levelled: none outweighs the median one. */
  balanceBy: z.array(z.enum(BALANCE_KEYS as [BalanceBy, ...BalanceBy[]])).default([]),
  /** Share of the samples with the best data-efficiency score that is kept. */
  keep: fraction.default(1),
  validation: fraction.default(0),
  test: fraction.default(0),
  formats: z.array(z.string()).min(1).default(['steps']),
  seed: z.union([z.string(), z.number()]).default(0),
})

export type DatasetOptions = z.input<typeof optionsSchema>
type Options = z.output<typeof optionsSchema>

const HISTOGRAM_BINS = 10
const SPLITS = ['train', 'validation', 'test'] as const

export interface DatasetManifest {
  settings: Options
  /** Where the trees came from, as the caller tells: model, run, hashes. */
  source: unknown
  problems: { seen: number; used: number }
  dropped: Record<keyof Traversal['dropped'] | 'efficiency' | 'levelled' | 'contested', number>
  samples: Record<(typeof SPLITS)[number], number>
  labels: { count: number; mean: number; histogram: number[] }
  kinds: Record<Sample['kind'], number>
  files: { file: string; bytes: number; sha256: string }[]
}

export interface BuildExtra {
  source?: unknown
  /** Asked where each sample first goes wrong; those on which it and the search differ are dropped as contested. */
  judge?: FirstErrorJudge
  signal?: AbortSignal
  onProgress?: (p: BuildProgress) => void
}

export interface BuildProgress {
  phase: 'counting' | 'writing'
  problems: number
  samples: number
}

/** First pass: what decides about single samples. Nothing is counted where no option needs it. */
async function survey(trees: AsyncIterable<ProblemTree>, o: Options, onProgress?: (p: BuildProgress) => void) {
  const scores: number[] = []
  const bins = new Map<string, number>()
  let problems = 0
  for await (const tree of trees) {
    const rate = tree.root.counts ? mcValue(tree.root.counts) : 0
    for (const sample of traverse(tree, o).samples) {
      scores.push(efficiencyScore(sample))
      const bin = binOf(o.balanceBy, sample, rate)
      bins.set(bin, (bins.get(bin) ?? 0) + 1)
    }
    onProgress?.({ phase: 'counting', problems: ++problems, samples: scores.length })
  }
  return { threshold: scoreThreshold(Float64Array.from(scores), o.keep), shares: keepShares(bins) }
}

class Output {
  readonly #folder: string
  readonly #formats: readonly string[]
  readonly #writers = new Map<string, SampleWriter[]>()

  constructor(folder: string, formats: readonly string[]) {
    this.#folder = folder
    this.#formats = formats
  }

  async write(split: string, sample: Sample): Promise<void> {
    let writers = this.#writers.get(split)
    if (!writers) {
      const base = (format: string) => join(this.#folder, this.#formats.length === 1 ? split : `${split}.${format}`)
      writers = await Promise.all(this.#formats.map((format) => findFormat(format)(base(format))))
      this.#writers.set(split, writers)
    }
    for (const writer of writers) await writer.write(sample)
  }

  async close(): Promise<DatasetManifest['files']> {
    const files: DatasetManifest['files'] = []
    for (const writers of this.#writers.values()) {
      for (const writer of writers) {
        const done = await writer.close()
        files.push({ ...done, file: basename(done.file) })
      }
    }
    return files
  }
}

function emptyManifest(settings: Options, source: unknown): DatasetManifest {
  return {
    settings,
    source,
    problems: { seen: 0, used: 0 },
    dropped: {
      unsolved: 0,
      alwaysSolved: 0,
      duplicates: 0,
      short: 0,
      surplusPositives: 0,
      efficiency: 0,
      levelled: 0,
      contested: 0,
    },
    samples: { train: 0, validation: 0, test: 0 },
    labels: { count: 0, mean: 0, histogram: Array(HISTOGRAM_BINS).fill(0) },
    kinds: { negative: 0, positive: 0 },
    files: [],
  }
}

function count(manifest: DatasetManifest, sample: Sample, split: (typeof SPLITS)[number]): void {
  manifest.samples[split]++
  manifest.kinds[sample.kind]++
  for (const { label } of sample.steps) {
    if (label === null) continue
    manifest.labels.count++
    manifest.labels.mean += (label - manifest.labels.mean) / manifest.labels.count
    const bin = Math.min(HISTOGRAM_BINS - 1, Math.floor(label * HISTOGRAM_BINS))
    manifest.labels.histogram[bin] = (manifest.labels.histogram[bin] ?? 0) + 1
  }
}

/**
 * Builds a data set in `folder`. `trees` is called once per pass and must give the same trees each time.
 * The manifest is written last, in one piece: a folder without it is an unfinished build.
 * @throws EngineError INVALID_ARGUMENT (options), STORE (folder cannot be written), POLICY (the judge; names the problem),
 *   ABORTED
 */
export async function buildDataset(
  trees: () => AsyncIterable<ProblemTree>,
  folder: string,
  options: DatasetOptions = {},
  extra: BuildExtra = {},
): Promise<DatasetManifest> {
  const o = validate(optionsSchema, options, 'buildDataset')
  o.formats.forEach(findFormat)
  if (o.validation + o.test >= 1) throw invalidArgument('buildDataset: validation and test together must be below 1')
  makeFolder(folder)
  const wholeView = o.keep < 1 || o.balanceBy.length > 0
  const { threshold, shares } = wholeView
    ? await survey(trees(), o, extra.onProgress)
    : { threshold: Number.NEGATIVE_INFINITY, shares: new Map() }
  const manifest = emptyManifest(o, extra.source ?? null)
  const output = new Output(folder, o.formats)
  for await (const tree of trees()) {
    throwIfAborted(extra.signal)
    const { samples, dropped } = traverse(tree, o)
    const rate = tree.root.counts ? mcValue(tree.root.counts) : 0
    for (const key of Object.keys(dropped) as (keyof typeof dropped)[]) manifest.dropped[key] += dropped[key]
    manifest.problems.seen++
    if (samples.length > 0) manifest.problems.used++
    const split = splitOf(tree.problem.id, o, o.seed)
    const chosen = samples.filter((sample) => {
      const tooPoor = efficiencyScore(sample) < threshold
      const tooMany = lot(`${o.seed} level`, sample.id) >= (shares.get(binOf(o.balanceBy, sample, rate)) ?? 1)
      if (tooPoor) manifest.dropped.efficiency++
      else if (tooMany) manifest.dropped.levelled++
      return !tooPoor && !tooMany
    })
    // WHY last: a judge costs more than all the rest, and is asked only about what would be written.
    const agreed = await consensus(chosen, extra.judge, extra.signal)
    manifest.dropped.contested += chosen.length - agreed.length
    for (const sample of agreed) {
      await output.write(split, sample)
      count(manifest, sample, split)
    }
    extra.onProgress?.({ phase: 'writing', problems: manifest.problems.seen, samples: manifest.labels.count })
  }
  manifest.files = await output.close()
  const temporary = join(folder, '.manifest.json.tmp')
  await writeFile(temporary, `${JSON.stringify(manifest, null, 2)}\n`)
  await rename(temporary, join(folder, 'manifest.json'))
  return manifest
}

export { FORMAT_NAMES }
