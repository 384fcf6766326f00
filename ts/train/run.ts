/**
 * The training loop: batches in a seeded order, gradients over micro-batches, one AdamW step, metrics, evaluation
 * with early stopping, checkpoints. What a step does depends on its number and the options alone, so a run that was
 * killed and resumed ends in the same bits as one that was not.
 */
import { basename } from 'node:path'
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import { longestOf, type OpenTrainable, type TrainableModel, type TrainRow } from '../contracts/trainer.ts'
import { Checkpoints, type RunPosition } from './checkpoints.ts'
import type { SkippedLine } from './data.ts'
import { evaluate } from './evaluate.ts'
import { lockFolder } from './lock.ts'
import { MetricsFile } from './metrics.ts'
import { epochBatches, epochSize } from './mixture.ts'
import { identityOf, lossOf, type ParsedTrainOptions, parseTrainOptions, preferenceOf, type TrainOptions } from './options.ts'
import { refer } from './refer.ts'
import { References } from './references.ts'
import { openSets, type TrainSets } from './sets.ts'
import { type Entry, type Split, splitOf } from './split.ts'
import { checkSame, findStart, loadStart, startOf } from './start.ts'
import { takeStep } from './step.ts'

export interface TrainResult {
  steps: number
  /** Means over the last step. */
  loss: number
  bestEvalLoss: number | null
  bestStep: number | null
  /** prm: below it a step's score is flagged, as the saved folder records; null where nothing was evaluated, or nothing parts right and wrong. */
  threshold: number | null
  stoppedEarly: boolean
  /** Samples longer than allowed, and lines of the data file left out. */
  numSkipped: number
  skippedLines: readonly SkippedLine[]
  /** Where there are several data sets: each file's name without its folder, how many samples it holds, and how many were learnt from, as often as each was met. */
  sets?: readonly { name: string; weight: number; size: number; samples: number }[]
  /** Samples that were longer than allowed, each once; the first thousand of them, and of this process alone. */
  skippedSamples: readonly { id: string; tokens: number }[]
  seconds: number
}

/**
 * Trains `init` on `data` and leaves a checkpoint folder in `out`.
 * @throws EngineError INVALID_ARGUMENT (options, data: file and line), INVALID_MODEL, UNSUPPORTED_MODEL,
 *   TRAINING (a loss that is no number; the last good checkpoint stays), STORE (full disk), ABORTED
 */
export async function runTraining(options: TrainOptions, openTrainable: OpenTrainable): Promise<TrainResult> {
  const o = parseTrainOptions(options)
  const data = await openSets(o.data, o)
  const loss = lossOf(o)
  if (loss?.kind === 'rank') data.checkSiblings(loss.margin)
  const evalData = o.evalData === undefined ? undefined : await openSets(o.evalData, o)
  const identity = identityOf(o, data, evalData)
  makeFolder(o.out)
  await using _lock = await lockFolder(o.out)
  const checkpoints = new Checkpoints(o.out, o.keepCheckpoints)
  const found = await findStart(o, checkpoints, identity)
  await checkpoints.removeLeftovers()
  await using model = await openTrainable({
    task: o.task,
    init: o.init,
    compute: o.compute,
    device: o.device,
    isa: o.isa,
    threads: o.threads,
    freeze: o.freeze,
    lora: o.lora,
    recompute: o.recompute,
    seed: o.seed,
    head: o.head,
    loss,
    template: o.template,
    maxTiles: o.maxTiles,
    lossWeight: o.lossWeight,
    preference: preferenceOf(o),
    saveAs: o.saveLora === 'adapters' ? 'adapters' : 'full',
    work: checkpoints.workFolder,
  })
  const abort = () => model.abort()
  o.signal?.addEventListener('abort', abort, { once: true })
  try {
    throwIfAborted(o.signal, 'training')
    const start = { ...identity, ...(model.initHash !== undefined && { initHash: model.initHash }) }
    await using references = o.loss === 'dpo' ? await References.open(o.out, { ...start, init: undefined }) : undefined
    const run = new Run(o, model, data, evalData, checkpoints, references, found ?? startOf(start))
    if (references) {
      if (found) checkSame(o.out, start, found.identity) // before work that would be for nothing
      await run.refer(references) // before a checkpoint's weights take the place of the untrained ones
    }
    if (found) await loadStart(o, checkpoints, model, found, start)
    return await run.go()
  } finally {
    o.signal?.removeEventListener('abort', abort)
  }
}

/** Of samples that were left out. */
const MAX_NAMED = 1000

interface Encoded {
  rows: TrainRow[]
  /** The entries that became rows. */
  entries: Entry[]
  numSkipped: number
}

class Run {
  readonly #o: ParsedTrainOptions
  readonly #model: TrainableModel
  readonly #data: TrainSets
  readonly #evalData: TrainSets | undefined
  readonly #checkpoints: Checkpoints
  readonly #references: References | undefined
  readonly #split: Split
  readonly #metrics: MetricsFile
  readonly #started = performance.now()
  #position: RunPosition
  #secondsBefore = 0
  readonly #tooLong = new Map<string, number>()

