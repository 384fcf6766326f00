/**
 * The training loop: batches in a seeded order, gradients over micro-batches, one AdamW step, metrics, evaluation
 * with early stopping, checkpoints. What a step does depends on its number and the options alone, so a run that was
 * killed and resumed ends in the same bits as one that was not.
 */
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument, trainingError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { OpenTrainable, TrainableModel, TrainRow, TrainSample } from '../contracts/trainer.ts'
import { chunks, epochOrder, isHeldOut, microBatches } from './batches.ts'
import { Checkpoints, type RunPosition } from './checkpoints.ts'
import { type FileDataset, readDataset, type SkippedLine } from './data.ts'
import { lockFolder } from './lock.ts'
import { MetricsFile } from './metrics.ts'
import { type Dataset, identityOf, type ParsedTrainOptions, parseTrainOptions, type TrainOptions } from './options.ts'
import { picturesHash } from './pictures.ts'
import { takeStep } from './step.ts'
import { fitThreshold, type HeldOutStep } from './threshold.ts'

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
  const data = await openData(o.data, o)
  const evalData = o.evalData === undefined ? undefined : await openData(o.evalData, o)
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
    template: o.template,
    maxTiles: o.maxTiles,
    lossWeight: o.lossWeight,
    saveAs: o.saveLora === 'adapters' ? 'adapters' : 'full',
    work: checkpoints.workFolder,
  })
  const abort = () => model.abort()
  o.signal?.addEventListener('abort', abort, { once: true })
  try {
    throwIfAborted(o.signal, 'training')
    const start = { ...identity, ...(model.initHash !== undefined && { initHash: model.initHash }) }
    if (found) await loadStart(o, checkpoints, model, found, start)
    return await new Run(o, model, data, evalData, checkpoints, found ?? startOf(start)).go()
  } finally {
    o.signal?.removeEventListener('abort', abort)
  }
}

/** Files with the hash of their pictures; a generator's samples carry theirs. */
async function openData(data: string | Dataset, o: ParsedTrainOptions): Promise<Dataset> {
  if (typeof data !== 'string') return data
  const dataset = await readDataset(data, o.task, o.badLines)
  const pictures = await picturesHash(dataset.samples)
  return { ...dataset, ...(pictures !== undefined && { pictures }) }
}

function startOf(identity: Record<string, unknown>): RunPosition {
  const evaluation = { bestEvalLoss: null, bestStep: null, evaluationsWithoutGain: 0 }
  return { step: 0, identity, ...evaluation, loss: null, numSamples: 0, numSkipped: 0, seconds: 0 }
}

/** Content by which a run knows what it began with; a run of an earlier version does not tell. */
const CONTENTS = ['pictures', 'evalPictures', 'initHash']

function checkSame(out: string, identity: Record<string, unknown>, stored: Record<string, unknown>): void {
  // The weights count by their hash, wherever their folder lies now.
  const isCompared = (key: string) => !(CONTENTS.includes(key) && !(key in stored)) && !(key === 'init' && 'initHash' in stored)
  const keys = [...new Set([...Object.keys(identity), ...Object.keys(stored)])].filter(isCompared)
  const changed = keys.filter((key) => JSON.stringify(identity[key]) !== JSON.stringify(stored[key]))
  if (changed.length === 0) return
  const describe = (key: string) => `${key} was ${JSON.stringify(stored[key])}, is ${JSON.stringify(identity[key])}`
  throw invalidArgument(`${out}: the run to be resumed had other options: ${changed.map(describe).join('; ')}`)
}

/**
 * Where to go on; undefined at the beginning. A folder with checkpoints is continued only on demand, and only by the run
 * that wrote them.
 */
async function findStart(
  o: ParsedTrainOptions,
  checkpoints: Checkpoints,
  identity: Record<string, unknown>,
): Promise<RunPosition | undefined> {
  const last = await checkpoints.lastStep()
  if (last === undefined) return undefined
  if (!o.resume) throw invalidArgument(`${o.out} holds checkpoints up to step ${last}; resume the run or name another folder`)
  const found = await checkpoints.newestWhole((warning) => o.onWarning?.(warning))
  if (!found) return undefined
  // The weights are compared when the model is open.
  checkSame(o.out, { ...identity, initHash: found.identity['initHash'] }, found.identity)
  if (found.bestStep !== null) await checkpoints.checkBest()
  return found
}

