/** What a run learns from: one data set, or several of which each gives its share of the samples. */
import { basename } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import type { TrainSample } from '../contracts/trainer.ts'
import { checkLabels, checkSiblings, type FileDataset, type RowKind, readSamples, type SkippedLine } from './data.ts'
import type { Dataset, ParsedTrainOptions, Source } from './options.ts'
import { picturesHash } from './pictures.ts'

export interface TrainSet {
  /** The file's path as it was given, for messages; numbered from 1 where it is no file. */
  readonly name: string
  /** Against those of the other sets. */
  readonly weight: number
  readonly data: Dataset
}

const samplesOf = (data: Dataset) => ('samples' in data ? (data as FileDataset).samples : undefined)

/** Names without folders: `a.jsonl`, and `a.jsonl (2)` for the file of that name in another folder. */
function labelsOf(sets: readonly TrainSet[]): string[] {
  const labels = new Set<string>()
  for (const { name } of sets) {
    const base = basename(name)
    let label = base
    for (let n = 2; labels.has(label); n++) label = `${base} (${n})`
    labels.add(label)
  }
  return [...labels]
}

/** Several sets behind one numbering: samples of the first, then those of the second, … */
export class TrainSets {
  readonly sets: readonly TrainSet[]
  /** What records call them, wherever their files lie. */
  readonly labels: readonly string[]
  readonly #starts: readonly number[]

  constructor(sets: readonly TrainSet[]) {
    this.sets = sets
    this.labels = labelsOf(sets)
    const starts: number[] = []
    let size = 0
    for (const { data } of sets) {
      starts.push(size)
      size += data.size
    }
    this.#starts = starts
  }

  /** Content and weights, for a resumed run to compare. */
  get fingerprint(): string {
    const [only, ...others] = this.sets
    if (only && others.length === 0) return only.data.fingerprint
    return this.sets.map(({ weight, data }) => `${weight} x ${data.fingerprint}`).join(' + ')
  }

  get pictures(): string | undefined {
    const hashes = this.sets.flatMap(({ data }) => data.pictures ?? [])
    return hashes.length === 0 ? undefined : this.sets.map(({ data }) => data.pictures ?? 'none').join(' + ')
  }

  get skipped(): readonly SkippedLine[] {
    return this.sets.flatMap(({ data }) => ('skipped' in data ? (data as FileDataset).skipped : []))
  }

  /** Where all samples are known. @throws EngineError INVALID_ARGUMENT where no two siblings differ enough to be ranked */
  checkSiblings(margin: number): void {
    const known = this.sets.map(({ data }) => samplesOf(data))
    if (known.every((samples) => samples))
      checkSiblings(
        this.sets.map(({ name }) => name).join(', '),
        known.flatMap((s) => s ?? []),
        margin,
      )
  }

  /** The set that sample `index` is of. */
  setOf(index: number): number {
    return this.#starts.findLastIndex((start) => start <= index)
  }

  /** Numbers of the samples of a set, with the group of each: its own number where only the sample itself would tell. */
  members(set: number): { index: number; group: string }[] {
    const { data } = this.sets[set] as TrainSet
    const start = this.#starts[set] as number
    const samples = samplesOf(data)
    return Array.from({ length: data.size }, (_, i) => ({
      index: start + i,
      group: samples?.[i]?.group ?? String(start + i),
    }))
  }

  /** Where there are several sets, its id names its own. */
  async at(index: number): Promise<TrainSample> {
    const set = this.setOf(index)
    const { name, data } = this.sets[set] as TrainSet
    const sample = await data.at(index - (this.#starts[set] as number))
    return this.sets.length === 1 ? sample : { ...sample, id: `${name}: ${sample.id}` }
  }
}

/** A file with the hash of its pictures; a generator's samples carry theirs. */
async function openSource(source: string | Dataset, kind: RowKind, badLines: 'skip' | 'error'): Promise<Dataset> {
  if (typeof source !== 'string') return source
  const dataset = await readSamples(source, kind, badLines)
  const pictures = await picturesHash(dataset.samples)
  return { ...dataset, ...(pictures !== undefined && { pictures }) }
}

const isWeighted = (item: unknown): item is { data: string | Dataset; weight: number } =>
  typeof item === 'object' && item !== null && 'data' in item

/** @throws EngineError INVALID_ARGUMENT naming the file, and the line where it is one's fault */
export async function openSets(given: Source, o: ParsedTrainOptions): Promise<TrainSets> {
  const kind = o.loss === 'dpo' ? 'pairs' : o.task
  const list = Array.isArray(given) ? given : [given as string | Dataset]
  const sets: TrainSet[] = []
  for (const [i, item] of list.entries()) {
    const { data: source, weight } = isWeighted(item) ? item : { data: item as string | Dataset, weight: 1 }
    const name = typeof source === 'string' ? source : `data set ${i + 1}`
    sets.push({ name, weight, data: await openSource(source, kind, o.badLines) })
  }
  checkNames(sets)
  const known = sets.flatMap(({ data }) => samplesOf(data) ?? [])
  const isAllKnown = sets.every(({ data }) => samplesOf(data))
  if (o.task === 'prm' && isAllKnown) checkLabels(sets.map(({ name }) => name).join(', '), known)
  return new TrainSets(sets)
}

function checkNames(sets: readonly TrainSet[]): void {
  const twice = sets.find(({ name }, i) => sets.findIndex((other) => other.name === name) < i)
  if (twice) throw invalidArgument(`train: ${twice.name} is named twice: give it one weight`)
}
