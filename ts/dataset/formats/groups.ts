/**
 * Next steps of one prefix side by side, with the label of each: what a loss over pairs learns from (PRM-BAS, arXiv 2504.10222).
 * Paths are not groups: `--samples groups` takes them from the tree.
 */
import { invalidArgument } from '../../contracts/errors.ts'
import type { Sample } from '../sample.ts'
import { imageField } from './steps.ts'

export function groupRow(sample: Sample): object {
  const { siblings } = sample
  if (!siblings) throw invalidArgument('format groups: a sample that is no group: take --samples groups')
  return {
    id: sample.id,
    problemId: sample.problem.id,
    question: sample.problem.question,
    ...imageField(sample),
    answer: sample.problem.answer,
    kind: sample.kind,
    prefix: sample.steps.map((step) => step.text),
    steps: siblings.map((step) => step.text),
    labels: siblings.map((step) => step.label),
    counts: siblings.map((step) => step.counts && [step.counts.correct, step.counts.total]),
  }
}