  constructor(
    o: ParsedTrainOptions,
    model: TrainableModel,
    data: TrainSets,
    evalData: TrainSets | undefined,
    checkpoints: Checkpoints,
    references: References | undefined,
    position: RunPosition,
  ) {
    this.#o = o
    this.#model = model
    this.#data = data
    this.#evalData = evalData
    this.#checkpoints = checkpoints
    this.#references = references
    this.#metrics = new MetricsFile(o.out)
    this.#position = position
    this.#split = splitOf(o, data, evalData)
  }

  /** Has the untrained model tell what it thinks of every pair that is not known yet. */
  async refer(references: References): Promise<void> {
    const all = [...[...this.#met()].map((index) => this.#entry(index)), ...this.#split.held]
    await refer(references, this.#model, all, (part) => this.#encode(part), this.#o)
    this.#tooLong.clear() // they are named when their turn to be learnt comes
  }

  /** Every sample that the run will come to. */
  #met(): Set<number> {
    const { perEpoch, totalSteps } = this.#extent()
    const met = new Set<number>()
    for (let epoch = 0; epoch * perEpoch < totalSteps; epoch++) {
      const batches = epochBatches(this.#split.train, this.#o.seed, this.#o.batchSize, epoch)
      for (const index of batches.slice(0, totalSteps - epoch * perEpoch).flat()) met.add(index)
    }
    return met
  }

  #extent(): { perEpoch: number; totalSteps: number } {
    const { batchSize, maxSteps = Number.POSITIVE_INFINITY, epochs } = this.#o
    const perEpoch = Math.ceil(epochSize(this.#split.train) / batchSize)
    return { perEpoch, totalSteps: Math.min(maxSteps, Math.max(1, Math.ceil(perEpoch * epochs))) }
  }

  #entry(index: number): Entry {
    return { key: String(index), load: () => this.#data.at(index) }
  }

  async go(): Promise<TrainResult> {
    const { perEpoch, totalSteps } = this.#extent()
    this.#secondsBefore = this.#position.seconds
    await this.#metrics.startAt(this.#position.step)
    await this.#steps(perEpoch, totalSteps)
    return this.#finish(totalSteps)
  }

  async #steps(perEpoch: number, totalSteps: number): Promise<void> {
    const { train, held } = this.#split
    let epoch = -1
    let batches: number[][] = []
    let next: ReturnType<Run['batchRows']> | undefined
    const batchOf = (step: number) => {
      const wanted = Math.floor(step / perEpoch)
      if (wanted !== epoch) {
        epoch = wanted
        batches = epochBatches(train, this.#o.seed, this.#o.batchSize, epoch)
      }
      return this.batchRows(batches[step % perEpoch] as number[])
    }
    while (this.#position.step < totalSteps && !this.#isOutOfPatience()) {
      const step = this.#position.step
      const { rows, entries, numSkipped } = await (next ?? batchOf(step))
      this.#position.numSkipped += numSkipped
      // The next batch is tokenised while this one is computed.
      next = step + 1 < totalSteps ? batchOf(step + 1) : undefined
      next?.catch(() => {}) // reported when its turn comes
      await this.#step(rows, entries, step, totalSteps)
      if (step + 1 >= Math.min(perEpoch, totalSteps)) this.#checkProgress()
      await this.#evaluateAndKeep(held, this.#o.evalEvery ?? perEpoch, totalSteps)
    }
  }

  #isOutOfPatience(): boolean {
    const { patience } = this.#o
    return patience !== undefined && this.#position.evaluationsWithoutGain >= patience
  }

  #checkProgress(): void {
    const { numSamples, numSkipped } = this.#position
    if (numSamples > 0) return
    const limit = `${numSkipped} samples are longer than ${this.#maxTokens()} tokens, the others carry no weight`
    throw invalidArgument(`train: there is nothing to learn: ${limit}`)
  }

  #maxTokens(): number {
    return Math.min(this.#o.maxTokens ?? Number.POSITIVE_INFINITY, this.#model.info.maxPositions)
  }

  private batchRows(indices: readonly number[]): Promise<Encoded> {
    return this.#rows(indices.map((index) => this.#entry(index)))
  }

  /** Samples as rows to learn from, or to be evaluated on. */
  async #rows(all: readonly Entry[]): Promise<Encoded> {
    const encoded = await this.#encode(all)
    const references = this.#references
    if (!references) return encoded
    const rows = encoded.rows.map((row, i) => ({
      ...row,
      reference: references.of((encoded.entries[i] as Entry).key, row.sample.id),
    }))
    return { ...encoded, rows }
  }

  /** Samples without those that are too long. */
  async #encode(all: readonly Entry[]): Promise<Encoded> {
    const limit = this.#maxTokens()
    const [rows, entries]: [TrainRow[], Entry[]] = [[], []]
    for (const entry of all) {
      const row = await this.#model.encode(await entry.load())
      if (longestOf(row) > limit) {
        this.#leaveOut(row)
        continue
      }
      rows.push(row)
      entries.push(entry)
    }
    return { rows, entries, numSkipped: all.length - rows.length }
  }

