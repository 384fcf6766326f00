/**
 * The engine: opens a checkpoint folder, scores reasoning steps with it and lets it write. Everything that computes
 * runs on native threads; this file joins tokenizer, template, image and native engine.
 */

import type { z } from 'zod'
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import { validate } from '../contracts/validate.ts'
import type { DecodeOptions } from '../images/index.ts'
import { type Adapter, readAdapter } from './adapter.ts'
import { type CheckpointFolder, readCheckpointFolder } from './checkpoint.ts'
import { checkpointHash } from './checkpoint-hash.ts'
import type { Completion } from './completion.ts'
import { deviceLibrary } from './devices.ts'
import { namedFamily, resolveFamily, type ScoringFamily, scoringReason } from './families/index.ts'
import type { GenerateRequest } from './generate-options.ts'
import type { StreamEvent } from './generation.ts'
import { type ChoicesRequest, Generator, type PicturesRequest } from './generator.ts'
import { type HeadKind, loadNative, type NativeEngine, type NativeInfo, type NativePicture, type NativeStats } from './native.ts'
import {
  defaultKvCacheBytes,
  type EmbedImageRequest,
  embedImageSchema,
  type LogitsRequest,
  type LogprobsRequest,
  logitsSchema,
  logprobsSchema,
  type OpenOptions,
  openSchema,
  type ScoreManyRequest,
  type ScoreOneRequest,
} from './options.ts'
import { Pictures } from './pictures.ts'
import { settleWithProgress } from './progress.ts'
import { defaultRolloutTemplate } from './prompt.ts'
import { type CountedSteps, type MarkedRequest, type ScoredCandidates, type ScoredSteps, Scorer } from './scorer.ts'
import { settle } from './settle.ts'
import { Slots } from './slots.ts'
import { tokenLogprobs } from './token-logprobs.ts'
import { openTokenizer, type Tokenizer } from './tokenizer/index.ts'

/** Requests with the native engine at once; more wait here, without their images in memory. */
const MAX_SUBMITTED = 256

/** What is open, as `engine.info()` tells it. */
export interface EngineInfo extends NativeInfo {
  model: string
  /** Folders of the adapters that were merged into it. */
  adapters: readonly string[]
  /** Name of the scoring family, or null when none was recognised. */
  scoring: string | null
  /** What that rests on, for people to read; null where there is none. */
  scoringReason: string | null
  /** What reads the last hidden state, and how many numbers it gives. */
  head: { kind: HeadKind; outputs: number }
  /** Template that a `question` is asked with: the one the checkpoint was trained with. */
  rolloutTemplate: string
  /** Whether the checkpoint records that template; otherwise it is the usual one of its kind. */
  recordsTemplate: boolean
}

/** Counters since the engine was opened, and what it holds now. */
export interface EngineStats extends NativeStats {
  /** Calls that wait because MAX_SUBMITTED are with the engine already. */
  callsWaiting: number
}

type ImageOptions = DecodeOptions & { maxTiles?: number | undefined }
type Plain<R> = Omit<R, 'returnLogits'> & { returnLogits?: false }
type WithLogits<R> = Omit<R, 'returnLogits'> & { returnLogits: true }

export class Engine implements AsyncDisposable {
  readonly tokenizer: Tokenizer
  readonly #native: NativeEngine
  readonly #info: NativeInfo
  readonly #folder: CheckpointFolder
  readonly #adapters: readonly Adapter[]
  readonly #scoring: string
  readonly #mergeSteps: number | undefined
  readonly #images: ImageOptions
  readonly #pictures: Pictures
  readonly #slots = new Slots(MAX_SUBMITTED)
  readonly #generator: Generator
  readonly #scorer: Scorer
  /** The model that this one was trained from, where a family compares the two; it closes with this one. */
  readonly #reference: Engine | undefined
  #family: ScoringFamily | undefined
  #hash: string | undefined
  #closed = false

