/**
 * Curation: which problems are fit to be searched, and why the others are not. Every check is an option; checks
 * that need a policy come last, on what the cheap ones left over.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import type { Policy } from '../contracts/policy.ts'
import type { Problem, ProblemImage } from '../contracts/problem.ts'
import { hash32 } from '../contracts/random.ts'
import type { Verifier } from '../contracts/verifier.ts'

export const QUESTION_TYPES = ['choice', 'yes-no', 'number', 'expression', 'proof', 'words'] as const
export type QuestionType = (typeof QUESTION_TYPES)[number]

export interface CurateOptions {
  /** Types to keep. Default: all but proofs and words. */
  types?: readonly QuestionType[]
  /** Problems of a test set: equal or nearly equal questions, and equal images, are leaks. */
  testSet?: readonly Problem[]
  /** Share of shared word n-grams from which two questions count as the same. Default 0.8. */
  leakOverlap?: number
  /** For the two filters below. */
  policy?: Policy
  verifier: Verifier
  /** Whether rules can decide about an answer at all: an answer equals itself, and is no prose. */
  isVerifiable: (answer: string) => boolean
  /** Decodes an image; throws where it is broken. Returns its pixels' hash. */
  hashImage?: (image: ProblemImage) => Promise<string>
  /** Drop problems that the policy solves this often without their image (needs a policy). */
  maxTextOnlyRate?: number
  /** Keep problems whose pass rate lies strictly between these (needs a policy). Default when a policy is given: 0 and 1. */
  passRate?: { above: number; below: number }
  rolloutsPerProblem?: number
  seed?: number
  onProgress?: (done: number) => void
  signal?: AbortSignal
}

export type DropReason = 'duplicate' | 'image' | 'unverifiable' | 'type' | 'leak' | 'text-only' | 'pass-rate'
export interface Dropped {
  id: string
  reason: DropReason
  detail: string
}

const NGRAM = 8

/** Letters and digits only, case and spacing folded. */
export function normalizeQuestion(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
}

export function questionType(problem: Problem, isVerifiable: (answer: string) => boolean): QuestionType {
  const { question, answer } = problem
  if (/\b(?:prove|show that|justify|explain why)\b/i.test(question)) return 'proof'
  if (/^\(?[A-J]\)?\.?$/.test(answer.trim()) && /(?:^|[\s(])[A-D][).:]/m.test(question)) return 'choice'
  if (/^(?:yes|no|true|false)\.?$/i.test(answer.trim())) return 'yes-no'
  if (/^[-+]?[\d.,/\s]+%?$/.test(answer.trim())) return 'number'
  return isVerifiable(answer) ? 'expression' : 'words'
}

function ngrams(text: string): Set<number> {
  const words = text.split(' ')
  const grams = new Set<number>()
  for (let i = 0; i + Math.min(NGRAM, words.length) <= words.length; i++) grams.add(hash32(words.slice(i, i + NGRAM).join(' ')))
  return grams
}

/** Index of test questions by n-gram, so that a question is compared only with those that share one. */
class LeakIndex {
  readonly #byGram = new Map<number, number[]>()
  readonly #sizes: number[] = []
  readonly #ids: string[] = []
  readonly #images = new Map<string, string>()

  add(problem: Problem, imageHash: string | undefined): void {
    const index = this.#ids.push(problem.id) - 1
    const grams = ngrams(normalizeQuestion(problem.question))
    this.#sizes.push(grams.size)
    for (const gram of grams) this.#byGram.set(gram, [...(this.#byGram.get(gram) ?? []), index])
    if (imageHash) this.#images.set(imageHash, problem.id)
  }

