/** A system beside plain Best-of-N and majority that cost as much, problem by problem. */
import { type Interval, pairedIntervals, sumByUnit } from '../../ts/eval/paired.ts'
import { type CandidateRecord, select, verify } from '../../ts/index.ts'
import { type Cost, meanCost, readInOneCall, type StepTokens, total } from './cost.ts'
import type { Comparison, Figure, Plain } from './results.ts'
import type { FoundRun } from './runs.ts'

/** As `mm-prm best-of-n` chooses unless told otherwise. */
export const CHOICE = 'mean_odds'

type Accuracies = ReadonlyMap<string, number>

/** For each problem how likely the chosen solution is right; ties count by their shares. */
type Choose = (candidates: readonly CandidateRecord[]) => number

const labels = (candidates: readonly CandidateRecord[]) => candidates.map((c) => (c.correct === true ? 1 : 0))

/** @param choice how a solution's scores become one */
export function chosenBy(choice: string): Choose {
  return (candidates) => {
    const item = { id: '', scores: candidates.map((c) => c.scores ?? []), labels: labels(candidates) }
    return select.expectedLabel(item.labels, select.selectBest(item, choice))
  }
}

export const chosen: Choose = chosenBy(CHOICE)

function voted(candidates: readonly CandidateRecord[], winners: ReturnType<typeof select.majorityVote>): number {
  const right = labels(candidates)
  return winners.length === 0 ? 0 : select.mean(winners.map((members) => select.expectedLabel(right, members)))
}

const answersOf = (candidates: readonly CandidateRecord[]) => verify.canonicalAnswers(candidates.map((c) => c.answer))

export const majority: Choose = (candidates) => voted(candidates, select.majorityVote(answersOf(candidates)))

/** Votes that weigh what the judge makes of their steps, a mean; what has no scores has no vote. */
export const weighted: Choose = (candidates) => {
  const weights = candidates.map((c) => (c.scores ? select.aggregate(c.scores, 'mean') : null))
  return voted(candidates, select.weightedVote(answersOf(candidates), weights))
}

/** Where nothing judges: any of those that have not been refused. */
export const anyThatRuns: Choose = (candidates) => {
  const isScored = candidates.some((c) => c.scores)
  const kept = candidates.flatMap((c, i) => (c.scores || !isScored ? [i] : []))
  return select.expectedLabel(labels(candidates), kept)
}

/** What a search that ends with its best solution first has come to. */
export const first: Choose = ([best]) => (best?.correct === true ? 1 : 0)

export function accuracies({ problems }: FoundRun, choose: Choose): Accuracies {
  return new Map(problems.map(({ problem, candidates }) => [problem.id, choose(candidates)]))
}

/** Means over runs of the same problems. */
export function meanAccuracies(runs: readonly Accuracies[]): Accuracies {
  const [head] = runs
  const of = (id: string) => select.mean(runs.map((run) => run.get(id) ?? 0))
  return new Map([...(head?.keys() ?? [])].map((id) => [id, of(id)]))
}

export const costOf = ({ problems }: FoundRun) => meanCost(problems.map(({ cost }) => cost))

/** Solutions of each problem that are interchangeable: all blocks of n of them count. */
export interface Pool {
  readonly run: FoundRun
  readonly size: number
  readonly tokens: StepTokens
}

function blocks<T>(list: readonly T[], n: number): (readonly T[])[] {
  return Array.from({ length: Math.floor(list.length / n) }, (_, i) => list.slice(i * n, (i + 1) * n))
}

/** What n solutions of the pool cost, generated alone or scored too. */
function plainCost({ run, size, tokens }: Pool, n: number, isScored: boolean): Cost {
  const generated = (costOf(run).generated / size) * n
  if (!isScored) return { generated, scored: 0 }
  const read = run.problems.map(({ candidates }) =>
    select.mean(
      blocks(candidates, n).map((block) =>
        readInOneCall(
          block.filter((c) => c.scores).map((c) => c.steps),
          tokens,
        ),
      ),
    ),
  )
  return { generated, scored: select.mean(read) }
}

/** The fewest solutions that cost at least as much; all where they do not. */
export function equalCost(pool: Pool, target: number, isScored: boolean): { n: number; cost: Cost; isWholePool: boolean } {
  let [low, high] = [1, pool.size]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (total(plainCost(pool, middle, isScored)) >= target) high = middle
    else low = middle + 1
  }
  const cost = plainCost(pool, low, isScored)
  return { n: low, cost, isWholePool: total(cost) < target }
}

export interface Measured extends Pick<Comparison, 'system' | 'what' | 'judge' | 'policy' | 'seeds' | 'more'> {
  readonly accuracies: Accuracies
  readonly cost: Cost
}

/** @param plainChoice how plain Best-of-N chooses in the pool */
export function compare(measured: Measured, pool: Pool, plainChoice: Choose = chosen): Comparison {
  const { accuracies: own, cost, ...named } = measured
  const problems = pool.run.problems.filter(({ problem }) => own.has(problem.id))
  if (problems.length === 0) throw new Error(`${named.what}: no problem in common with the pool`)
  const shared = { ...pool, run: { problems } }
  const best = equalCost(shared, total(cost), true)
  const most = equalCost(shared, total(cost), false)
  const mine = problems.map(({ problem }) => own.get(problem.id) as number)
  const plain = (n: number, choose: Choose) =>
    problems.map(({ candidates }) => select.mean(blocks(candidates, n).map((block) => choose(block))))
  const [bestOf, voted] = [plain(best.n, plainChoice), plain(most.n, majority)]
  const less = (other: readonly number[]) => mine.map((value, i) => value - (other[i] as number))
  const values = [mine, bestOf, voted, less(bestOf), less(voted)]
  const within = pairedIntervals(
    sumByUnit(
      problems.map(({ problem }) => problem.id),
      values,
    ),
    named.what,
  )
  const [accuracy, ofBest, ofVoted, overBestOfN, overMajority] = values.map(
    (list, i): Figure => ({ value: select.mean(list), ...(within[i] as Interval) }),
  ) as [Figure, Figure, Figure, Figure, Figure]
  const side = ({ n, cost, isWholePool }: typeof best, accuracy: Figure): Plain => ({ n, isWholePool, accuracy, cost })
  return {
    ...{ ...named, problems: problems.length, accuracy, cost },
    ...{ bestOfN: side(best, ofBest), majority: side(most, ofVoted), gain: { overBestOfN, overMajority } },
  }
}
