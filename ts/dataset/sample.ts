/** One training sample: a path through a search tree, one entry per step, labels where there is evidence. */
import type { Problem } from '../contracts/problem.ts'
import type { Counts } from '../contracts/records.ts'

export interface LabelledStep {
  readonly text: string
  /** null: the search has no evidence at this step (it was jumped over); the trainer takes no loss there. */
  readonly label: number | null
  /** What the label was made from; null behind a first error, where the label follows from that error's. */
  readonly counts: Counts | null
  /** Share of this label that the sample carries: below 1 where other samples hold the same prefix and step. */
  readonly weight: number
  /** The step is the answer. */
  readonly terminal?: true
}

export interface Sample {
  /** Problem id and number of the path: unique in a data set, the same in every build. */
  readonly id: string
  readonly problem: Problem
  /** `group`: next steps of one prefix; `negative`: ends at, or behind, its first step without any right rollout; `positive`: ends in a right answer. */
  readonly kind: 'negative' | 'positive' | 'group'
  /** Of a group: its prefix. */
  readonly steps: readonly LabelledStep[]
  /** Of a group alone: its next steps. */
  readonly siblings?: readonly LabelledStep[]
}

export const MARKER = '<prm>'

/** `s1<prm>\n\ns2<prm>`: the reference's process text, a marker behind every labelled step. */
export function processText(steps: readonly LabelledStep[]): string {
  return steps.map((s) => (s.label === null ? s.text : `${s.text}${MARKER}`)).join('\n\n')
}

/** The labels that belong to the markers of processText. */
export function markerLabels(steps: readonly LabelledStep[]): number[] {
  return steps.flatMap((s) => (s.label === null ? [] : [s.label]))
}
