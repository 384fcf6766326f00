/** `engine.generate` and `engine.stream`: from a request to a native job and back to texts. */
import { invalidArgument } from '../contracts/errors.ts'
import { opensReasoning } from '../contracts/reasoning.ts'
import { validate } from '../contracts/validate.ts'
import type { CheckpointFolder } from './checkpoint.ts'
import { type Completion, toCompletion } from './completion.ts'
import { type GenerateRequest, type ParsedGenerateRequest, readGenerateRequest } from './generate-options.ts'
import { readStream, type StreamEvent } from './generation.ts'
import type { NativeEngine, NativeGenerateJob, NativeGenerateRequest, NativeInfo, NativePicture } from './native.ts'
import { explainLogits } from './non-finite.ts'
import { choicesSchema } from './options.ts'
import { checkPromptForm, messageTexts, promptIds } from './prompt.ts'
import { settle } from './settle.ts'
import type { Slots } from './slots.ts'
import type { StopRules } from './stop-text.ts'
import { breathe, checkTextLength } from './text-bounds.ts'
import { logSoftmax } from './token-logprobs.ts'
import type { Tokenizer } from './tokenizer/index.ts'

/** Tokens of a prompt's end among which the opening tag of its reasoning lies, where there is one. */
const TAIL = 16

/** What an open engine lends. */
export interface GeneratorContext {
  info: NativeInfo
  tokenizer: Tokenizer
  folder: CheckpointFolder
  slots: Slots
  /** @throws EngineError CLOSED */
  native(): NativeEngine
  /** The pictures of a request, in order. @throws EngineError INVALID_ARGUMENT */
  pictures(request: PicturesRequest, where: string): Promise<NativePicture[]>
}

export interface PicturesRequest {
  /** Short for one of `images`. */
  image?: string | Uint8Array | undefined
  images?: readonly (string | Uint8Array)[] | undefined
  maxTiles?: number | undefined
  signal?: AbortSignal | undefined
}

/** Rows that each picture has in the language model. */
export function rowsOf(images: readonly NativePicture[], { vision }: Pick<NativeInfo, 'vision'>): number[] {
  const side = vision ? vision.merge * vision.patchSize : 0
  return images.map(({ numTiles, width, height }) =>
    side > 0 ? (width / side) * (height / side) : numTiles * (vision?.tokensPerTile ?? 0),
  )
}

/** What is read behind a prompt instead of being written. */
export type ChoicesRequest = Pick<
  GenerateRequest,
  'messages' | 'question' | 'steps' | 'template' | 'tokens' | 'image' | 'images' | 'maxTiles' | 'templateVariables' | 'signal'
> & { choices: string[] }

interface Started {
  job: NativeGenerateJob
  rules: StopRules
  request: ParsedGenerateRequest
}

export class Generator {
  readonly #engine: GeneratorContext

  constructor(engine: GeneratorContext) {
    this.#engine = engine
  }

  async generate(request: GenerateRequest): Promise<Completion[]> {
    const r = this.#read(request, 'engine.generate')
    const release = await this.#engine.slots.take(r.signal)
    try {
      const started = await this.#start(r, false)
      if (needsText(started.rules)) await this.#follow(started)
      return this.#completions(started, await this.#result(started.job, r.signal))
    } finally {
      release()
    }
  }

  /** @returns log-probabilities of `choices` as the next token behind the prompt */
  async choiceLogprobs({ choices: given, ...request }: ChoicesRequest): Promise<number[]> {
    const where = 'engine.choiceLogprobs'
    const { choices } = validate(choicesSchema, { choices: given }, where)
    const r = this.#read(request, where)
    const { slots, tokenizer, native, folder, info } = this.#engine
    if (info.decoder.numClasses > 0)
      throw invalidArgument(`${info.architecture} has a reward head: it gives tokens no probabilities`)
    const wanted = choices.map((choice) => choiceToken(tokenizer, choice, where))
    const release = await slots.take(r.signal)
    try {
      const { ids, images } = await this.#prompt(r)
      const request = {
        sequences: [Int32Array.from(ids)],
        wanted: [Int32Array.of(ids.length - 1)],
        ...{ images, imageToken: folder.imageToken(tokenizer), output: 'logits' as const, hidden: false },
      }
      const { values } = await settle(native().forward(request), r.signal)
      return wanted.map(logSoftmax(values[0] as Float32Array))
    } finally {
      release()
    }
  }

