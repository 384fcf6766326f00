/**
 * The dataset builder: trees in, split and balanced sample files and a manifest out. One tree is in memory at a
 * time; what needs a view of the whole (efficiency threshold, bins) is counted in a first pass over the trees.
 */
import { existsSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument, storeError } from '../contracts/errors.ts'
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
  samples: z.enum(['paths', 'groups']).default('paths'),
  label: z.enum(LABEL_KINDS as [LabelKind, ...LabelKind[]]).default('soft'),
  tau: fraction.default(0),
  epsilon: z.number().positive().default(0.8),
  maxShortWords: z.number().int().nonnegative().default(10),
  balance: z.enum(['negatives', 'none']).default('negatives'),
  afterError: z.enum(['cut', 'wrong']).default('cut'),
  maxPaths: z.number().int().positive().optional(),
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
const MANIFEST = 'manifest.json'
const GROUPS = 'groups'
const SPLITS = ['train', 'validation', 'test'] as const

export interface DatasetManifest {
  settings: Options
  /** Where the trees came from, as the caller tells: model, run, hashes. */
  source: unknown
  problems: { seen: number; used: number }
  dropped: Record<keyof Traversal['dropped'] | 'efficiency' | 'levelled' | 'contested' | 'unjudged', number>
  samples: Record<(typeof SPLITS)[number], number>
  labels: { count: number; mean: number; histogram: number[] }
  /** Groups are counted where they are taken. */
  kinds: { negative: number; positive: number; group?: number }
  files: { file: string; bytes: number; sha256: string }[]
}

/** What a build needs beside its options. */
export interface BuildSources {
  /** Called once per pass; must give the same trees each time. */
  trees: () => AsyncIterable<ProblemTree>
  /** Folder of the data set; one that is there is replaced. */
  out: string
  /** Kept in the manifest: model, run, hashes. */
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

/** What the whole decides about single samples: the score that each must have, and the share of each bin that stays. */
interface View {
  threshold: number
  shares: ReadonlyMap<string, number>
}

const EVERYTHING: View = { threshold: Number.NEGATIVE_INFINITY, shares: new Map() }

/** First pass. Nothing is counted where no option needs it. */
async function survey({ trees, signal, onProgress }: BuildSources, o: Options): Promise<View> {
  if (o.keep === 1 && o.balanceBy.length === 0) return EVERYTHING
  const scores: number[] = []
  const bins = new Map<string, number>()
  let problems = 0
  for await (const tree of trees()) {
    throwIfAborted(signal)
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
      surplusPaths: 0,
      efficiency: 0,
      levelled: 0,
      contested: 0,
      unjudged: 0,
    },
    samples: { train: 0, validation: 0, test: 0 },
    labels: { count: 0, mean: 0, histogram: Array(HISTOGRAM_BINS).fill(0) },
    kinds: { negative: 0, positive: 0 },
    files: [],
  }
}

function count(manifest: DatasetManifest, sample: Sample, split: (typeof SPLITS)[number]): void {
  manifest.samples[split]++
  manifest.kinds[sample.kind] = (manifest.kinds[sample.kind] ?? 0) + 1
  for (const { label } of sample.siblings ?? sample.steps) {
    if (label === null) continue
    manifest.labels.count++
    manifest.labels.mean += (label - manifest.labels.mean) / manifest.labels.count
    const bin = Math.min(HISTOGRAM_BINS - 1, Math.floor(label * HISTOGRAM_BINS))
    manifest.labels.histogram[bin] = (manifest.labels.histogram[bin] ?? 0) + 1
  }
}

const earlierSchema = z.object({ settings: z.object({}), samples: z.object({}), files: z.array(z.object({ file: z.string() })) })

/** Removes an earlier build: its files would pass for ones of this build, and its manifest for that of an unfinished one. */
async function clear(folder: string): Promise<void> {
  const manifest = join(folder, MANIFEST)
  if (!existsSync(manifest)) return
  let earlier: z.infer<typeof earlierSchema>
  try {
    earlier = earlierSchema.parse(JSON.parse(await readFile(manifest, 'utf8')))
  } catch (error) {
    throw storeError(`${manifest} is not of a data set; name another folder, or delete it`, error)
  }
  for (const file of [MANIFEST, ...earlier.files.map((f) => basename(f.file))]) await rm(join(folder, file), { force: true })
}

