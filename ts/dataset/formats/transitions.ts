/**
 * Steps as transitions for trainers of samplers elsewhere (GFlowNets, arXiv 2504.19981): a state, the step that leaves it, its
 * reward. Each step of a problem stands once, however many paths go through it; a step without evidence is none.
 */
import type { Sample } from '../sample.ts'
import { imageField } from './steps.ts'

export function transitionRows(): (sample: Sample) => object[] {
  let problem: string | undefined
  const seen = new Set<string>()
  return (sample) => {
    if (sample.problem.id !== problem) seen.clear()
    problem = sample.problem.id
    const { id: problemId, question, answer } = sample.problem
    const about = { problemId, question, ...imageField(sample), answer }
    return sample.steps.flatMap(({ text, label, terminal = false }, i) => {
      const state = sample.steps.slice(0, i).map((step) => step.text)
      const key = JSON.stringify([...state, text])
      if (label === null || seen.has(key)) return []
      seen.add(key)
      return [{ ...about, state, step: text, reward: label, terminal }]
    })
  }
}
