/** A solution-level task's figures from verdicts and scores. */
import type { AnswerItem, AnswerTask } from './answer-task.ts'
import type { GradedItem, Verdicts } from './grade.ts'
import { type Interval, pairedIntervals, sumByUnit } from './paired.ts'
import type { AnswerBlock, AnswerTaskResults, Selected } from './results.ts'
import type { SolutionScores } from './scores.ts'

type CandidateScores = readonly number[] | { logits: readonly number[] }

/** How one of several solutions is chosen; `ts/select` has it. */
export interface Selection {
  readonly AGGREGATIONS: readonly string[]
  aggregate(scores: CandidateScores, name: string): number | null
  bestCandidates(candidates: readonly CandidateScores[], name: string): number[]
  expectedLabel(labels: readonly number[], indices: readonly number[]): number
  majorityVote(answers: readonly (string | null)[]): number[][]
  weightedVote(answers: readonly (string | null)[], weights: readonly (number | null)[]): number[][]
  passAtK(labels: readonly number[], k: number): number
}

/** A problem with its solutions graded and, where a scorer was given, scored. */
export interface JudgedItem {
  readonly item: AnswerItem
  readonly graded: GradedItem
  readonly scored: readonly SolutionScores[] | undefined
}

export interface ResultOptions {
  readonly selection: Selection
  readonly seed: string | number
  /** Whose verdicts are the task's. */
  readonly grade: 'official' | 'ours' | 'both'
  readonly scorer: string | undefined
}

export interface Unused {
  readonly refused: readonly { id: string; message: string }[]
  readonly unscored: readonly { id: string; solution: number; message: string }[]
}

/** The aggregation that the paper's table is made with. */
export const HEADLINE = 'mean_odds'
const WEIGHT = 'mean'
/** Problems named in `results.json`; all are counted. */
const MAX_NAMED = 100

const mean = (values: readonly number[]) => (values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length)
const labelsOf = (verdicts: Verdicts) => verdicts.map((v) => (v === true ? 1 : 0))
const possibleOf = (verdicts: Verdicts) => verdicts.map((v) => (v === false ? 0 : 1))

const candidatesOf = (scored: readonly SolutionScores[]): CandidateScores[] =>
  scored.map((one) => (one?.logits ? { logits: one.logits } : (one?.scores ?? [])))

/** Expected label where several answers, or solutions, are equally good. */
function voted(labels: readonly number[], winners: readonly (readonly number[])[], { expectedLabel }: Selection): number {
  return mean(winners.map((members) => expectedLabel(labels, members))) ?? 0
}

const powersUpTo = (most: number) => Array.from({ length: Math.floor(Math.log2(Math.max(1, most))) + 1 }, (_, i) => 2 ** i)

/** Best of the first k, of the next k, and so on: solutions are exchangeable, and all are used. */
function bestOf(labels: readonly number[], candidates: readonly CandidateScores[], k: number, name: string, s: Selection) {
  const blocks: number[] = []
  for (let first = 0; first + k <= candidates.length; first += k) {
    const block = candidates.slice(first, first + k)
    blocks.push(s.expectedLabel(labels.slice(first, first + k), s.bestCandidates(block, name)))
  }
  return mean(blocks) ?? 0
}

/** A value for each problem; with what its undecided solutions could add, and what it gains on the policy. */
function selectedBy(all: readonly JudgedItem[], verdicts: readonly Verdicts[], choose: (labels: number[], i: number) => number) {
  const values = all.map((_, i) => choose(labelsOf(verdicts[i] as Verdicts), i))
  const possible = all.map((_, i) => choose(possibleOf(verdicts[i] as Verdicts), i))
  return { values, possible }
}