/** @throws EngineError INVALID_ARGUMENT: the state is of another model, or the run began with other weights */
async function loadStart(
  o: ParsedTrainOptions,
  checkpoints: Checkpoints,
  model: TrainableModel,
  found: RunPosition,
  identity: Record<string, unknown>,
): Promise<void> {
  await checkpoints.loadState(model, found.step)
  checkSame(o.out, identity, found.identity)
}

/** Of samples that were left out. */
const MAX_NAMED = 1000

/** What an evaluation tells of the steps whose label counts. */
function heldOutSteps({ labels, markerWeights }: TrainRow, predictions: Float32Array | undefined): HeldOutStep[] {
  const all = Array.from(predictions ?? [], (score, i) => ({
    score,
    label: labels[i] as number,
    weight: markerWeights[i] as number,
  }))
  return all.filter(({ weight }) => weight > 0)
}

interface Encoded {
  rows: TrainRow[]
  numSkipped: number
}

class Run {
  readonly #o: ParsedTrainOptions
  readonly #model: TrainableModel
  readonly #data: Dataset
  readonly #evalData: Dataset | undefined
  readonly #checkpoints: Checkpoints
  readonly #metrics: MetricsFile
  readonly #started = performance.now()
  #position: RunPosition
  #secondsBefore = 0
  readonly #tooLong = new Map<string, number>()

  constructor(
    o: ParsedTrainOptions,
    model: TrainableModel,
    data: Dataset,
    evalData: Dataset | undefined,
    checkpoints: Checkpoints,
    position: RunPosition,
  ) {
    this.#o = o
    this.#model = model
    this.#data = data
    this.#evalData = evalData
    this.#checkpoints = checkpoints
    this.#metrics = new MetricsFile(o.out)
    this.#position = position
  }

  async go(): Promise<TrainResult> {
    const { train, held } = await this.#split()
    const perEpoch = Math.ceil(train.length / this.#o.batchSize)
    const totalSteps = Math.min(this.#o.maxSteps ?? Number.POSITIVE_INFINITY, Math.max(1, Math.ceil(perEpoch * this.#o.epochs)))
    this.#secondsBefore = this.#position.seconds
    await this.#metrics.startAt(this.#position.step)
    await this.#steps(train, held, perEpoch, totalSteps)
    return this.#finish(totalSteps)
  }

  /** Indices to train on with their groups, and samples held out. */
  async #split() {
    const { evalFraction, seed, task, groupPaths } = this.#o
    const train: { index: number; group: string }[] = []
    const held: (() => Promise<TrainSample>)[] = []
    const isFile = 'samples' in this.#data
    for (let index = 0; index < this.#data.size; index++) {
      // WHY: a generator is asked for samples when their turn comes; only a file's groups are known beforehand.
      const sample = isFile ? (this.#data as FileDataset).samples[index] : undefined
      const group = sample?.group ?? String(index)
      if (evalFraction > 0 && isHeldOut(group, evalFraction, seed)) held.push(async () => this.#data.at(index))
      else train.push({ index, group: task === 'prm' && groupPaths ? group : String(index) })
    }
    const evalData = this.#evalData
    for (let i = 0; evalData && i < evalData.size; i++) held.push(async () => evalData.at(i))
    if (train.length === 0) throw invalidArgument('train: no sample is left to train on')
    const evaluates = evalFraction > 0 || evalData !== undefined
    if (evaluates && held.length === 0) {
      throw invalidArgument(`train: no sample is there to evaluate on: evalFraction ${evalFraction} holds none out`)
    }
    return { train, held }
  }

  async #steps(
    train: readonly { index: number; group: string }[],
    held: readonly (() => Promise<TrainSample>)[],
    perEpoch: number,
    totalSteps: number,
  ): Promise<void> {
    let epoch = -1
    let batches: number[][] = []
    let next: ReturnType<Run['batchRows']> | undefined
    const batchOf = (step: number) => {
      const wanted = Math.floor(step / perEpoch)
      if (wanted !== epoch) {
        epoch = wanted
        const order = epochOrder(
          train.map((t) => t.group),
          this.#o.seed,
          epoch,
        )
        batches = chunks(
          order.map((i) => (train[i] as { index: number }).index),
          this.#o.batchSize,
        )
      }
      return this.batchRows(batches[step % perEpoch] as number[])
    }
    while (this.#position.step < totalSteps && !this.#isOutOfPatience()) {
      const step = this.#position.step
      const { rows, numSkipped } = await (next ?? batchOf(step))
      this.#position.numSkipped += numSkipped
      // The next batch is tokenised while this one is computed.
      next = step + 1 < totalSteps ? batchOf(step + 1) : undefined
      next?.catch(() => {}) // reported when its turn comes
      await this.#step(rows, step, totalSteps)
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
    return this.#encode(indices.map((index) => async () => this.#data.at(index)))
  }

  /** Samples as rows, without those that are too long. */
  async #encode(samples: readonly (() => Promise<TrainSample>)[]): Promise<Encoded> {
    const limit = this.#maxTokens()
    const rows: TrainRow[] = []
    for (const load of samples) {
      const row = await this.#model.encode(await load())
      if (row.tokens.length <= limit) rows.push(row)
      else this.#leaveOut(row)
    }
    return { rows, numSkipped: samples.length - rows.length }
  }

  #leaveOut({ sample: { id }, tokens }: TrainRow): void {
    if (this.#o.longSamples === 'error') {
      throw invalidArgument(`sample ${id} has ${tokens.length} tokens; at most ${this.#maxTokens()} are allowed`)
    }
    if (this.#tooLong.size < MAX_NAMED) this.#tooLong.set(id, tokens.length)
  }

  async #step(rows: readonly TrainRow[], step: number, totalSteps: number): Promise<void> {
    const report = await takeStep(this.#model, rows, this.#o, step, totalSteps)
    this.#position.step = step + 1
    if (!report) return this.#metrics.write({ step: step + 1, samples: 0 })
    this.#position.loss = report.loss
    this.#position.numSamples += report.samples
    await this.#metrics.write({ step: step + 1, ...report })
    const { loss, accuracy, learningRate, gradNorm, samples, numTokens, seconds } = report
    this.#o.onProgress?.({
      ...{ step: step + 1, totalSteps, loss, accuracy, learningRate, gradNorm },
      samplesPerSecond: samples / seconds,
      tokensPerSecond: numTokens / seconds,
      evalLoss: this.#position.bestEvalLoss ?? undefined,
    })
  }

