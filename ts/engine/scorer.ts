/** `engine.scoreSteps` and `engine.scoreCandidates`: from solutions to prompts with markers, and back to scores. */
import type { z } from 'zod'
import { EngineError, type ErrorCode, invalidArgument } from '../contracts/errors.ts'
import { validate } from '../contracts/validate.ts'
import type { Reward, ScoringFamily, ScoringPrompt, ScoringRequest } from './families/index.ts'
import { type GeneratorContext, rowsOf } from './generator.ts'
import { mergedSteps } from './merged-steps.ts'
import type { NativePicture } from './native.ts'
import { nonFiniteError } from './non-finite.ts'
import { type LogprobsRequest, type ScoreManyRequest, type ScoreOneRequest, scoreManySchema, scoreOneSchema } from './options.ts'
import { settle } from './settle.ts'
import { breathe, checkTextLength } from './text-bounds.ts'
import { tokenLogprobs } from './token-logprobs.ts'
import type { Tokenizer } from './tokenizer/index.ts'

export interface ScoredSteps {
  scores: number[]
  /**
   * Per step, raw: `[yes, no]` for pair families, one value per class or head for reward heads, the sum for implicit ones.
   */
  logits: number[][]
  /** Of an ensemble, per step: the standard deviation (n − 1) of its heads' probabilities; 0 where there is one head. */
  std?: number[]
}

/** Why one candidate has no scores; the others have theirs. */
export interface CandidateError {
  /** Index among the solutions. */
  candidate: number
  code: ErrorCode
  message: string
}

/** What can be scored of many solutions. */
export interface ScoredCandidates {
  /** Per solution one score per step; null where `errors` says why. */
  scores: (number[] | null)[]
  /** As those of ScoredSteps, where `returnLogits` asks for them. */
  logits?: (number[][] | null)[]
  /** As those of ScoredSteps, of ensembles alone. */
  std?: (number[] | null)[]
  errors: CandidateError[]
}

/** With the tokens of the prompts that were read. */
export type CountedSteps = ScoredSteps & { numTokens: number }

/** A prompt as it stands, as text in which names of special tokens are these tokens, or as token ids, which are all of it. */
export type MarkedRequest = ({ text: string } | { tokens: readonly number[] }) & { signal?: AbortSignal | undefined }

/** What an open engine lends. */
export interface ScorerContext extends GeneratorContext {
  /** Parts of a solution that are scored at most; absent: its steps. */
  readonly mergeSteps?: number | undefined
  /** @throws EngineError UNSUPPORTED_MODEL */
  family(): ScoringFamily
  /** Log-probabilities under the model that this one was trained from, where a family compares them. */
  reference(): { tokenLogprobs(request: LogprobsRequest): Promise<number[]>; readonly tokenizer: Tokenizer } | undefined
}

type ParsedRequest = z.output<typeof scoreManySchema>

export class Scorer {
  readonly #engine: ScorerContext

  constructor(engine: ScorerContext) {
    this.#engine = engine
  }

