/**
 * Curation: which problems are fit to be searched, and why the others are not. Every check is an option; checks
 * that need a policy come last, on what the cheap ones left over.
 */
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError, policyError } from '../contracts/errors.ts'
import { type Problem, type ProblemImage, picturesOf } from '../contracts/problem.ts'
import { hashPixels } from '../images/index.ts'
import { LeakIndex, type SameAnswer, SeenProblems, sameText } from './alike.ts'
import { askPolicy, checkPolicyFilter, type PolicyFilterOptions, type PolicyObjection } from './policy-filter.ts'

export const QUESTION_TYPES = ['choice', 'yes-no', 'number', 'expression', 'proof', 'words'] as const
export type QuestionType = (typeof QUESTION_TYPES)[number]

export interface CurateOptions extends PolicyFilterOptions {
  problems: AsyncIterable<Problem> | Iterable<Problem>
  /** Types to keep. Default: all but proofs and words. */
  types?: readonly QuestionType[]
  /** Problems of a test set: questions (nearly) equal to theirs, with the same answer, are leaks, and so are equal images. */
  testSet?: readonly Problem[]
  /** Share of shared word n-grams from which two questions count as the same. Default 0.8. */
  leakOverlap?: number
  /** Whether rules can decide about an answer at all: an answer equals itself, and is no prose. */
  isVerifiable: (answer: string) => boolean
  /** Whether two problems of one question have the same answer. Default: equal texts. */
  isSameAnswer?: SameAnswer
  /** A name for what an image shows; throws where it is broken. Default: decoded as the engine does, a hash of the pixels. */
  hashImage?: (image: ProblemImage) => Promise<string>
  /** Problems that the policy is asked about at once. Default 1. */
  inFlight?: number
  onProgress?: (done: number) => void
}

export type DropReason = 'duplicate' | 'image' | 'unverifiable' | 'type' | 'leak' | PolicyObjection['reason']
export interface Dropped {
  id: string
  reason: DropReason
  detail: string
}

/** So many in a row mean that the policy itself is out of order. */
const MAX_FAILURES_IN_A_ROW = 8

export function questionType(problem: Problem, isVerifiable: (answer: string) => boolean): QuestionType {
  const { question, answer } = problem
  if (/\b(?:prove|show that|justify|explain why)\b/i.test(question)) return 'proof'
  if (/^\(?[A-J]\)?\.?$/.test(answer.trim()) && /(?:^|[\s(])[A-D][).:]/m.test(question)) return 'choice'
  if (/^(?:yes|no|true|false)\.?$/i.test(answer.trim())) return 'yes-no'
  if (/^[-+]?[\d.,/\s]+%?$/.test(answer.trim())) return 'number'
  return isVerifiable(answer) ? 'expression' : 'words'
}

const DEFAULT_TYPES: readonly QuestionType[] = ['choice', 'yes-no', 'number', 'expression']

type Settings = Omit<CurateOptions, 'problems'>

class Curator {
  readonly #o: Settings
  readonly #seen: SeenProblems
  readonly #leaks: LeakIndex

  constructor(options: Settings) {
    this.#o = options
    this.#seen = new SeenProblems(options.isSameAnswer ?? sameText)
    this.#leaks = new LeakIndex(options.isSameAnswer ?? sameText)
  }

  async prepare(): Promise<void> {
    for (const problem of this.#o.testSet ?? []) this.#leaks.add(problem, await this.#hashes(problem).catch(() => []))
  }

  async #hashes(problem: Problem): Promise<string[]> {
    const { hashImage = (image: ProblemImage) => hashPixels(image, { signal: this.#o.signal }) } = this.#o
    const hashes: string[] = []
    for (const picture of picturesOf(problem)) hashes.push(await hashImage(picture))
    return hashes
  }

  /** Why the problem is dropped without asking a policy, or undefined. */
  async screen(problem: Problem): Promise<Omit<Dropped, 'id'> | undefined> {
    let hashes: string[]
    try {
      hashes = await this.#hashes(problem)
    } catch (error) {
      if (error instanceof EngineError && error.code === 'ERR_ENGINE_ABORTED') throw error
      return { reason: 'image', detail: (error as Error).message }
    }
    const type = questionType(problem, this.#o.isVerifiable)
    if (!(this.#o.types ?? DEFAULT_TYPES).includes(type))
      return { reason: type === 'words' ? 'unverifiable' : 'type', detail: type }
    if (type === 'expression' && !this.#o.isVerifiable(problem.answer)) return { reason: 'unverifiable', detail: problem.answer }
    const before = this.#seen.repeats(problem, hashes)
    if (before !== undefined) return { reason: 'duplicate', detail: `same question, image and answer as ${before}` }
    const leak = this.#leaks.find(problem, hashes, this.#o.leakOverlap ?? 0.8)
    if (leak !== undefined) return { reason: 'leak', detail: `as ${leak} of the test set` }
    return undefined
  }
}

type Result = { problem: Problem; dropped?: Dropped }

/** Yields every problem as kept or dropped, in order. @throws EngineError INVALID_ARGUMENT (also what the policy's server refuses), ABORTED, POLICY (it fails again and again) */
export async function* curate({ problems, ...options }: CurateOptions): AsyncGenerator<Result> {
  checkPolicyFilter(options)
  const { inFlight = 1, signal, onProgress, onWarning, policy } = options
  const curator = new Curator(options)
  await curator.prepare()
  for (const warning of (await policy?.prepare?.(signal)) ?? []) onWarning?.(warning)
  const waiting: Promise<Result>[] = []
  let done = 0
  let failuresInARow = 0
  const first = async () => {
    const result = await (waiting.shift() as Promise<Result>)
    onProgress?.(++done)
    failuresInARow = result.dropped?.reason === 'policy' ? failuresInARow + 1 : 0
    if (failuresInARow < MAX_FAILURES_IN_A_ROW) return result
    throw policyError(`${failuresInARow} problems in a row failed; the last one: ${result.dropped?.detail}`)
  }
  for await (const problem of problems) {
    throwIfAborted(signal, 'curation')
    const dropped = await curator.screen(problem)
    const result = Promise.resolve(dropped ?? askPolicy(problem, options)).then((why) =>
      why ? { problem, dropped: { id: problem.id, ...why } } : { problem },
    )
    result.catch(() => {}) // thrown when its turn comes
    waiting.push(result)
    if (waiting.length >= inFlight) yield await first()
  }
  while (waiting.length > 0) yield await first()
}
