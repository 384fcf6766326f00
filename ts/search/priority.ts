/** Q and U of OmegaPRM (arXiv 2406.06592, eq. 2 and 3), with the constants of MM-PRM (arXiv 2505.13427). */

export interface PriorityOptions {
  readonly cPuct: number
  readonly alpha: number
  readonly beta: number
  readonly lengthScale: number
}

/** What Python's str.split() splits at; JavaScript's \s differs in six characters. */
const PYTHON_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/

export function countWords(rollout: readonly string[]): number {
  return rollout
    .join('\n')
    .split(PYTHON_SPACE)
    .filter((word) => word !== '').length
}

/** Q(s, r) = α^(1 − MC(s)) · β^(words(r) / L) */
export function q(mc: number, words: number, o: PriorityOptions): number {
  return o.alpha ** (1 - mc) * o.beta ** (words / o.lengthScale)
}

/** U(s) = c_puct · sqrt(Σ N) / (1 + N(s)) */
export function u(totalVisits: number, visits: number, o: PriorityOptions): number {
  return (o.cPuct * Math.sqrt(totalVisits)) / (1 + visits)
}
