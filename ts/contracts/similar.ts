/** Steps that say the same in other words (grouping of candidates, arXiv 2504.19981). */

/** Texts longer than this are compared up to it: the work grows with the square. */
const MAX_COMPARED = 2_000
/** Where all pairs of many are compared. */
const MAX_COMPARED_OF_MANY = 400
export const SIMILAR_RATIO = 0.85

/** 2 · (characters that both have in one order) / (all of both): 1 for equal texts. */
export function ratio(one: string, other: string, most = MAX_COMPARED): number {
  const [a, b] = [one.slice(0, most), other.slice(0, most)]
  if (a === b) return 1
  if (a.length === 0 || b.length === 0) return 0
  return (2 * commonLength(a, b)) / (a.length + b.length)
}

/** Of the longest common subsequence. */
function commonLength(a: string, b: string): number {
  let row = new Uint16Array(b.length + 1)
  let before = new Uint16Array(b.length + 1)
  for (let i = 0; i < a.length; i++) {
    ;[row, before] = [before, row]
    const char = a.charCodeAt(i)
    for (let j = 0; j < b.length; j++)
      row[j + 1] = char === b.charCodeAt(j) ? (before[j] as number) + 1 : Math.max(row[j] as number, before[j + 1] as number)
  }
  return row[b.length] as number
}

const NUMBER = /-?\d+(?:[.,]\d+)*/g
const lastNumber = (text: string) => text.match(NUMBER)?.at(-1)?.replaceAll(',', '')

/** Sums, products and brackets of plain numbers; undefined for anything else. */
export function evaluate(text: string): number | undefined {
  const tokens = text.replace(/\s+/g, '').match(/\d+(?:\.\d+)?|[-+*/()]|./g) ?? []
  let at = 0
  const factor = (): number => {
    const token = tokens[at++]
    if (token === '-') return -factor()
    if (token === '(') {
      const value = sum()
      return tokens[at++] === ')' ? value : Number.NaN
    }
    return token !== undefined && /^\d/.test(token) ? Number(token) : Number.NaN
  }
  const chain = (next: () => number, signs: Readonly<Record<string, (a: number, b: number) => number>>): number => {
    let value = next()
    for (let sign = signs[tokens[at] ?? '']; sign; sign = signs[tokens[at] ?? '']) {
      at++
      value = sign(value, next())
    }
    return value
  }
  const product = () => chain(factor, { '*': (a, b) => a * b, '/': (a, b) => a / b })
  const sum = (): number => chain(product, { '+': (a, b) => a + b, '-': (a, b) => a - b })
  if (tokens.length > MAX_COMPARED) return undefined
  const value = sum()
  return at === tokens.length && Number.isFinite(value) ? value : undefined
}

/** What a step comes to: the value behind its last `=`, else the last number that it names. */
function resultOf(step: string): string | undefined {
  const right = step.includes('=') ? step.slice(step.lastIndexOf('=') + 1).replace(/[.\s]+$/, '') : undefined
  const value = right === undefined ? undefined : evaluate(right)
  if (value !== undefined) return String(value)
  const number = lastNumber(right ?? step) ?? lastNumber(step)
  return number === undefined ? undefined : String(Number(number))
}

/** Steps that come to different results are never alike, however they read. */
export function areSimilar(one: string, other: string, least = SIMILAR_RATIO): boolean {
  if (one === other) return true
  if (resultOf(one) !== resultOf(other)) return false
  const [short, long] = [Math.min(one.length, other.length), Math.max(one.length, other.length)]
  return (2 * short) / (short + long) >= least && ratio(one, other) >= least
}

/** Indices of steps in groups, in order: each joins the first group whose first step is similar. */
export function groupSimilar(steps: readonly string[], least = SIMILAR_RATIO): number[][] {
  const groups: number[][] = []
  steps.forEach((step, i) => {
    const found = groups.find(([first]) => areSimilar(steps[first as number] as string, step, least))
    if (found) found.push(i)
    else groups.push([i])
  })
  return groups
}

/** How different texts are in how they begin: one less their mean ratio, pair by pair; undefined for fewer than two. */
export function diversity(texts: readonly string[]): number | undefined {
  if (texts.length < 2) return undefined
  let [sum, pairs] = [0, 0]
  texts.forEach((text, i) => {
    for (const other of texts.slice(i + 1)) {
      sum += 1 - ratio(text, other, MAX_COMPARED_OF_MANY)
      pairs++
    }
  })
  return sum / pairs
}
