/**
 * Active learning (ActPRM, arXiv 2504.10559): solutions of which an ensemble is sure teach it nothing, and are dropped; of the
 * others a judge names the first error, as long as its budget lasts.
 */
import { z } from 'zod'
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument } from '../contracts/errors.ts'
import { type Problem, shownQuestion } from '../contracts/problem.ts'
import type { CandidateRecord } from '../contracts/records.ts'
import { validate } from '../contracts/validate.ts'
import type { FirstErrorJudge } from '../contracts/verifier.ts'
import { together } from './consensus.ts'
import type { LabelledStep, Sample } from './sample.ts'

export const activeSchema = z.strictObject({
  /** A step is known where the spread of its score is no larger, … */
  maxStd: z.number().min(0).default(0.01),
  /** … and its score is at least this, or at most one less this. */
  sure: z.number().min(0.5).max(1).default(0.9),
  /** What stands behind the first step that scores less does not count. */
  threshold: z.number().min(0).max(1).default(0.5),
  /** Solutions that the judge is asked about, at most. */
  budget: z.number().int().positive().default(1000),
})

export type ActiveOptions = z.input<typeof activeSchema>

/** Whether the ensemble is sure of every step up to the first that it holds for wrong. */
export function isKnown(scores: readonly number[], std: readonly number[], options: ActiveOptions = {}): boolean {
  const { maxStd, sure, threshold } = activeSchema.parse(options)
  const wrong = scores.findIndex((p) => p < threshold)
  const counted = wrong < 0 ? scores : scores.slice(0, wrong + 1)
  return counted.every((p, i) => (std[i] as number) <= maxStd && (p >= sure || 1 - p >= sure))
}

export interface ActiveCounts {
  /** Complete solutions. */
  seen: number
  /** Among them without scores. */
  unscored: number
  known: number
  asked: number
  /** Of those that the judge was asked about: its words named no step. */
  unread: number
  /** Not known, and not asked about. */
  beyondBudget: number
}

export interface ActiveSources {
  /** Problem by problem, always in the same order. */
  candidates: AsyncIterable<{ problem: Problem; candidates: readonly CandidateRecord[] }>
  judge: FirstErrorJudge
  counts: ActiveCounts
  signal?: AbortSignal | undefined
}

export const noActiveCounts = (): ActiveCounts => ({ seen: 0, unscored: 0, known: 0, asked: 0, unread: 0, beyondBudget: 0 })

/** Right up to the first error, wrong there, unknown behind it. */
function toSample(problem: Problem, { index, steps }: CandidateRecord, first: number | null): Sample {
  const label = (i: number) => (first === null || i < first ? 1 : i === first ? 0 : null)
  const labelled = steps.map((text, i): LabelledStep => ({ text, label: label(i), counts: null, weight: 1 }))
  const asked = { ...problem, question: shownQuestion(problem) }
  return { id: `${problem.id}#${index}`, problem: asked, kind: first === null ? 'positive' : 'negative', steps: labelled }
}

/**
 * Samples of what was not known, as the judge labels them; `counts` grows on the way. Resumed with a judge that remembers, it
 * asks about the same ones.
 * @throws EngineError INVALID_ARGUMENT (scores without a spread), and what the judge throws
 */
export async function* activeSamples(sources: ActiveSources, options: ActiveOptions = {}): AsyncGenerator<Sample, void, void> {
  const { candidates: all, judge, counts, signal } = sources
  const o = validate(activeSchema, options, 'active')
  const unknown = (problem: Problem, { scores, std }: CandidateRecord): boolean => {
    counts.seen++
    if (!scores || scores.length === 0) counts.unscored++
    else if (!std)
      throw invalidArgument(
        `problem "${problem.id}": its scores have no spread: an ensemble tells one, or a judge asked several times`,
      )
    else if (isKnown(scores, std, { maxStd: o.maxStd, sure: o.sure, threshold: o.threshold })) counts.known++
    else return true
    return false
  }
  for await (const { problem, candidates } of all) {
    throwIfAborted(signal)
    const wanted = candidates.filter((c) => c.outcome === 'complete' && unknown(problem, c))
    const asked = wanted.slice(0, o.budget - counts.asked)
    counts.beyondBudget += wanted.length - asked.length
    counts.asked += asked.length
    const found = await together(asked, ({ steps }, either) => judge(problem, steps, either), signal)
    for (const [i, first] of found.entries()) {
      if (first === 'unread') counts.unread++
      else yield toSample(problem, asked[i] as CandidateRecord, first)
    }
  }
}
