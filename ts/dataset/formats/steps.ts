/** Our own rows: everything a sample knows. What `mm-prm train --task prm` reads. */
import type { Sample } from '../sample.ts'

/** Encoded bytes become a data URI; paths stay. */
export function imageField(sample: Sample): { image?: string } {
  const { image } = sample.problem
  if (image === undefined) return {}
  return {
    image: typeof image === 'string' ? image : `data:application/octet-stream;base64,${Buffer.from(image).toString('base64')}`,
  }
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
