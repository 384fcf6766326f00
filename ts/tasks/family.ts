/**
 * A family of problems: draws latent values, a picture of them, a question, and the one plan of steps that solves
 * it, in varying words. Which step of a written solution is truly wrong is decided here, from the latent values.
 */
import type { Canvas } from './canvas.ts'

/** Seeded choices of one problem. */
export interface Dice {
  /** Whole number from low to high, both included. */
  int(low: number, high: number): number
  pick<T>(list: readonly T[]): T
  shuffle<T>(list: readonly T[]): T[]
  chance(probability: number): boolean
}

export type Level = 1 | 2 | 3

export interface PlannedStep {
  /** In the drawn wording. */
  text: string
  /** What the step claims: numbers, names and signs of arithmetic in the order in which any wording says them. */
  claim: readonly (string | number)[]
}

/** A common wrong way: the plan up to step `at`, then these steps and this answer. Its first step is truly wrong. */
export interface Mistake {
  at: number
  steps: readonly PlannedStep[]
  answer: string
}

export interface Draft {
  question: string
  steps: PlannedStep[]
  answer: string
  /** Absent where there is no wrong way, or where it would come out right. */
  mistake?: Mistake | undefined
  draw(canvas: Canvas): void
  /** Values that the picture shows, for the test that text, picture and answer agree. */
  facts: Record<string, number>
}

export type Novelty = 'tasks' | 'pictures'

export interface Family {
  name: string
  /** Kept out of all training. What is new here: the whole task, or the pictures that a known question is about. */
  outOfDomain?: Novelty
  /** Words that a claim may name, beside numbers. */
  names: readonly string[]
  /** Share of written solutions that go the wrong way where there is one, as a corpus of pupils' work would have it. */
  mistakeRate: number
  draft(dice: Dice, level: Level): Draft
}

/** One of several wordings with its values in place. */
export function say(dice: Dice, claim: readonly (string | number)[], wordings: readonly string[]): PlannedStep {
  let at = 0
  const text = dice.pick(wordings).replace(/#/g, () => String(claim[at++]))
  if (at !== claim.length) throw new RangeError(`"${text}" has ${at} places for ${claim.length} values`)
  return { text, claim }
}

const sign = {
  '+': (a: number, b: number) => a + b,
  '-': (a: number, b: number) => a - b,
  '*': (a: number, b: number) => a * b,
} as const

/** `a + b = c`, the step of arithmetic that all families share. */
export function calculate(dice: Dice, a: number, op: keyof typeof sign, b: number): PlannedStep & { value: number } {
  const value = sign[op](a, b)
  return { ...say(dice, [a, op, b, value], ['# # # = #.', 'Compute # # # = #.', 'So # # # = #.']), value }
}

/** A mistake that matters: none where its answer is the right one all the same. */
export function mistakeUnless(answer: string, mistake: Mistake): Mistake | undefined {
  return mistake.answer === answer ? undefined : mistake
}
