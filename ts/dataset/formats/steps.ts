/** Our own rows: everything a sample knows. What `mm-prm train --task prm` reads. */
import { resolve } from 'node:path'
import { storableImage } from '../../images/index.ts'
import type { Sample } from '../sample.ts'

/** Encoded bytes become a data URI; a path becomes absolute, as readers look for others beside the data file. */
export function imageField(sample: Sample): { image?: string } {
  const { image } = sample.problem
  if (image === undefined) return {}
  return { image: storableImage(typeof image === 'string' && !/^data:/i.test(image) ? resolve(image) : image) }
}

export function stepsRow(sample: Sample): object {
  return {
    id: sample.id,
    problemId: sample.problem.id,
    question: sample.problem.question,
    ...imageField(sample),
    answer: sample.problem.answer,
    kind: sample.kind,
    steps: sample.steps.map((s) => s.text),
    labels: sample.steps.map((s) => s.label),
    counts: sample.steps.map((s) => s.counts && [s.counts.correct, s.counts.total]),
    weights: sample.steps.map((s) => s.weight),
  }
}