export function answerBlock(all: readonly JudgedItem[], verdicts: readonly Verdicts[], task: AnswerTask, o: ResultOptions) {
  const { selection, seed } = o
  const most = Math.min(...all.map(({ graded }) => graded.outcomes.length), Number.POSITIVE_INFINITY)
  const n = Number.isFinite(most) ? most : 0
  const by = (choose: (labels: number[], i: number) => number) => selectedBy(all, verdicts, choose)
  const at = (i: number) => all[i] as JudgedItem
  const pass = by((labels) => mean(labels) ?? 0)
  const majority = by((labels, i) => voted(labels, selection.majorityVote(at(i).graded.answers), selection))
  const oracle = by((labels) => Math.max(0, ...labels))
  const names = all.some(({ scored }) => scored) ? [...selection.AGGREGATIONS] : []
  const candidates = all.map(({ scored }) => candidatesOf(scored ?? []))
  const chosen = names.map((name) =>
    by((labels, i) => selection.expectedLabel(labels, selection.bestCandidates(candidates[i] as CandidateScores[], name))),
  )
  const weighted = by((labels, i) => {
    const weights = (candidates[i] as CandidateScores[]).map((c) => selection.aggregate(c, WEIGHT))
    return voted(labels, selection.weightedVote(at(i).graded.answers, weights), selection)
  })
  const sizes = powersUpTo(n)
  const passed = sizes.map((k) => by((labels) => (labels.length >= k ? selection.passAtK(labels, k) : Math.max(0, ...labels))))
  const figures = [pass, majority, oracle, weighted, ...chosen]
  const gains = figures.map(({ values }) => values.map((value, i) => value - (pass.values[i] as number)))
  const units = all.map(({ item }) => item.unit)
  const lists = [...figures.map(({ values }) => values), ...gains, ...passed.map(({ values }) => values)]
  const intervals = pairedIntervals(sumByUnit(units, lists), seed)
  const selected = (f: number): Selected => ({
    accuracy: mean((figures[f] as typeof pass).values),
    ...(intervals[f] as { low: number; high: number }),
    accuracyIfUndecidedRight: mean((figures[f] as typeof pass).possible),
    gain: mean(gains[f] as number[]),
    gainLow: intervals[figures.length + f]?.low ?? null,
    gainHigh: intervals[figures.length + f]?.high ?? null,
  })
  const { gain: _, gainLow: __, gainHigh: ___, ...policy } = selected(0)
  const bySize = <T>(of: (index: number) => T) => Object.fromEntries(sizes.map((k, i) => [k, of(i)]))
  const labels = verdicts.map(labelsOf)
  const block: AnswerBlock = {
    policy: {
      ...policy,
      passAt: bySize((i) => mean(passed[i]?.values ?? [])),
      passWithin: bySize((i) => intervals[2 * figures.length + i] as Interval),
      majority: selected(1),
      oracle: selected(2),
      first: firstCounts(verdicts),
    },
    prm:
      names.length === 0 || o.scorer === undefined
        ? null
        : {
            scorer: o.scorer,
            headline: HEADLINE,
            selection: Object.fromEntries(names.map((name, j) => [name, selected(4 + j)])),
            weighted: selected(3),
            sweep: Object.fromEntries(
              names.map((name) => [
                name,
                Object.fromEntries(
                  sizes.map((k) => [
                    k,
                    mean(labels.map((of, i) => bestOf(of, candidates[i] as CandidateScores[], k, name, selection))),
                  ]),
                ),
              ]),
            ),
          },
    categories: categoriesOf(all, pass.values, chosen[names.indexOf(HEADLINE)]?.values),
    ...(task.figures && {
      figures: task.figures(
        all.map(({ item }) => item),
        verdicts.map(firstOf),
      ) as Record<string, unknown>,
    }),
  }
  const perProblem = all.map(({ item }, i) => ({
    ...{ id: item.problem.id, answer: item.problem.answer, unit: item.unit, policy: pass.values[i] as number },
    prm: Object.fromEntries(names.map((name, j) => [name, chosen[j]?.values[i] as number])),
  }))
  return { block, perProblem }
}

const firstOf = ([first = false]: Verdicts) => first

function firstCounts(verdicts: readonly Verdicts[]) {
  const first = verdicts.map(firstOf)
  const count = (value: boolean | null) => first.filter((v) => v === value).length
  return { right: count(true), wrong: count(false), undecided: count(null), total: first.length }
}

function categoriesOf(all: readonly JudgedItem[], policy: readonly number[], prm: readonly number[] | undefined) {
  const sums: Record<string, Record<string, { total: number; policy: number; prm: number }>> = {}
  for (const [i, { item }] of all.entries()) {
    for (const [dimension, values] of Object.entries(item.categories)) {
      sums[dimension] ??= {}
      for (const value of values) {
        const sum = (sums[dimension][value] ??= { total: 0, policy: 0, prm: 0 })
        sum.total++
        sum.policy += policy[i] as number
        sum.prm += prm?.[i] ?? 0
      }
    }
  }
  const toMeans = ({ total, policy: p, prm: q }: { total: number; policy: number; prm: number }) => ({
    ...{ total, policy: p / total },
    ...(prm && { prm: q / total }),
  })
  const sorted = <T>(record: Record<string, T>) => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return Object.fromEntries(
    sorted(sums).map(([dimension, values]) => [
      dimension,
      Object.fromEntries(sorted(values).map(([value, sum]) => [value, toMeans(sum)])),
    ]),
  )
}

/** What stands in `results.json`, and a line per problem for comparisons. */
export function answerResults(task: AnswerTask, all: readonly JudgedItem[], unused: Unused, o: ResultOptions) {
  const ours = () => answerBlock(all, all.map(({ graded }) => graded.ours), task, o) // biome-ignore format: one call
  const official = () => answerBlock(all, all.map(({ graded }) => graded.official), task, o) // biome-ignore format: one call
  const isOfficial = o.grade === 'official' && task.hasOfficial
  const main = isOfficial ? official() : ours()
  const other = o.grade === 'both' && task.hasOfficial ? official().block : undefined
  const outcomes = all.flatMap(({ graded }) => graded.outcomes)
  const verdicts = all.flatMap(({ graded }) => (isOfficial ? graded.official : graded.ours))
  const results: AnswerTaskResults = {
    kind: 'answers',
    figure: task.figure,
    grade: isOfficial ? 'official' : 'ours',
    units: task.units,
    ...main.block,
    ...(other && { official: other }),
    counts: {
      problems: all.length + unused.refused.length,
      solutions: outcomes.length,
      refused: unused.refused.length,
      truncated: outcomes.filter((outcome) => outcome === 'truncated').length,
      unparsed: outcomes.filter((outcome) => outcome === 'unparsed').length,
      withoutAnswer: all.reduce((sum, { graded }) => sum + graded.answers.filter((a) => a === null).length, 0),
      undecided: verdicts.filter((v) => v === null).length,
      unscored: unused.unscored.length,
    },
    refused: unused.refused.slice(0, MAX_NAMED),
    unscored: unused.unscored.slice(0, MAX_NAMED),
    undecided: all
      .filter(({ graded }) => (isOfficial ? graded.official : graded.ours).includes(null))
      .slice(0, MAX_NAMED)
      .map(({ item }) => item.problem.id),
  }
  return { results, perProblem: main.perProblem }
}
