/** A checkpoint opened for training: tokenizer, templates and pictures in front of the native trainer. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { EngineError, invalidArgument, invalidModel, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import { picturesOf } from '../contracts/problem.ts'
import type {
  BatchLoss,
  OptimizerStep,
  SaveOptions,
  TrainableInfo,
  TrainableModel,
  TrainableOptions,
  TrainImage,
  TrainRow,
  TrainSample,
} from '../contracts/trainer.ts'
import { type DecodedImage, withImage } from '../images/index.ts'
import { adapterBase } from './adapter-base.ts'
import { type CheckpointFolder, readCheckpointFolder } from './checkpoint.ts'
import { checkpointHash } from './checkpoint-hash.ts'
import { RECORD_FILE, type ScoringFamily } from './families/index.ts'
import { rowsOf } from './generator.ts'
import { copyModelFiles, recordArchitecture, recordWeightDtype, writeFileSafely } from './model-files.ts'
import { loadNative, type ModelSummary, type NativePicture, type NativeTrainBatch, type NativeTrainer } from './native.ts'
import { openTokenizer, type Tokenizer } from './tokenizer/index.ts'
import { checkLoss, type HeadForm, headOf } from './train-heads.ts'
import { bySample, trainBatch } from './training-batch.ts'
import { pairRow, policyRow, prmRow, type RowContext, trainTemplate } from './training-rows.ts'
import { addMarker, addPrmTokens, headFamily, REWARD_PIECES } from './training-tokens.ts'

/** Pictures kept between batches, in bytes of their tiles. */
const PICTURE_CACHE_BYTES = 256 * 2 ** 20

/**
 * Opens `init` for training. For a PRM, what its scores are read at is added to the vocabulary where the tokenizer lacks it: `<prm>` and
 * the pieces Yes and No, or with a reward head the marker of the family whose prompts are learnt.
 * @throws EngineError INVALID_MODEL, UNSUPPORTED_MODEL, INVALID_ARGUMENT, NO_DEVICE: the device does not train
 */
export async function openTrainable(options: TrainableOptions): Promise<TrainableModel> {
  const init = resolve(options.init)
  const folder = await readCheckpointFolder(init)
  const summary = loadNative().inspectModel(init)
  const head = headOf(options, summary)
  checkLoss(options.loss, head)
  if (options.saveAs === 'adapters') checkOnlyAdapters(options, summary)
  // The small files of the result, in a folder of their own: with the tokens that training adds.
  const files = options.work ?? (await mkdtemp(join(tmpdir(), 'mm-prm-train-')))
  makeFolder(files)
  try {
    await copyModelFiles(init, files)
    if (head?.config) await recordArchitecture(files, head.architecture, summary.family, head.config)
    const newTokens =
      options.task === 'policy' ? [] : await (head ? addMarker(files, head, options) : addPrmTokens(files, options))
    const tokenizer = await openTokenizer(files)
    folder.checkImageToken(tokenizer)
    const family = head && headFamily(head, options, folder, tokenizer)
    const native = await loadNative().openTrainer({
      model: init,
      device: options.device ?? 'cpu',
      deviceLibrary: '', // no device of a library trains
      compute: options.compute,
      threads: options.threads ?? 0,
      isa: options.isa ?? '',
      trainVision: !options.freeze.includes('vision') && summary.vision !== null,
      trainProjector: !options.freeze.includes('projector') && summary.vision !== null,
      trainLanguage: !options.freeze.includes('language'),
      recompute: options.recompute,
      newTokens: Int32Array.from(newTokens),
      loraRank: options.lora?.rank ?? 0,
      loraAlpha: options.lora?.alpha ?? 0,
      loraTargets: [...(options.lora?.targets ?? [])],
      seed: BigInt(options.seed),
      ...(head && { head: head.native }),
    })
    return new NativeTrainable({ options, native, folder, summary, tokenizer, files, head, family })
  } catch (error) {
    await rm(files, { recursive: true, force: true })
    throw error
  }
}

