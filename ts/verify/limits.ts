/**
 * What keeps a verdict short. Every loop whose length a text decides pays for its rounds here, and whatever would be
 * too long, too deep or too large ends in `Undecided`: no verdict, which is not the same as "different".
 */
export class Undecided extends Error {}

/** Has no value: 1/0, ln 0, a factorial of 0.3. Not an error of ours, and no ground for a verdict either. */
export class Undefined extends Error {}

/** Characters of an answer; a longer one is no final answer. */
export const MAX_ANSWER = 4000
/** Of a whole solution only so much of its end is searched for the answer. */
export const MAX_SOLUTION = 1 << 17
/** Brackets, exponents and signs within each other. */
export const MAX_DEPTH = 60
/** Bits of an exact whole number: about 5,000 digits. */
export const MAX_BITS = 17_000
/** Items of a list, cells of a matrix. */
export const MAX_ITEMS = 400

/** Some 30 ns each, so that the longest verdict takes tens of milliseconds; a usual one takes thousands of them. */
const STEPS = 1_500_000

let left = STEPS

/** Before each verdict. WHY module state: verdicts are synchronous, and all arithmetic below would have to hand it on. */
export function startSteps(): void {
  left = STEPS
}

/** @throws Undecided where the verdict has taken all its steps */
export function spend(steps: number): void {
  left -= steps
  if (left < 0) throw new Undecided('too many steps')
}