async function writeManifest(folder: string, manifest: DatasetManifest): Promise<void> {
  const temporary = join(folder, `.${MANIFEST}.tmp`)
  await writeFile(temporary, `${JSON.stringify(manifest, null, 2)}\n`)
  await rename(temporary, join(folder, MANIFEST))
}

/** The samples of a tree that are written; what was dropped is counted in the manifest. */
async function chooseSamples(
  tree: ProblemTree,
  { threshold, shares }: View,
  { judge, signal }: BuildSources,
  manifest: DatasetManifest,
): Promise<readonly Sample[]> {
  const { settings: o, dropped } = manifest
  const traversal = traverse(tree, o)
  for (const key of Object.keys(traversal.dropped) as (keyof Traversal['dropped'])[]) dropped[key] += traversal.dropped[key]
  const rate = tree.root.counts ? mcValue(tree.root.counts) : 0
  const chosen = traversal.samples.filter((sample) => {
    const tooPoor = efficiencyScore(sample) < threshold
    const tooMany = lot(`${o.seed} level`, sample.id) >= (shares.get(binOf(o.balanceBy, sample, rate)) ?? 1)
    if (tooPoor) dropped.efficiency++
    else if (tooMany) dropped.levelled++
    return !tooPoor && !tooMany
  })
  manifest.problems.seen++
  if (traversal.samples.length > 0) manifest.problems.used++
  // WHY last: a judge costs more than all the rest, and is asked only about what would be written.
  const { agreed, contested, unjudged } = await consensus(chosen, judge, signal)
  dropped.contested += contested
  dropped.unjudged += unjudged
  return agreed
}

/** Groups have a row of their own, and no first error. @throws EngineError INVALID_ARGUMENT */
function checkShape({ samples, formats, balanceBy, keep }: Options, judge: FirstErrorJudge | undefined): void {
  const isGroups = samples === 'groups'
  const other = formats.find((name) => (name === GROUPS) !== isGroups)
  if (other)
    throw invalidArgument(
      `buildDataset: format ${other} is not for samples ${samples}: ${isGroups ? `take ${GROUPS}` : 'take samples groups'}`,
    )
  if (isGroups && (judge || balanceBy.length > 0 || keep < 1))
    throw invalidArgument('buildDataset: samples groups take no judge, no balanceBy and no keep: those are for whole solutions')
}

/** Before anything is made or replaced. */
async function checkTrees(trees: () => AsyncIterable<ProblemTree>): Promise<void> {
  for await (const _ of trees()) return
  const hint =
    'a search with the strategy omega or siblings leaves one for each problem that it finishes; best-of-n and beam leave none'
  throw invalidArgument(`buildDataset: there is no search tree to take samples from; ${hint}`)
}

/**
 * Builds a data set. The manifest is written last, in one piece: a folder without it is an unfinished build.
 * @throws EngineError INVALID_ARGUMENT (options, no tree at all), STORE (folder cannot be written), POLICY (the judge; names the problem),
 *   ABORTED
 */
export async function buildDataset(build: BuildSources & DatasetOptions): Promise<DatasetManifest> {
  const { trees, out, source = null, judge, signal, onProgress, ...options } = build
  if (typeof trees !== 'function' || typeof out !== 'string')
    throw invalidArgument('buildDataset: takes { trees, out, … }, with trees as a function that begins them anew')
  const o = validate(optionsSchema, options, 'buildDataset')
  o.formats.forEach(findFormat)
  checkShape(o, judge)
  if (o.validation + o.test >= 1) throw invalidArgument('buildDataset: validation and test together must be below 1')
  await checkTrees(trees)
  makeFolder(out)
  await clear(out)
  const view = await survey(build, o)
  const manifest = emptyManifest(o, source)
  const output = new Output(out, o.formats)
  try {
    for await (const tree of trees()) {
      throwIfAborted(signal)
      const split = splitOf(tree.problem.id, o, o.seed)
      for (const sample of await chooseSamples(tree, view, build, manifest)) {
        await output.write(split, sample)
        count(manifest, sample, split)
      }
      onProgress?.({ phase: 'writing', problems: manifest.problems.seen, samples: manifest.labels.count })
    }
  } catch (error) {
    await output.close().catch(() => {}) // the first error tells more
    throw error
  }
  manifest.files = await output.close()
  await writeManifest(out, manifest)
  return manifest
}

export { FORMAT_NAMES }
