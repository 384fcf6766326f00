/** An evaluation's solutions of Mini-K12 problems, held against the truth about their steps. */
import { invalidArgument } from '../contracts/errors.ts'
import { openScores, openSolutions, readScores, readSolutions, type Solution } from '../eval/index.ts'
import { type Estimate, estimate, mean, type ScoredItem } from '../select/index.ts'
import { checkSteps, isCommonMistake } from '../tasks/index.ts'
import { canonicalAnswers, ruleVerifier } from '../verify/index.ts'
import type { MiniTask } from './problems.ts'

export interface Candidate {
  readonly steps: readonly string[]
  readonly isComplete: boolean
  readonly answer: string | null
  readonly isRight: boolean
}

export interface TaskCandidates {
  readonly task: MiniTask
  readonly candidates: readonly Candidate[]
}

const verifier = ruleVerifier()

async function judge({ problem }: MiniTask, { outcome, steps }: Solution): Promise<Candidate> {
  const isComplete = outcome === 'complete'
  const answer = isComplete ? verifier.extract(steps.at(-1) ?? '') : null
  const isRight = answer !== null && (await verifier.verify(problem, answer)).match
  return { steps, isComplete, answer, isRight }
}

/** The first `n` solutions of each problem in a task's folder of an evaluation. @throws EngineError STORE; INVALID_ARGUMENT */
export async function readCandidates(folder: string, tasks: readonly MiniTask[], n: number): Promise<TaskCandidates[]> {
  await using store = await openSolutions(folder)
  const all: TaskCandidates[] = []
  for (const task of tasks) {
    const { id } = task.problem
    const solutions = await readSolutions(store, id, n)
    if ('error' in solutions) throw invalidArgument(`${folder}: "${id}" has no solutions: ${solutions.error}`)
    all.push({ task, candidates: await Promise.all(solutions.map((solution) => judge(task, solution))) })
  }
  return all
}

/** What a scorer says of them; a candidate that is not complete has no scores and so comes last in every choice. */
export async function readItems(folder: string, scorer: string, all: readonly TaskCandidates[]): Promise<ScoredItem[]> {
  await using store = await openScores(folder, scorer)
  const items: ScoredItem[] = []
  for (const { task, candidates } of all) {
    const { id } = task.problem
    const { scored } = await readScores(store, id, candidates.length)
    items.push({
      id,
      scores: candidates.map((_, i) => scored[i]?.scores ?? []),
      labels: candidates.map((c) => (c.isRight ? 1 : 0)),
      answers: canonicalAnswers(candidates.map((c) => c.answer)),
    })
  }
  return items
}

/** How well step scores tell right steps from wrong ones, where the generator knows which are. */
export interface StepAccuracy {
  /** Chance that a right step has a higher score than a wrong one; ties count half. */
  auc: number
  /** Share of steps on the right side of 0.5; mean over problems. */
  accuracy: Estimate
  /** Wrong solutions whose first wrong step is the first one scored below 0.5, and right solutions without such a step. */
  firstErrorFound: number
  rightAccepted: number
  /** Wrong solutions by the kind of their first error: the problem's common mistake, or anything else. */
  mistakes: { count: number; found: number }
  otherErrors: { count: number; found: number }
  /** Harmonic mean of `firstErrorFound` and `rightAccepted`, as ProcessBench reports it. */
  f1: number
  steps: number
  wrongSteps: number
}

export function stepAccuracy(all: readonly TaskCandidates[], items: readonly ScoredItem[]): StepAccuracy {
  const [right, wrong]: [number[], number[]] = [[], []]
  const perProblem: number[] = []
  const located = { mistakes: [] as number[], others: [] as number[], right: [] as number[] }
  all.forEach(({ task, candidates }, p) => {
    const hits: number[] = []
    candidates.forEach(({ steps, isComplete, answer }, c) => {
      if (!isComplete) return
      const scores = items[p]?.scores[c] as readonly number[]
      const truth = checkSteps(task.mini, steps.slice(0, -1), answer ?? '')
      truth.forEach((isRight, i) => {
        const score = scores[i] as number
        ;(isRight ? right : wrong).push(score)
        hits.push(score > 0.5 === isRight ? 1 : 0)
      })
      const firstWrong = truth.indexOf(false)
      const found = scores.findIndex((score) => score < 0.5) === firstWrong ? 1 : 0
      const isMistake = isCommonMistake(task.mini, steps.slice(0, -1), firstWrong)
      located[firstWrong < 0 ? 'right' : isMistake ? 'mistakes' : 'others'].push(found)
    })
    if (hits.length > 0) perProblem.push(mean(hits))
  })
  const { mistakes, others, right: accepted } = located
  const [firstErrorFound, rightAccepted] = [mean([...mistakes, ...others]), mean(accepted)]
  return {
    auc: areaUnderCurve(right, wrong),
    accuracy: estimate(perProblem),
    firstErrorFound,
    rightAccepted,
    mistakes: { count: mistakes.length, found: mistakes.filter(Boolean).length },
    otherErrors: { count: others.length, found: others.filter(Boolean).length },
    f1: (2 * firstErrorFound * rightAccepted) / (firstErrorFound + rightAccepted),
    steps: right.length + wrong.length,
    wrongSteps: wrong.length,
  }
}

/** By ranks (Mann-Whitney), ties at their middle rank. */
export function areaUnderCurve(high: readonly number[], low: readonly number[]): number {
  const all = [...high.map((score) => ({ score, isHigh: true })), ...low.map((score) => ({ score, isHigh: false }))]
  all.sort((a, b) => a.score - b.score)
  let rankSum = 0
  for (let i = 0; i < all.length; ) {
    let end = i
    while (end < all.length && all[end]?.score === all[i]?.score) end++
    const rank = (i + 1 + end) / 2
    for (let j = i; j < end; j++) if (all[j]?.isHigh) rankSum += rank
    i = end
  }
  return (rankSum - (high.length * (high.length + 1)) / 2) / (high.length * low.length)
}