/** Found out before the training, not when its result is to be saved. */
function checkOnlyAdapters({ freeze }: TrainableOptions, summary: ModelSummary): void {
  const trained = (['vision', 'projector'] as const).filter((part) => summary.vision && !freeze.includes(part))
  if (trained.length === 0) return
  const all = '["vision", "projector"]'
  throw invalidArgument(
    `adapters cannot be saved apart where ${trained.join(' and ')} are trained too: freeze ${all}, or save merged`,
  )
}

interface Parts {
  options: TrainableOptions
  native: NativeTrainer
  folder: CheckpointFolder
  summary: ModelSummary
  tokenizer: Tokenizer
  files: string
  head: HeadForm | undefined
  family: ScoringFamily | undefined
}

class NativeTrainable implements TrainableModel {
  readonly info: TrainableInfo
  readonly initHash: string
  readonly record: Readonly<Record<string, unknown>>
  readonly #parts: Parts
  readonly #context: RowContext
  readonly #pair: Int32Array
  readonly #pictures = new Map<TrainImage, NativePicture>()
  #pictureBytes = 0

  constructor(parts: Parts) {
    this.#parts = parts
    const { options, tokenizer, folder, native, family } = parts
    const template = family ? '' : trainTemplate(options.task, options.template, folder.readsOtherPictures(tokenizer))
    this.info = native.info()
    this.initHash = checkpointHash(options.init)
    this.record = family
      ? { task: 'prm', scoring: family.name }
      : options.task === 'prm'
        ? { task: 'prm', scoring: 'mm-prm', template }
        : { task: 'policy', template }
    const ownChat = folder.usesOwnChat(tokenizer)
    const { lossWeight } = options
    this.#context = { tokenizer, template, systemMessage: folder.config.system_message, ownChat, lossWeight, family }
    this.#pair = Int32Array.from(REWARD_PIECES, (piece) => tokenizer.pieceId(piece) ?? 0) // a policy has no use for it
  }

  async encode(sample: TrainSample): Promise<TrainRow> {
    try {
      return await this.#encode(sample)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      throw new EngineError(error.code, `sample ${sample.id}: ${error.message}`, { cause: error })
    }
  }

