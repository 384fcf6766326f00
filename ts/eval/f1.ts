/** Counts of a two-class decision, and the figures that step-level benchmarks make of them. */

/** Steps that are right (positive) or wrong, and what was predicted. */
export interface Confusion {
  /** Right, called right. */
  truePositive: number
  /** Wrong, called right. */
  falsePositive: number
  /** Wrong, called wrong. */
  trueNegative: number
  /** Right, called wrong. */
  falseNegative: number
}

export const noSteps = (): Confusion => ({ truePositive: 0, falsePositive: 0, trueNegative: 0, falseNegative: 0 })

export function count(into: Confusion, isRight: boolean, calledRight: boolean): void {
  if (isRight) into[calledRight ? 'truePositive' : 'falseNegative']++
  else into[calledRight ? 'falsePositive' : 'trueNegative']++
}

export function add(into: Confusion, more: Confusion): void {
  for (const key of Object.keys(into) as (keyof Confusion)[]) into[key] += more[key]
}

/** a / b; null where b is 0. */
export const ratio = (a: number, b: number) => (b === 0 ? null : a / b)

/** F1 of one class from its hits, what was called so and what is so; 0 where nothing is either. */
export function f1(hits: number, called: number, actual: number): number {
  return called + actual === 0 ? 0 : (2 * hits) / (called + actual)
}

/** F1 of the right steps. */
export const rightF1 = (c: Confusion) => f1(c.truePositive, c.truePositive + c.falsePositive, c.truePositive + c.falseNegative)

/** F1 of the wrong steps. */
export const wrongF1 = (c: Confusion) => f1(c.trueNegative, c.trueNegative + c.falseNegative, c.trueNegative + c.falsePositive)

/** Harmonic mean of two accuracies; null where both are 0, as the mean has no value there. */
export const harmonic = (a: number, b: number) => ratio(2 * a * b, a + b)