  /** Id of a test problem that this one repeats. */
  find(problem: Problem, imageHash: string | undefined, overlap: number): string | undefined {
    const sameImage = imageHash && this.#images.get(imageHash)
    if (sameImage) return sameImage
    const grams = ngrams(normalizeQuestion(problem.question))
    const shared = new Map<number, number>()
    for (const gram of grams) for (const i of this.#byGram.get(gram) ?? []) shared.set(i, (shared.get(i) ?? 0) + 1)
    for (const [i, count] of shared) {
      if (count / (grams.size + (this.#sizes[i] as number) - count) >= overlap) return this.#ids[i]
    }
    return undefined
  }
}

/** Pass rate over judged rollouts; null where none could be judged. */
async function passRate(problem: Problem, o: CurateOptions, salt: string): Promise<number | null> {
  const policy = o.policy as Policy
  const request = {
    problem,
    prefix: [],
    seed: hash32(`${o.seed ?? 0} ${salt} ${problem.id}`),
    from: 0,
    count: o.rolloutsPerProblem ?? 8,
  }
  const [rollouts] = await policy.rollouts([request], o.signal)
  const verdicts = new Map<string, boolean>()
  let judged = 0
  let right = 0
  for (const rollout of rollouts ?? []) {
    if (rollout.outcome !== 'complete') continue
    const answer = o.verifier.extract(rollout.steps.at(-1) ?? '')
    if (answer === null) continue
    let match = verdicts.get(answer)
    if (match === undefined) {
      match = (await o.verifier.verify(problem, answer, o.signal)).match
      verdicts.set(answer, match)
    }
    judged++
    if (match) right++
  }
  return judged === 0 ? null : right / judged
}

const DEFAULT_TYPES: readonly QuestionType[] = ['choice', 'yes-no', 'number', 'expression']

class Curator {
  readonly #o: CurateOptions
  readonly #seen = new Map<string, string>()
  readonly #leaks = new LeakIndex()

  constructor(options: CurateOptions) {
    this.#o = options
  }

  async prepare(): Promise<void> {
    for (const problem of this.#o.testSet ?? []) this.#leaks.add(problem, await this.#hash(problem).catch(() => undefined))
  }

  async #hash(problem: Problem): Promise<string | undefined> {
    if (problem.image === undefined) return undefined
    if (this.#o.hashImage) return this.#o.hashImage(problem.image)
    const bytes =
      typeof problem.image === 'string' && !/^data:/i.test(problem.image) ? await readFile(problem.image) : problem.image
    return createHash('sha256').update(bytes).digest('hex')
  }

  /** Why the problem is dropped, or undefined. */
  async judge(problem: Problem): Promise<Omit<Dropped, 'id'> | undefined> {
    let imageHash: string | undefined
    try {
      imageHash = await this.#hash(problem)
    } catch (error) {
      if (error instanceof EngineError && error.code === 'ERR_ENGINE_ABORTED') throw error
      return { reason: 'image', detail: (error as Error).message }
    }
    const type = questionType(problem, this.#o.isVerifiable)
    if (!(this.#o.types ?? DEFAULT_TYPES).includes(type))
      return { reason: type === 'words' ? 'unverifiable' : 'type', detail: type }
    if (type === 'expression' && !this.#o.isVerifiable(problem.answer)) return { reason: 'unverifiable', detail: problem.answer }
    const key = `${normalizeQuestion(problem.question)}\n${imageHash ?? ''}`
    const before = this.#seen.get(key)
    if (before !== undefined) return { reason: 'duplicate', detail: `same question and image as ${before}` }
    this.#seen.set(key, problem.id)
    const leak = this.#leaks.find(problem, imageHash, this.#o.leakOverlap ?? 0.8)
    if (leak !== undefined) return { reason: 'leak', detail: `as ${leak} of the test set` }
    return this.#o.policy ? this.#askPolicy(problem) : undefined
  }

  async #askPolicy(problem: Problem): Promise<Omit<Dropped, 'id'> | undefined> {
    const { maxTextOnlyRate, passRate: bounds = { above: 0, below: 1 } } = this.#o
    if (maxTextOnlyRate !== undefined && problem.image !== undefined) {
      const { image: _, ...blind } = problem
      const rate = await passRate(blind, this.#o, 'text-only')
      if (rate !== null && rate >= maxTextOnlyRate)
        return { reason: 'text-only', detail: `solved without its image at a rate of ${rate}` }
    }
    const rate = await passRate(problem, this.#o, 'pass-rate')
    if (rate !== null && rate > bounds.above && rate < bounds.below) return undefined
    return { reason: 'pass-rate', detail: rate === null ? 'no rollout could be judged' : `solved at a rate of ${rate}` }
  }
}

/** Yields every problem as kept or dropped, in order. */
export async function* curate(
  problems: AsyncIterable<Problem> | Iterable<Problem>,
  options: CurateOptions,
): AsyncGenerator<{ problem: Problem; dropped?: Dropped }> {
  if (!options.policy && (options.maxTextOnlyRate !== undefined || options.passRate)) {
    throw invalidArgument('curate: the pass-rate and text-only filters need a policy')
  }
  const curator = new Curator(options)
  await curator.prepare()
  let done = 0
  for await (const problem of problems) {
    if (options.signal?.aborted)
      throw new EngineError('ERR_ENGINE_ABORTED', 'curation was aborted', { cause: options.signal.reason })
    const dropped = await curator.judge(problem)
    options.onProgress?.(++done)
    yield dropped ? { problem, dropped: { id: problem.id, ...dropped } } : { problem }
  }
}