  async *stream(request: GenerateRequest): AsyncGenerator<StreamEvent, Completion[]> {
    const r = this.#read(request, 'engine.stream')
    const release = await this.#engine.slots.take(r.signal)
    let job: NativeGenerateJob | undefined
    try {
      const started = await this.#start(r, true)
      job = started.job
      const result = this.#result(job, r.signal)
      result.catch(() => {}) // awaited below, once the tokens have been read
      yield* readStream(job, this.#engine.tokenizer, started.rules, r.firstSample)
      return this.#completions(started, await result)
    } finally {
      job?.abort() // a reader that leaves early frees the pages at once
      release()
    }
  }

  /** WHY here alone: what is wrong with a prompt's tokens or template is an error of its own. */
  async #result(job: NativeGenerateJob, signal: AbortSignal | undefined) {
    try {
      return await settle(job, signal)
    } catch (error) {
      throw await explainLogits(this.#engine.folder, error)
    }
  }

  #read(request: GenerateRequest, where: string): ParsedGenerateRequest {
    const r = readGenerateRequest(request, where)
    checkPromptForm(r, where)
    const { vocabSize } = this.#engine.tokenizer
    for (const stop of r.stop) {
      if (typeof stop === 'number' && stop >= Math.max(vocabSize, this.#engine.info.decoder.vocab)) {
        throw invalidArgument(`${where}: stop: no token has the id ${stop}; the vocabulary has ${vocabSize}`)
      }
    }
    return r
  }

  async #prompt(r: ParsedGenerateRequest): Promise<{ ids: number[]; images: NativePicture[] }> {
    const { tokenizer, folder, info } = this.#engine
    const limit = info.decoder.maxPositions
    checkTextLength([r.question ?? '', ...r.steps, ...messageTexts(r)], limit, 'the prompt')
    const images = await this.#engine.pictures(r, 'the request')
    await breathe(r.signal)
    const ids = promptIds(r, {
      tokenizer,
      imageRows: rowsOf(images, info),
      systemMessage: folder.config.system_message,
      ownChat: folder.usesOwnChat(tokenizer),
      recorded: folder.recorded,
    })
    if (ids.length > limit) throw invalidArgument(`the prompt has ${ids.length} tokens, the model has ${limit} positions`)
    return { ids, images }
  }

  async #start(r: ParsedGenerateRequest, stream: boolean): Promise<Started> {
    const { tokenizer, folder, info } = this.#engine
    const { ids, images } = await this.#prompt(r)
    const rules = stopRules(r, opensReasoning(tokenizer.decode(ids.slice(-TAIL))))
    const native: NativeGenerateRequest = {
      prompt: Int32Array.from(ids),
      images,
      imageToken: folder.imageToken(tokenizer),
      numSamples: r.n,
      firstSample: r.firstSample,
      maxTokens: Math.min(r.maxTokens, info.decoder.maxPositions),
      sampling: r.sampling,
      seed: BigInt(r.seed),
      stopIds: Int32Array.from(this.#stopIds(r)),
      logprobs: r.logprobs,
      stream: stream || needsText(rules),
    }
    return { job: this.#engine.native().generate(native), rules, request: r }
  }

  #stopIds(r: ParsedGenerateRequest): number[] {
    const own = r.stopAtEnd ? this.#engine.folder.endTokens(this.#engine.tokenizer) : []
    const known = own.filter((id) => id < this.#engine.info.decoder.vocab)
    return [...known, ...r.stop.filter((stop) => typeof stop === 'number')]
  }

  /** Reads along, so that samples whose text has ended are stopped. */
  async #follow({ job, rules, request }: Started): Promise<void> {
    const done = settle(job, request.signal)
    done.catch(() => {}) // awaited by the caller
    for await (const _ of readStream(job, this.#engine.tokenizer, rules, request.firstSample));
  }

  #completions({ rules, request }: Started, result: Awaited<NativeGenerateJob['promise']>): Completion[] {
    const { tokenizer } = this.#engine
    return result.samples.map((sample, i) =>
      toCompletion(tokenizer, rules, sample, request.firstSample + i, result.numPromptTokens),
    )
  }
}

/** A choice is read at one place, as the exact piece that it is. */
function choiceToken(tokenizer: Tokenizer, choice: string, where: string): number {
  const ids = tokenizer.encodePlain(choice, false)
  if (ids.length === 1) return ids[0] as number
  throw invalidArgument(`${where}: the choice ${JSON.stringify(choice)} is ${ids.length} tokens of this model, and must be one`)
}

function stopRules(r: ParsedGenerateRequest, isReasoning: boolean): StopRules {
  return { strings: r.stop.filter((stop) => typeof stop === 'string'), maxSteps: r.maxSteps, isReasoning }
}

function needsText(rules: StopRules): boolean {
  return rules.strings.length > 0 || rules.maxSteps !== undefined
}