  async #encode(sample: TrainSample): Promise<TrainRow> {
    const pictures: NativePicture[] = []
    for (const image of picturesOf(sample)) pictures.push(await this.#pictureOf(image))
    const imageRows = rowsOf(pictures, this.#parts.summary)
    const { task, preference } = this.#parts.options
    const rowOf = task === 'prm' ? prmRow : preference ? pairRow : policyRow
    return rowOf(sample, imageRows, this.#context)
  }

  async accumulate(rows: readonly TrainRow[], scale: number): Promise<BatchLoss> {
    return bySample(rows, await this.#parts.native.accumulate(await this.#batch(rows), scale))
  }

  async evaluate(rows: readonly TrainRow[]): Promise<BatchLoss> {
    return bySample(rows, await this.#parts.native.evaluate(await this.#batch(rows)))
  }

  step(options: OptimizerStep): Promise<number> {
    return this.#parts.native.step({ ...options, anchor: this.#parts.head?.anchor ?? 0 })
  }

  async saveModel(folder: string, options: SaveOptions): Promise<void> {
    makeFolder(folder)
    const { files, native, options: opened } = this.#parts
    await copyModelFiles(files, folder)
    const record = { ...this.record, ...options.record }
    await writeFileSafely(join(folder, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`)
    if (opened.saveAs === 'adapters') {
      await writeFileSafely(join(folder, 'adapter_config.json'), `${JSON.stringify(this.#adapterConfig(), null, 2)}\n`)
      return stored(native.saveModel(join(folder, 'adapter_model.safetensors'), 'f32', 'adapters'))
    }
    await recordWeightDtype(folder, options.dtype)
    return stored(native.saveModel(join(folder, 'model.safetensors'), options.dtype, 'full'))
  }

  saveState(path: string): Promise<void> {
    return stored(this.#parts.native.saveState(path))
  }

  loadState(path: string): Promise<number> {
    return this.#parts.native.loadState(path)
  }

  abort(): void {
    this.#parts.native.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.native.close()
    await rm(this.#parts.files, { recursive: true, force: true })
  }

  #adapterConfig() {
    const { options, summary } = this.#parts
    const { lora, init } = options
    return {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      ...adapterBase(init),
      r: lora?.rank,
      lora_alpha: lora?.alpha,
      lora_dropout: 0,
      bias: 'none',
      fan_in_fan_out: false,
      inference_mode: true,
      target_modules: lora?.targets,
      // WHY: towers have modules of the same names, which would get adapters that no file holds.
      ...(summary.vision && { exclude_modules: '.*(vision|visual).*' }),
    }
  }

  #batch(rows: readonly TrainRow[]): Promise<NativeTrainBatch> {
    const { options, folder, tokenizer } = this.#parts
    const parts = { options, imageToken: folder.imageToken(tokenizer), pair: this.#pair }
    return trainBatch(rows, parts, (image) => this.#pictureOf(image))
  }

  async #pictureOf(image: TrainImage): Promise<NativePicture> {
    const known = this.#pictures.get(image)
    if (known) return known
    const { folder, summary, options } = this.#parts
    if (!summary.vision) throw invalidModel(`it has an image, but ${summary.architecture} of ${folder.path} reads text only`)
    const tileOptions = folder.pictureOptions(summary.vision, options.maxTiles)
    const cut = ({ rgb, width, height }: DecodedImage) => loadNative().cutPicture(rgb, width, height, tileOptions)
    const picture = await (isPixels(image) ? cut(toRgb(image)) : withImage(image, {}, cut))
    this.#remember(image, picture)
    return picture
  }

  #remember(image: TrainImage, picture: NativePicture): void {
    if (this.#pictures.has(image)) return // two batches were at it
    this.#pictures.set(image, picture)
    this.#pictureBytes += picture.numBytes
    for (const [oldest, { numBytes }] of this.#pictures) {
      if (this.#pictureBytes <= PICTURE_CACHE_BYTES || oldest === image) break
      this.#pictures.delete(oldest)
      this.#pictureBytes -= numBytes
    }
  }
}

/** What the native writer reports (a full disk, no permission) is no fault of an argument. */
async function stored(work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => {
    const refused = error instanceof EngineError && error.code === 'ERR_ENGINE_INVALID_ARGUMENT'
    throw refused ? storeError(error.message, error) : error
  })
}

type Pixels = Exclude<TrainImage, string | Uint8Array>

function isPixels(image: TrainImage): image is Pixels {
  return typeof image === 'object' && 'pixels' in image
}

function toRgb({ pixels, width, height, channels }: Pixels) {
  if (channels === 3) return { rgb: pixels, width, height }
  const rgb = new Uint8Array(3 * pixels.length)
  pixels.forEach((grey, i) => rgb.fill(grey, 3 * i, 3 * i + 3))
  return { rgb, width, height }
}

export interface InitOptions {
  /** By name: config.json and the tokenizer's among them. */
  files: Readonly<Record<string, string | Uint8Array>>
  /** Where the folder goes. */
  out: string
  /** Default 0. */
  seed?: number
  /** Of the weights as they are written. Default f32. */
  dtype?: 'bf16' | 'f32'
}

/**
 * Makes a checkpoint folder with random weights.
 * @throws EngineError INVALID_MODEL where the config does not describe a supported model, STORE
 */
export async function initModel({ files, out, seed = 0, dtype = 'f32' }: InitOptions): Promise<void> {
  const folder = resolve(out)
  makeFolder(folder)
  for (const [name, content] of Object.entries(files)) await writeFileSafely(join(folder, name), content)
  const weights = join(folder, 'model.safetensors')
  await stored(loadNative().initWeights(folder, weights, BigInt(seed), dtype))
}
