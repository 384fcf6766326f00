/**
 * Best-of-N over many problems: what every aggregation chooses, beside pass@k, votes and the oracle, with
 * intervals, and how it grows with N.
 */
import { invalidArgument } from '../contracts/errors.ts'
import { type Aggregation, aggregate, bestCandidates, choiceOf, lowered, type StepScores } from './aggregate.ts'
import { type Estimate, estimate, expectedLabel, mean, passAtK } from './metrics.ts'
import { majorityVote, type VoteWinners, weightedVote } from './vote.ts'

/** The candidates of one problem. */
export interface ScoredItem {
  id: string | number
  /** Per candidate; an empty list is a candidate without steps. */
  scores: readonly StepScores[]
  /** Per candidate the spread of each score, where scores are probabilities; what `mean-std` and the like choose by. */
  std?: readonly (readonly number[] | null)[] | undefined
  /** Per candidate: 1 right, 0 wrong. Needed for accuracies. */
  labels?: readonly number[] | undefined
  /** Per candidate: canonical final answer, null where there is none. Needed for votes. */
  answers?: readonly (string | null)[] | undefined
}

export interface SelectionRow {
  /** `pass@1`, `majority`, `weighted(mean)`, an aggregation's name as asked for, `oracle`. */
  name: string
  estimate: Estimate
}

const WEIGHT: Aggregation = 'mean'

/** Scores as the choice `name` sees them. */
export function scoresFor({ scores, std }: ScoredItem, name: string): readonly StepScores[] {
  if (!choiceOf(name).cautious || std === undefined) return scores
  return scores.map((own, i) => ('logits' in own ? own : lowered(own, std[i] ?? [])))
}

/** What `name` chooses among the candidates of one problem. */
export function selectBest(item: ScoredItem, name: string): number[] {
  return bestCandidates(scoresFor(item, name), choiceOf(name).aggregation)
}

const voteAccuracy = (labels: readonly number[], winners: VoteWinners) =>
  winners.length === 0 ? 0 : mean(winners.map((members) => expectedLabel(labels, members)))

type Labelled = ScoredItem & { labels: readonly number[] }
type Answered = Labelled & { answers: readonly (string | null)[] }

function labelled(items: readonly ScoredItem[]): Labelled[] {
  for (const item of items) {
    if (item.labels === undefined) throw invalidArgument(`item ${item.id}: accuracies need "labels"`)
  }
  return items as Labelled[]
}

/** One row per choice. `items` need labels; votes appear when all of them have answers. */
export function selectionTable(
  items: readonly ScoredItem[],
  names: readonly string[],
  seed: string | number = 0,
): SelectionRow[] {
  names.forEach(choiceOf)
  const all = labelled(items)
  if (all.length === 0) throw invalidArgument('no items to select from')
  const most = Math.min(...all.map((item) => item.labels.length))
  const row = (name: string, value: (item: Labelled) => number): SelectionRow => ({
    name,
    estimate: estimate(all.map(value), seed),
  })
  const rows = [row('pass@1', (item) => mean(item.labels))]
  for (let k = 2; k <= most; k *= 2) rows.push(row(`pass@${k}`, (item) => passAtK(item.labels, k)))
  if (all.every((item) => item.answers !== undefined)) {
    const answers = (item: Labelled) => (item as Answered).answers
    const weights = (item: Labelled) => item.scores.map((scores) => aggregate(scores, WEIGHT))
    rows.push(row('majority', (item) => voteAccuracy(item.labels, majorityVote(answers(item)))))
    rows.push(row(`weighted(${WEIGHT})`, (item) => voteAccuracy(item.labels, weightedVote(answers(item), weights(item)))))
  }
  for (const name of names) rows.push(row(name, (item) => expectedLabel(item.labels, selectBest(item, name))))
  rows.push(row('oracle', (item) => Math.max(...item.labels)))
  return rows
}

/**
 * Accuracy of Best-of-n for each n. Candidates are exchangeable, so all disjoint blocks of n candidates count:
 * no randomness, and every candidate is used.
 */
export function sweepN(items: readonly ScoredItem[], name: string, sizes: readonly number[], seed: string | number = 0) {
  const all = labelled(items)
  return sizes.map((n) => {
    const values = all.map((item) => {
      const blocks: number[] = []
      for (let first = 0; first + n <= item.scores.length; first += n) {
        const block = { id: item.id, scores: item.scores.slice(first, first + n), std: item.std?.slice(first, first + n) }
        blocks.push(expectedLabel(item.labels.slice(first, first + n), selectBest(block, name)))
      }
      if (blocks.length === 0) throw invalidArgument(`item ${item.id}: ${item.scores.length} candidates are fewer than ${n}`)
      return mean(blocks)
    })
    return { n, estimate: estimate(values, seed) }
  })
}

/** Upper ends of the shares of right solutions that problems are put together by: the hardest first. */
const RATES = [0.25, 0.5, 0.75, 1]

export interface PrecisionRow {
  /** Of right solutions among a problem's, from above that of the row before (the first: from 0) up to this. */
  upTo: number
  problems: number
  /** Solutions whose steps all score at least the threshold. */
  trusted: number
  /** Share of right ones among them; null where there are none. */
  precision: number | null
}

/**
 * How often a trusted solution is right, by how hard its problem is for the policy. WHY by that: a judge that trusts everything is
 * right where the policy is, and what it is worth shows on hard problems.
 */
export function precisionByRate(items: readonly ScoredItem[], threshold = 0.5): PrecisionRow[] {
  const rows = RATES.map((upTo) => ({ upTo, problems: 0, trusted: 0, right: 0 }))
  for (const item of labelled(items)) {
    const row = rows.find(({ upTo }) => mean(item.labels) <= upTo) as (typeof rows)[number]
    row.problems++
    item.scores.forEach((scores, i) => {
      const worst = aggregate(scores, 'min')
      if (worst === null || worst < threshold) return
      row.trusted++
      row.right += item.labels[i] as number
    })
  }
  return rows.map(({ right, ...row }) => ({ ...row, precision: row.trusted > 0 ? right / row.trusted : null }))
}
