/** Our own rows: everything a sample knows. What `mm-prm train --task prm` reads. */
import { resolve } from 'node:path'
import { askedQuestion, type ProblemImage, picturesOf } from '../../contracts/problem.ts'
import { storableImage } from '../../images/index.ts'
import type { Sample } from '../sample.ts'

/** Encoded bytes become a data URI; a path becomes absolute, as readers look for others beside the data file. */
const stored = (image: ProblemImage): string =>
  storableImage(typeof image === 'string' && !/^data:/i.test(image) ? resolve(image) : image)

/** One picture as `image`, several as `images` in the order of their numbers. */
export function imageField({ problem }: Sample): { image?: string; images?: string[] } {
  const [image, ...others] = picturesOf(problem)
  if (image === undefined) return {}
  return others.length === 0 ? { image: stored(image) } : { images: [image, ...others].map(stored) }
}

/** The question, its pictures in the order of their marks `<image>`, and the marks of those that stand in front. */
export function markedQuestion({ problem }: Sample, front: string): { question: string; marks: string; images: string[] } {
  const { question, images = [] } = askedQuestion(problem)
  const marks = question.includes('<image>') ? '' : front.repeat(images.length)
  return { question, marks, images: images.map(stored) }
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