  #leaveOut(row: TrainRow): void {
    const { id } = row.sample
    const tokens = longestOf(row)
    if (this.#o.longSamples === 'error') {
      throw invalidArgument(`sample ${id} has ${tokens} tokens; at most ${this.#maxTokens()} are allowed`)
    }
    if (this.#tooLong.size < MAX_NAMED) this.#tooLong.set(id, tokens)
  }

  /** Of several sets: how many of the entries are of each. */
  #countSets(entries: readonly Entry[]): { bySet?: Record<string, number> } {
    const { sets, labels } = this.#data
    if (sets.length === 1) return {}
    const seen = this.#position.seen ?? sets.map(() => 0)
    const counts = sets.map((_, k) => entries.filter(({ key }) => this.#data.setOf(Number(key)) === k).length)
    this.#position.seen = seen.map((n, k) => n + (counts[k] as number))
    return { bySet: Object.fromEntries(labels.map((label, k) => [label, counts[k] as number])) }
  }

  async #step(rows: readonly TrainRow[], entries: readonly Entry[], step: number, totalSteps: number): Promise<void> {
    const report = await takeStep(this.#model, rows, this.#o, step, totalSteps)
    this.#position.step = step + 1
    if (!report) return this.#metrics.write({ step: step + 1, samples: 0 })
    this.#position.loss = report.loss
    this.#position.numSamples += report.samples
    await this.#metrics.write({ step: step + 1, ...report, ...this.#countSets(entries) })
    const { loss, accuracy, learningRate, gradNorm, samples, numTokens, seconds } = report
    this.#o.onProgress?.({
      ...{ step: step + 1, totalSteps, loss, accuracy, learningRate, gradNorm },
      samplesPerSecond: samples / seconds,
      tokensPerSecond: numTokens / seconds,
      evalLoss: this.#position.bestEvalLoss ?? undefined,
    })
  }

  /** Evaluation and checkpoint where they are due. */
  async #evaluateAndKeep(held: readonly Entry[], evalEvery: number, totalSteps: number): Promise<void> {
    const { step } = this.#position
    const last = step === totalSteps
    if (held.length > 0 && (step % evalEvery === 0 || last)) await this.#evaluate(held)
    if (step % this.#o.checkpointEvery === 0 || last || this.#isOutOfPatience()) {
      this.#position.seconds = this.#seconds()
      await this.#checkpoints.save(this.#model, this.#position)
    }
  }

  async #evaluate(held: readonly Entry[]): Promise<void> {
    const { step, bestEvalLoss } = this.#position
    const { evalLoss, threshold, ...told } = await evaluate(this.#model, held, (part) => this.#rows(part), this.#o, step)
    await this.#metrics.write({ step, evalLoss, ...told, ...(threshold !== undefined && { threshold }) })
    if (bestEvalLoss === null || evalLoss < bestEvalLoss) {
      Object.assign(this.#position, {
        bestEvalLoss: evalLoss,
        bestStep: step,
        evaluationsWithoutGain: 0,
        threshold: threshold ?? null,
      })
      await this.#checkpoints.saveBest(this.#model, this.#position)
    } else {
      this.#position.evaluationsWithoutGain++
    }
  }

  /** The best weights where there were evaluations, else the last ones. */
  async #finish(totalSteps: number): Promise<TrainResult> {
    const o = this.#o
    const { step, loss, bestStep, bestEvalLoss, numSkipped, threshold = null } = this.#position
    if (bestStep !== null && bestStep !== step) await this.#checkpoints.loadBest(this.#model)
    const seconds = this.#seconds()
    const skippedLines = [this.#data, this.#evalData].flatMap((d) => d?.skipped ?? [])
    const { labels } = this.#data
    const sets = this.#data.sets.map(({ weight, data: { size } }, k) => {
      return { name: labels[k] as string, weight, size, samples: this.#position.seen?.[k] ?? 0 }
    })
    const result = {
      steps: step,
      loss: loss ?? Number.NaN,
      bestEvalLoss,
      bestStep,
      threshold,
      stoppedEarly: step < totalSteps,
      numSkipped,
      skippedLines,
      ...(sets.length > 1 && { sets }),
      seconds,
    }
    // WHY another name: `loss` is what the run ended with. WHY no folders: those of this machine tell nobody else anything.
    const recorded = { ...result, skippedLines: skippedLines.map((line) => ({ ...line, file: basename(line.file) })) }
    const training = { ...this.#position.identity, ...(o.loss && { objective: o.loss }), ...recorded, machine: this.#model.info }
    const record = { ...(threshold !== null && { threshold }), training }
    await this.#model.saveModel(o.out, { dtype: o.dtype, record })
    return { ...result, skippedSamples: [...this.#tooLong].map(([id, tokens]) => ({ id, tokens })) }
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started) / 1000
  }
}