  /** Evaluation and checkpoint where they are due. */
  async #evaluateAndKeep(held: readonly (() => Promise<TrainSample>)[], evalEvery: number, totalSteps: number): Promise<void> {
    const { step } = this.#position
    const last = step === totalSteps
    if (held.length > 0 && (step % evalEvery === 0 || last)) await this.#evaluate(held)
    if (step % this.#o.checkpointEvery === 0 || last || this.#isOutOfPatience()) {
      this.#position.seconds = this.#seconds()
      await this.#checkpoints.save(this.#model, this.#position)
    }
  }

  async #evaluate(held: readonly (() => Promise<TrainSample>)[]): Promise<void> {
    let [loss, weight, correct, terms] = [0, 0, 0, 0]
    const steps: HeldOutStep[] = []
    for (const part of chunks(held, this.#o.batchSize)) {
      const { rows } = await this.#encode(part)
      for (const micro of microBatches(rows, this.#o.microBatchTokens)) {
        const result = await this.#model.evaluate(micro)
        loss += result.loss
        weight += result.weight
        correct += result.numCorrect
        terms += result.numTerms
        for (const [i, row] of micro.entries()) steps.push(...heldOutSteps(row, result.predictions[i]))
      }
    }
    const evalLoss = loss / weight
    const { step, bestEvalLoss } = this.#position
    if (weight === 0) throw invalidArgument('train: the samples to evaluate on are all too long or carry no weight')
    if (!Number.isFinite(evalLoss)) throw trainingError(`step ${step}: the loss of the evaluation is ${evalLoss}`)
    const threshold = fitThreshold(steps)
    const accuracy = { evalAccuracy: terms > 0 ? correct / terms : 0, evalTerms: terms }
    await this.#metrics.write({ step, evalLoss, ...accuracy, ...(threshold !== undefined && { threshold }) })
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
    const skippedLines = [this.#data, this.#evalData].flatMap((d) => (d && 'skipped' in d ? (d as FileDataset).skipped : []))
    const result = {
      steps: step,
      loss: loss ?? Number.NaN,
      bestEvalLoss,
      bestStep,
      threshold,
      stoppedEarly: step < totalSteps,
      numSkipped,
      skippedLines,
      seconds,
    }
    const training = { ...this.#position.identity, ...result, machine: this.#model.info }
    const record = { ...(threshold !== null && { threshold }), training }
    await this.#model.saveModel(o.out, { dtype: o.dtype, record })
    return { ...result, skippedSamples: [...this.#tooLong].map(([id, tokens]) => ({ id, tokens })) }
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started) / 1000
  }
}
