/**
 * From step scores to one value per solution. Formulas of the MM-PRM evaluation (arXiv 2505.13427, its released
 * code), computed from logits where they are known: logit = log(p / (1 - p)), odds = exp(logit).
 *
 * WHY a saturation constant: a probability that was rounded to exactly 0 or 1 has lost its logit. Counting it as
 * infinite would tie all such solutions whatever their other steps say, so it counts as ±SATURATED, the value
 * the reference uses at 1 (at 0 the reference fails).
 */
import { invalidArgument } from '../contracts/errors.ts'
import { suggest } from '../contracts/suggest.ts'

const SATURATED = 9999

/** A step as aggregations see it. */
interface Step {
  p: number
  logit: number
  odds: number
  /** Nothing tells its odds: its probability is exactly 1. */
  isCertain: boolean
}

const sum = (steps: readonly Step[], value: (s: Step) => number) => steps.reduce((total, s) => total + value(s), 0)

/** Each takes at least one step. */
const FORMULAS = {
  min: (s: readonly Step[]) => Math.min(...s.map((step) => step.p)),
  max: (s: readonly Step[]) => Math.max(...s.map((step) => step.p)),
  last: (s: readonly Step[]) => (s.at(-1) as Step).p,
  mean: (s: readonly Step[]) => sum(s, (step) => step.p) / s.length,
  product: (s: readonly Step[]) => s.reduce((product, step) => product * step.p, 1),
  sum_logprob: (s: readonly Step[]) => sum(s, logProbability),
  sum_logit: (s: readonly Step[]) => sum(s, (step) => step.logit),
  mean_odds: (s: readonly Step[]) => sum(s, (step) => step.odds) / s.length,
} as const

export type Aggregation = keyof typeof FORMULAS
export const AGGREGATIONS = Object.keys(FORMULAS) as Aggregation[]

/** Aggregations whose values are at least 0, fit to weigh votes with. */
export const WEIGHTS: readonly Aggregation[] = ['min', 'max', 'last', 'mean', 'product', 'mean_odds']

const REFERENCE_NAMES: Record<string, Aggregation> = { average: 'mean', mean_odd: 'mean_odds' }

/** Our name of an aggregation; the reference's own (`average`, `mean_odd`) are accepted. Throws INVALID_ARGUMENT. */
export function aggregationOf(name: string): Aggregation {
  const own = REFERENCE_NAMES[name] ?? name
  if (Object.hasOwn(FORMULAS, own)) return own as Aggregation
  throw invalidArgument(`no aggregation "${name}"${suggest(name, [...AGGREGATIONS, ...Object.keys(REFERENCE_NAMES)])}`)
}

/** Behind an aggregation's name: of steps whose scores are lowered by their spread, which tells how little is known of them. */
const CAUTIOUS = '-std'

/** What `name` asks for. Throws as `aggregationOf`. */
export function choiceOf(name: string): { aggregation: Aggregation; cautious: boolean } {
  const cautious = name.endsWith(CAUTIOUS)
  return { aggregation: aggregationOf(cautious ? name.slice(0, -CAUTIOUS.length) : name), cautious }
}

/** Scores less one spread each, no lower than 0. */
export const lowered = (scores: readonly number[], std: readonly number[]) =>
  scores.map((p, step) => Math.max(0, p - (std[step] ?? 0)))

/** log p without the loss of digits near p = 1, where the logit is known: -log(1 + exp(-logit)). */
function logProbability({ p, logit }: Step): number {
  return Math.abs(logit) === SATURATED ? Math.log(p) : -Math.log1p(Math.exp(-logit))
}

function fromProbability(p: number): Step {
  if (p === 0) return { p, logit: -SATURATED, odds: 0, isCertain: false }
  if (p === 1) return { p, logit: SATURATED, odds: SATURATED, isCertain: true }
  return { p, logit: Math.log(p / (1 - p)), odds: p / (1 - p), isCertain: false }
}

function fromLogit(logit: number): Step {
  const odds = Math.exp(logit)
  return { p: 1 / (1 + Math.exp(-logit)), logit, odds, isCertain: odds === Number.POSITIVE_INFINITY }
}

/** Scores of a solution's steps: probabilities in [0, 1], or logits log(p / (1 - p)) of which they are made. */
export type StepScores = readonly number[] | { logits: readonly number[] }

const toSteps = (scores: StepScores): Step[] => ('logits' in scores ? scores.logits.map(fromLogit) : scores.map(fromProbability))

/** One value for a solution, higher is better; `null` for a solution without steps, which ranks behind all others. */
export function aggregate(scores: StepScores, name: string): number | null {
  const formula = FORMULAS[aggregationOf(name)]
  const steps = toSteps(scores)
  return steps.length === 0 ? null : formula(steps)
}

/** What a choice compares: the first decides, the second where those are equal. */
type Rank = readonly [number, number]

/**
 * A certain step's odds are without bound: here more of them come first, and the odds of the others decide next.
 * WHY not by the value: there a step of 0.99999 would count ten times what a certain one counts.
 */
function oddsRank(steps: readonly Step[]): Rank {
  const others = steps.filter((step) => !step.isCertain)
  return [(steps.length - others.length) / steps.length, sum(others, (step) => step.odds) / steps.length]
}

function rankOf(scores: StepScores, name: Aggregation): Rank | null {
  const steps = toSteps(scores)
  if (steps.length === 0) return null
  return name === 'mean_odds' ? oddsRank(steps) : [FORMULAS[name](steps), 0]
}

const compareRanks = (a: Rank, b: Rank) => a[0] - b[0] || a[1] - b[1]

function indicesOfBest<T>(values: readonly (T | null)[], compare: (a: T, b: T) => number): number[] {
  let best: T | null = null
  let indices: number[] = []
  values.forEach((value, i) => {
    if (value === null) return
    const order = best === null ? 1 : compare(value, best)
    if (order > 0) {
      best = value
      indices = [i]
    } else if (order === 0) indices.push(i)
  })
  return indices.length > 0 ? indices : values.map((_, i) => i)
}

/** Indices of the best values, several on a tie: never one of them by its place alone. */
export function bestOf(values: readonly (number | null)[]): number[] {
  return indicesOfBest(values, (a, b) => (a === b ? 0 : a - b))
}

/**
 * Indices of the candidates that an aggregation chooses, several on a tie. As `bestOf` their values, but that no step
 * lowers a solution by being surer than another's (`mean_odds` of steps that are exactly 1).
 */
export function bestCandidates(candidates: readonly StepScores[], name: string): number[] {
  const aggregation = aggregationOf(name)
  return indicesOfBest(
    candidates.map((scores) => rankOf(scores, aggregation)),
    compareRanks,
  )
}
