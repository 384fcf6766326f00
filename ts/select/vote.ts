/** Choice by answers: majority, and votes weighted by the PRM. Answers are compared as given: canonicalise them first. */
import { bestOf } from './aggregate.ts'

/** Candidates that carry one of the winning answers, grouped by answer; several groups on a tie. */
export type VoteWinners = number[][]

function vote(answers: readonly (string | null)[], weight: (index: number) => number): VoteWinners {
  const groups = new Map<string, { members: number[]; weight: number }>()
  answers.forEach((answer, i) => {
    if (answer === null) return // unparsed or truncated: no vote
    const group = groups.get(answer) ?? { members: [], weight: 0 }
    group.members.push(i)
    group.weight += weight(i)
    groups.set(answer, group)
  })
  const all = [...groups.values()]
  return bestOf(all.map((g) => g.weight)).map((i) => (all[i] as (typeof all)[number]).members)
}

/** The most frequent answer. No candidate with an answer: no winners. */
export function majorityVote(answers: readonly (string | null)[]): VoteWinners {
  return vote(answers, () => 1)
}

/** The answer with the largest sum of weights (non-negative); a candidate without steps weighs nothing. */
export function weightedVote(answers: readonly (string | null)[], weights: readonly (number | null)[]): VoteWinners {
  return vote(answers, (i) => weights[i] ?? 0)
}
