/** Which problems are the same: alike in their question, and equal in their answer. */
import type { Problem } from '../contracts/problem.ts'
import { hash32 } from '../contracts/random.ts'
import { normalizeQuestion } from './question-text.ts'

export type SameAnswer = (a: Problem, b: Problem) => boolean

/** What is asked: the question, and the choices that a problem lists beside it. */
function textOf({ question, meta }: Problem): string {
  const choices = meta?.['choices'] ?? meta?.['options']
  return normalizeQuestion(choices === undefined || choices === null ? question : `${question}\n${JSON.stringify(choices)}`)
}

/** Answers that are equal as texts; rules know more. */
export const sameText: SameAnswer = (a, b) => a.answer.trim() === b.answer.trim()

/** Problems of one question, one for each answer. */
class Answers {
  readonly #byText = new Map<string, Problem>()

  add(problem: Problem): void {
    this.#byText.set(problem.answer.trim(), problem)
  }

  /** One with the same answer. */
  find(problem: Problem, isSame: SameAnswer): Problem | undefined {
    const equal = this.#byText.get(problem.answer.trim())
    return equal ?? [...this.#byText.values()].find((other) => isSame(other, problem))
  }
}

/** Problems met so far: the same question, pictures and answer is the same problem. */
export class SeenProblems {
  readonly #answers = new Map<string, Answers>()
  readonly #isSame: SameAnswer

  constructor(isSame: SameAnswer) {
    this.#isSame = isSame
  }

  /** Id of the problem that this one repeats; undefined for a new one, which is remembered. */
  repeats(problem: Problem, imageHashes: readonly string[]): string | undefined {
    const key = `${textOf(problem)}\n${imageHashes.join('+')}`
    const answers = this.#answers.get(key) ?? new Answers()
    const before = answers.find(problem, this.#isSame)
    if (before) return before.id
    answers.add(problem)
    this.#answers.set(key, answers)
    return undefined
  }
}

const NGRAM = 8

function ngrams(text: string): Set<number> {
  const words = text.split(' ')
  const grams = new Set<number>()
  for (let i = 0; i + Math.min(NGRAM, words.length) <= words.length; i++) grams.add(hash32(words.slice(i, i + NGRAM).join(' ')))
  return grams
}

interface KnownQuestion {
  numGrams: number
  answers: Answers
}

/** A test set by the word n-grams of its questions, so that a question is compared only with those that share one. */
export class LeakIndex {
  readonly #byGram = new Map<number, KnownQuestion[]>()
  readonly #byText = new Map<string, KnownQuestion>()
  readonly #images = new Map<string, string>()
  readonly #isSame: SameAnswer

  constructor(isSame: SameAnswer) {
    this.#isSame = isSame
  }

  add(problem: Problem, imageHashes: readonly string[]): void {
    for (const hash of imageHashes) this.#images.set(hash, problem.id)
    const text = textOf(problem)
    const question = this.#byText.get(text) ?? this.#addQuestion(text)
    question.answers.add(problem)
  }

  #addQuestion(text: string): KnownQuestion {
    const grams = ngrams(text)
    const question = { numGrams: grams.size, answers: new Answers() }
    this.#byText.set(text, question)
    for (const gram of grams) {
      const sharing = this.#byGram.get(gram)
      if (sharing) sharing.push(question)
      else this.#byGram.set(gram, [question])
    }
    return question
  }

  /** Id of a test problem that this one repeats: by any of its pictures, or by a question alike with the same answer. */
  find(problem: Problem, imageHashes: readonly string[], overlap: number): string | undefined {
    const pictured = imageHashes.find((hash) => this.#images.has(hash))
    if (pictured !== undefined) return this.#images.get(pictured)
    const grams = ngrams(textOf(problem))
    const shared = new Map<KnownQuestion, number>()
    for (const gram of grams) for (const q of this.#byGram.get(gram) ?? []) shared.set(q, (shared.get(q) ?? 0) + 1)
    for (const [{ numGrams, answers }, count] of shared) {
      if (count / (grams.size + numGrams - count) < overlap) continue
      const same = answers.find(problem, this.#isSame)
      if (same) return same.id
    }
    return undefined
  }
}