  private constructor(parts: {
    native: NativeEngine
    folder: CheckpointFolder
    adapters: readonly Adapter[]
    tokenizer: Tokenizer
    scoring: string
    mergeSteps: number | undefined
    images: ImageOptions
    reference: Engine | undefined
  }) {
    this.#native = parts.native
    this.#info = parts.native.info()
    this.#folder = parts.folder
    this.#adapters = parts.adapters
    this.tokenizer = parts.tokenizer
    this.#scoring = parts.scoring
    this.#mergeSteps = parts.mergeSteps
    this.#images = parts.images
    this.#reference = parts.reference
    this.#pictures = new Pictures(parts.images)
    const lent = {
      info: this.#info,
      tokenizer: this.tokenizer,
      folder: this.#folder,
      slots: this.#slots,
      native: () => this.#open(),
      pictures: (request: PicturesRequest, where: string) => this.#picturesOf(request, where),
    }
    this.#generator = new Generator(lent)
    this.#scorer = new Scorer({
      ...lent,
      mergeSteps: parts.mergeSteps,
      family: () => this.#scoringFamily(),
      reference: () => this.#reference,
    })
  }

  /**
   * Opens a model folder as it lies on a hub. Reads config and tokenizer, maps the weights and packs them.
   * @throws EngineError INVALID_MODEL, UNSUPPORTED_MODEL (file and key), INVALID_ARGUMENT, NO_DEVICE, OUT_OF_MEMORY, ABORTED
   */
  static async open(options: OpenOptions): Promise<Engine> {
    const o = validate(openSchema, options, 'Engine.open')
    throwIfAborted(o.signal)
    const adapters: Adapter[] = []
    for (const adapter of o.adapters) adapters.push(await readAdapter(adapter))
    const recording = adapters.findLast(({ hasRecord }) => hasRecord)
    const folder = await readCheckpointFolder(o.model, recording?.path)
    namedFamily(o.scoring, folder.recorded)
    const tokenizer = await openTokenizer(adapters.findLast(({ hasTokenizer }) => hasTokenizer)?.path ?? o.model)
    folder.checkImageToken(tokenizer)
    const job = loadNative().openEngine({
      model: o.model,
      weights: o.weights,
      threads: o.cpu.threads ?? 0,
      isa: o.cpu.isa ?? '',
      device: o.device,
      deviceLibrary: deviceLibrary(o.device),
      kvCacheBytes: o.kvCacheBytes ?? defaultKvCacheBytes(),
      imageCacheBytes: o.imageCacheBytes,
      adapters: adapters.map(({ native }) => native),
    })
    const native = await settleWithProgress(job, o.signal, o.onProgress)
    const images = { maxTiles: o.maxTiles, maxPixels: o.maxPixels, exifOrientation: o.exifOrientation }
    const reference = o.reference === undefined ? undefined : await openReference(native, o)
    const { scoring, mergeSteps } = o
    const engine = new Engine({ native, folder, adapters, tokenizer, scoring, mergeSteps, images, reference })
    if (o.scoring !== 'auto' || reference) await engine.#resolveOrClose()
    return engine
  }

  info(): EngineInfo {
    let scoring: string | null = null
    try {
      scoring = this.#scoringFamily().name
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
    }
    const rolloutTemplate = defaultRolloutTemplate(this.#folder.recorded)
    const adapters = this.#adapters.map(({ path }) => path)
    const recordsTemplate = this.#folder.recorded?.template === rolloutTemplate
    const reason = scoring === null ? null : scoringReason(this.#scoring, this.#folder.recorded, scoring)
    const { head: kind, vocab, numClasses } = this.#info.decoder
    const head = { kind, outputs: kind === 'vocabulary' ? vocab : numClasses }
    const read = { scoring, scoringReason: reason, head }
    return { model: this.#folder.path, adapters, ...read, rolloutTemplate, recordsTemplate, ...this.#info }
  }

  /**
   * Names what computes, for records: `checkpointHash` of the folder and of its adapters, and how it was opened where that
   * changes results, as in `0a9530f3019aae66+int8`. Reads the folders when it is first called.
   */
  identity(): string {
    this.#hash ??= [this.#folder, ...this.#adapters].map(({ path }) => checkpointHash(path)).join('+')
    const { maxTiles, exifOrientation } = this.#images
    const changes = [
      this.#info.weights !== 'bf16' && this.#info.weights,
      maxTiles !== undefined && `tiles=${maxTiles}`,
      exifOrientation === 'apply' && 'exif',
      this.#mergeSteps !== undefined && `merged=${this.#mergeSteps}`,
      this.#info.device.kind !== 'cpu' && this.#info.device.class,
      this.#reference !== undefined && `reference=${this.#reference.identity()}`,
    ]
    return [this.#hash, ...changes.filter((change) => change !== false)].join('+')
  }

  /**
   * One score in [0, 1] per step: the probability that the step is right, as the checkpoint's family defines it.
   * Solutions of one question share their beginnings: every shared token is computed once, and the bits are
   * those of scoring each solution alone. One of `solutions` without steps has no scores: an
   * empty list. With `returnLogits` the raw numbers stand beside, and of an ensemble of heads how far they disagree.
   * @throws EngineError INVALID_ARGUMENT (a blank step, a bad image, too many positions), CLOSED, ABORTED
   */
  scoreSteps(request: Plain<ScoreOneRequest>): Promise<number[]>
  scoreSteps(request: WithLogits<ScoreOneRequest>): Promise<ScoredSteps>
  scoreSteps(request: Plain<ScoreManyRequest>): Promise<number[][]>
  scoreSteps(request: WithLogits<ScoreManyRequest>): Promise<ScoredSteps[]>
  scoreSteps(request: ScoreOneRequest | ScoreManyRequest): Promise<unknown> {
    return this.#scorer.scoreSteps(request)
  }

  /**
   * Scores of every solution that can be scored: one with a blank step, or too long for the model, is an error of its own.
   * @throws EngineError INVALID_ARGUMENT (what all solutions share: the question, the image), CLOSED, ABORTED
   */
  scoreCandidates(request: ScoreManyRequest): Promise<ScoredCandidates> {
    return this.#scorer.scoreCandidates(request)
  }

  /** `scoreSteps` of one solution with its logits, and the tokens of its prompt. @throws EngineError as `scoreSteps` */
  scoreCounted(request: ScoreOneRequest): Promise<CountedSteps> {
    return this.#scorer.scoreCounted(request)
  }

  /**
   * A prompt as it stands, its step markers in it, as clients of other servers send it: read at every marker.
   * @throws EngineError INVALID_ARGUMENT (no marker, no such token, too many positions), UNSUPPORTED_MODEL, CLOSED, ABORTED
   */
  scoreMarked(request: MarkedRequest): Promise<CountedSteps> {
    return this.#scorer.scoreMarked(request)
  }

  /** The text of the marker that stands behind each step in `scoreMarked`. @throws EngineError UNSUPPORTED_MODEL */
  stepMarker(): string {
    return this.#scorer.markerText()
  }

  /** What the checkpoint records as the score below which a step is taken for wrong. */
  stepThreshold(): number | undefined {
    return this.#folder.recorded?.threshold
  }

  /**
   * n samples of one prompt. A sample depends on the prompt, the sampling, the seed and its index alone: not on n,
   * on what else runs, or on what is cached. Beginnings that earlier calls have computed are found and reused.
   * @throws EngineError INVALID_ARGUMENT (bad options, too many positions, n beyond what the cache holds), CLOSED, ABORTED
   */
  generate(request: GenerateRequest): Promise<Completion[]> {
    return this.#generator.generate(request)
  }

  /**
   * The same, told as it is written: events of all samples interleaved, each with the text that is new (never part
   * of a stop text, never half a character). Leaving the loop stops the generation. A slow reader pauses its own.
   * The generator returns the completions. Throws like generate, at the first step.
   */
  stream(request: GenerateRequest): AsyncGenerator<StreamEvent, Completion[]> {
    return this.#generator.stream(request)
  }

  /**
   * How likely each of `choices` is as the very next token behind a prompt, which comes as for `generate`: log-probabilities,
   * in their order.
   * @throws EngineError INVALID_ARGUMENT (a choice that is not one token, too many positions), CLOSED, ABORTED
   */
  choiceLogprobs(request: ChoicesRequest): Promise<number[]> {
    return this.#generator.choiceLogprobs(request)
  }

  /** @throws EngineError CLOSED */
  stats(): EngineStats {
    return { ...this.#open().stats(), callsWaiting: this.#slots.numWaiting }
  }

  /**
   * Logits over the vocabulary (or the reward head's classes) after every token, or after `rows` of them: for
   * inspection and parity. `tokens` already hold the pictures' context tokens.
   * @returns logits [rows, width]; hidden [L + 1, rows, C] when asked for (embeddings, layers, final norm)
   */
  async logits(request: LogitsRequest): Promise<{ logits: Float32Array; width: number; hidden?: Float32Array }> {
    const r = validate(logitsSchema, request, 'engine.logits')
    const images = await this.#picturesOf(r, 'engine.logits')
    const rows = r.rows ?? r.tokens.map((_, i) => i)
    const result = await settle(
      this.#open().forward({
        sequences: [Int32Array.from(r.tokens)],
        wanted: [Int32Array.from(rows)],
        images,
        imageToken: this.#folder.imageToken(this.tokenizer),
        output: this.#info.decoder.numClasses > 0 ? 'classes' : 'logits',
        hidden: r.returnHidden,
      }),
      r.signal,
    )
    const [logits, hidden] = [result.values[0] as Float32Array, result.hidden[0]]
    return { logits, width: result.width, ...(hidden && { hidden }) }
  }

  /**
   * What the model makes of a text that it did not write: log p(token j + 1 | tokens to j), for j from `first` (0) to the last
   * but one.
   * @throws EngineError INVALID_ARGUMENT (a reward head, tokens beyond the vocabulary), CLOSED, ABORTED
   */
  async tokenLogprobs(request: LogprobsRequest): Promise<number[]> {
    const r = validate(logprobsSchema, request, 'engine.tokenLogprobs')
    const release = await this.#slots.take(r.signal)
    try {
      const lent = { native: () => this.#open(), info: this.#info, folder: this.#folder, tokenizer: this.tokenizer }
      return await tokenLogprobs(lent, r)
    } finally {
      release()
    }
  }

  /**
   * An image as the language model sees it.
   * @returns pixels [tiles, 3, imageSize, imageSize], normalised; embeds [tiles, tokensPerTile, C]; hidden [states, tiles,
   * 1 + patches, C of vision] when asked for. Of towers that read whole pictures: pixels [patches, 3 · frames · patch²], by
   * merge blocks; embeds [rows, C]; deepstack [features, rows, C]; hidden [states, patches, C of vision]
   */
  async embedImage(request: EmbedImageRequest) {
    const r = validate(embedImageSchema, request, 'engine.embedImage')
    const picture = await this.#picture(r.image, r.maxTiles, r.signal)
    const seen = await settle(this.#open().embedImage({ picture, hidden: r.returnHidden }), r.signal)
    return { numTiles: picture.numTiles, width: picture.width, height: picture.height, ...seen }
  }

  /** Rejects what waits, stops what runs, frees the weights. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    this.#slots.close()
    await this.#native.close()
    await this.#reference?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #open(): NativeEngine {
    if (this.#closed) throw new EngineError('ERR_ENGINE_CLOSED', 'the engine is closed')
    return this.#native
  }

  async #resolveOrClose(): Promise<void> {
    try {
      this.#scoringFamily()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  #scoringFamily(): ScoringFamily {
    this.#family ??= resolveFamily(this.#scoring, {
      architecture: this.#info.architecture,
      hasRewardHead: this.#info.decoder.numClasses > 0,
      head: this.#info.decoder.head,
      numClasses: this.#info.decoder.numClasses,
      pieceId: (piece) => this.tokenizer.pieceId(piece),
      config: this.#folder.config,
      ownChat: this.#folder.usesOwnChat(this.tokenizer),
      recorded: this.#folder.recorded,
      hasReference: this.#reference !== undefined,
    })
    return this.#family
  }

  async #picturesOf({ image, images, maxTiles, signal }: PicturesRequest, where: string): Promise<NativePicture[]> {
    if (image !== undefined && images !== undefined)
      throw invalidArgument(`${where}: "image" is short for one of "images": give one of the two`)
    const pictures: NativePicture[] = []
    for (const one of images ?? (image === undefined ? [] : [image])) pictures.push(await this.#picture(one, maxTiles, signal))
    return pictures
  }

  #picture(image: string | Uint8Array, maxTiles: number | undefined, signal: AbortSignal | undefined): Promise<NativePicture> {
    const vision = this.#info.vision
    if (!vision) throw invalidArgument(`an image was given, but ${this.#info.architecture} reads text only`)
    return this.#pictures.get(image, this.#folder.pictureOptions(vision, maxTiles ?? this.#images.maxTiles), signal)
  }
}

/** The reference beside an open model, opened in the same way; the model is closed again where that fails. */
async function openReference(native: NativeEngine, o: z.output<typeof openSchema>): Promise<Engine> {
  const { reference = '', adapters: _adapters, scoring: _scoring, onProgress: _progress, ...same } = o
  try {
    return await Engine.open({ ...same, model: reference, reference: undefined, mergeSteps: undefined })
  } catch (error) {
    await native.close()
    throw error
  }
}