  /** One list of scores, or one per solution, as was asked. */
  async scoreSteps(request: ScoreOneRequest | ScoreManyRequest): Promise<unknown> {
    const { steps, solutions, ...r } = readScoreRequest(request)
    const name = (i: number) => (solutions ? `solutions[${i}]` : 'steps')
    const results = (await this.#score({ ...r, solutions: solutions ?? [steps ?? []] }, name)).map((scored) => {
      if (scored instanceof EngineError) throw scored
      const { numTokens: _, ...told } = scored
      return r.returnLogits ? told : told.scores
    })
    return solutions ? results : results[0]
  }

  async scoreCounted(request: ScoreOneRequest): Promise<CountedSteps> {
    const { steps, ...r } = validate(scoreOneSchema, request, 'engine.scoreCounted')
    const [scored] = await this.#score({ ...r, solutions: [steps] }, () => 'steps')
    if (scored instanceof EngineError) throw scored
    return scored as CountedSteps
  }

  async scoreCandidates(request: ScoreManyRequest): Promise<ScoredCandidates> {
    const r = validate(scoreManySchema, request, 'engine.scoreCandidates')
    const scored = await this.#score(r, (i) => `solutions[${i}]`)
    return {
      scores: scored.map((s) => (s instanceof EngineError ? null : s.scores)),
      ...(r.returnLogits && { logits: scored.map((s) => (s instanceof EngineError ? null : s.logits)) }),
      ...(scored.some((s) => 'std' in s) && { std: scored.map((s) => (s instanceof EngineError ? null : (s.std ?? []))) }),
      errors: scored.flatMap((s, candidate) =>
        s instanceof EngineError ? [{ candidate, code: s.code, message: s.message }] : [],
      ),
    }
  }

  /** A prompt with the family's own marker behind each step: read at every marker. */
  async scoreMarked({ signal, ...prompt }: MarkedRequest): Promise<CountedSteps> {
    const { slots, native, info } = this.#engine
    const { maxPositions } = info.decoder
    const release = await slots.take(signal)
    try {
      native()
      const { id: marker, reward } = this.#marker()
      await breathe(signal)
      const ids = 'tokens' in prompt ? this.#checked(prompt.tokens) : this.#whole(prompt.text)
      const markers = ids.flatMap((id, i) => (id === marker ? [i] : []))
      if (markers.length === 0) throw invalidArgument(`engine.scoreMarked: the prompt has no step marker ${this.markerText()}`)
      if (ids.length > maxPositions)
        throw invalidArgument(`engine.scoreMarked: ${ids.length} tokens, the model has ${maxPositions} positions`)
      const [scored] = await this.#scorePrompts([{ ids, markers, reward }], [], signal)
      return { ...(scored as ScoredSteps), numTokens: ids.length }
    } finally {
      release()
    }
  }

  /** A text that came out of a chat template may begin with the prefix already. */
  #whole(text: string): number[] {
    const { tokenizer, info } = this.#engine
    checkTextLength([text], info.decoder.maxPositions, 'engine.scoreMarked')
    const own = tokenizer.encode(text)
    return tokenizer.prefixIds.every((id, i) => own[i] === id) ? own : [...tokenizer.prefixIds, ...own]
  }

  #checked(tokens: readonly number[]): number[] {
    const { vocab } = this.#engine.info.decoder
    const strange = tokens.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab)
    if (strange === undefined) return [...tokens]
    throw invalidArgument(`engine.scoreMarked: no token has the id ${strange}; the model has ${vocab}`)
  }

  /** What stands behind each step in the prompts of the checkpoint's family. @throws EngineError UNSUPPORTED_MODEL */
  markerText(): string {
    return this.#engine.tokenizer.decode([this.#marker().id]).trim()
  }

  #marker() {
    const family = this.#engine.family()
    if (family.marked === false)
      throw invalidArgument(`${family.name} scoring reads no marker behind a step: give question and steps`)
    const { ids, markers, reward } = family.prompt(this.#engine.tokenizer, { question: 'q', steps: ['s'], imageRows: [] })
    return { id: ids[markers[0] as number] as number, reward }
  }

  /** One entry per solution: its scores, or what is wrong with it alone. `name`: what errors call a solution. */
  async #score(r: ParsedRequest, name: (index: number) => string): Promise<(CountedSteps | EngineError)[]> {
    const { slots, native, family, info, pictures } = this.#engine
    const release = await slots.take(r.signal)
    try {
      native()
      const readAs = family()
      checkTextLength([r.question], info.decoder.maxPositions, 'engine.scoreSteps: the question')
      const images = await pictures(r, 'engine.scoreSteps')
      const imageRows = rowsOf(images, info)
      const prompts: (ScoringPrompt[] | EngineError)[] = []
      for (const [i, steps] of r.solutions.entries()) {
        await breathe(r.signal)
        prompts.push(ownFault(() => this.#prompts(readAs, { question: r.question, steps, imageRows }, name(i))))
      }
      const asked = prompts.flatMap((p) => (p instanceof EngineError ? [] : p))
      const scored = await this.#scorePrompts(asked, images, r.signal)
      return prompts.map((p, i) => {
        if (p instanceof EngineError) return p
        const parts = joined(scored.splice(0, p.length))
        return { ...this.#spread(r.solutions[i] as string[], parts), numTokens: sum(p.map(({ ids }) => ids.length)) }
      })
    } finally {
      release()
    }
  }

  /** Scores of parts as those of the steps in them. */
  #spread(steps: readonly string[], { scores, logits, std }: ScoredSteps): ScoredSteps {
    const { spread } = mergedSteps(steps, this.#engine.mergeSteps)
    return { scores: spread(scores), logits: spread(logits), ...(std && { std: spread(std) }) }
  }

  async #scorePrompts(
    prompts: ScoringPrompt[],
    images: NativePicture[],
    signal: AbortSignal | undefined,
  ): Promise<ScoredSteps[]> {
    const reward = prompts[0]?.reward
    if (!reward) return []
    if (reward.kind === 'ratio') return this.#scoreRatios(prompts, signal)
    const { native, folder, tokenizer } = this.#engine
    const result = await settle(
      native().forward({
        sequences: prompts.map((p) => Int32Array.from(p.ids)),
        wanted: prompts.map((p) => Int32Array.from(p.markers)),
        images,
        imageToken: folder.imageToken(tokenizer),
        ...(reward.kind === 'pair'
          ? { output: 'pair' as const, pair: Int32Array.of(reward.yes, reward.no) }
          : { output: 'classes' as const }),
        hidden: false,
      }),
      signal,
    )
    return this.#finite(result.values.map((values) => toScores(values, result.width, reward)))
  }

  async #finite(scored: ScoredSteps[]): Promise<ScoredSteps[]> {
    for (const { scores, logits } of scored) {
      const bad = logits.findIndex((row, step) => !row.every(Number.isFinite) || !Number.isFinite(scores[step]))
      if (bad >= 0) throw await nonFiniteError(this.#engine.folder, `the score of step ${bad + 1}`)
    }
    return scored
  }

  /** WHY one after the other: whole rows of the vocabulary are read, which no packed tree of many solutions has room for. */
  async #scoreRatios(prompts: readonly ScoringPrompt[], signal: AbortSignal | undefined): Promise<ScoredSteps[]> {
    const reference = this.#engine.reference()
    const scored: ScoredSteps[] = []
    for (const { ids, markers, reward } of prompts) {
      if (reward.kind !== 'ratio' || !reference) throw invalidArgument('scoring needs a reference model')
      checkSameTokens(this.#engine.tokenizer, reference.tokenizer, ids)
      const request = { tokens: ids, first: reward.first, signal }
      const [own, theirs] = await Promise.all([tokenLogprobs(this.#engine, request), reference.tokenLogprobs(request)])
      const ratios = own.map((value, i) => value - (theirs[i] as number))
      const logits = markers.map((row) => [reward.beta * sum(ratios.slice(0, row - reward.first + 1))])
      scored.push({ scores: logits.map(([value = 0]) => sigmoid(value)), logits })
    }
    return this.#finite(scored)
  }

  /** One for a solution, or for each of its steps; none for a solution without steps. */
  #prompts(family: ScoringFamily, request: ScoringRequest, name: string): ScoringPrompt[] {
    const { steps } = request
    const blank = steps.findIndex((step) => step.trim() === '')
    if (blank >= 0) throw invalidArgument(`${name}[${blank}]: is empty: a step needs text`)
    const { maxPositions } = this.#engine.info.decoder
    checkTextLength(steps, maxPositions, name)
    const { parts } = mergedSteps(steps, this.#engine.mergeSteps)
    const asked = family.perStep ? parts.map((_, i) => parts.slice(0, i + 1)) : parts.length > 0 ? [parts] : []
    return asked.map((some) => {
      const prompt = family.prompt(this.#engine.tokenizer, { ...request, steps: some })
      if (prompt.ids.length <= maxPositions) return prompt
      throw invalidArgument(`${name}: ${prompt.ids.length} tokens, the model has ${maxPositions} positions`)
    })
  }
}

const joined = (parts: readonly ScoredSteps[]): ScoredSteps => ({
  scores: parts.flatMap((part) => part.scores),
  ...(parts.some((part) => part.std) && { std: parts.flatMap((part) => part.std ?? []) }),
  logits: parts.flatMap((part) => part.logits),
})

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

/** Probabilities of two models can be compared only where both read the same pieces. @throws EngineError INVALID_ARGUMENT */
function checkSameTokens(own: Tokenizer, theirs: Tokenizer, ids: readonly number[]): void {
  const strange = ids.findIndex((id) => own.decode([id]) !== theirs.decode([id]))
  if (strange < 0) return
  const id = ids[strange] as number
  throw invalidArgument(
    `the reference model has other tokens: ${id} is "${theirs.decode([id])}" there and "${own.decode([id])}" here`,
  )
}

/** What `work` gives, or what it finds wrong with its argument. */
function ownFault<T>(work: () => T): T | EngineError {
  try {
    return work()
  } catch (error) {
    if (error instanceof EngineError && error.code === 'ERR_ENGINE_INVALID_ARGUMENT') return error
    throw error
  }
}

function readScoreRequest(request: ScoreOneRequest | ScoreManyRequest) {
  const many = typeof request === 'object' && request !== null && 'solutions' in request
  if (many && 'steps' in request) throw invalidArgument('engine.scoreSteps: give either "steps" or "solutions", not both')
  return many
    ? { steps: undefined, ...validate(scoreManySchema, request, 'engine.scoreSteps') }
    : { solutions: undefined, ...validate(scoreOneSchema, request, 'engine.scoreSteps') }
}

/** Per row one logit of each head: the mean of their sigmoids, and their spread. */
function ensembleScores(logits: readonly number[][]): { scores: number[]; std: number[] } {
  const rows = logits.map((row) => row.map(sigmoid))
  const scores = rows.map((row) => sum(row) / row.length)
  const spread = (row: readonly number[], mean: number) =>
    row.length < 2 ? 0 : Math.sqrt(sum(row.map((p) => (p - mean) ** 2)) / (row.length - 1))
  return { scores, std: rows.map((row, i) => spread(row, scores[i] as number)) }
}

/** Per row of `width` logits: softmax, read where the reward stands; sigmoid of the one value of a value head. */
function toScores(values: Float32Array, width: number, reward: Reward): ScoredSteps {
  const positive = reward.kind === 'classes' ? reward.positive : 0
  const logits: number[][] = []
  for (let at = 0; at < values.length; at += width) logits.push([...values.subarray(at, at + width)])
  if (reward.kind === 'ensemble') return { ...ensembleScores(logits), logits }
  if (reward.kind === 'logit') return { scores: logits.map(([logit = 0]) => sigmoid(logit)), logits }
  const scores = logits.map((row) => 1 / row.reduce((sum, l) => sum + Math.exp(l - (row[positive] as number)), 0))
  return { scores, logits }
}
