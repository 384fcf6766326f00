/** TRL's stepwise supervision: prompt, completions, one boolean label each. Steps without evidence join the next. */
import type { LabelledStep, Sample } from '../sample.ts'
import { imageField } from './steps.ts'

/** Runs of steps that end in a labelled one; a tail without labels is dropped. */
export function labelledRuns(steps: readonly LabelledStep[]): { text: string; label: number }[] {
  const runs: { text: string; label: number }[] = []
  let pending: string[] = []
  for (const step of steps) {
    pending.push(step.text)
    if (step.label === null) continue
    runs.push({ text: pending.join('\n\n'), label: step.label })
    pending = []
  }
  return runs
}

export function trlRow(sample: Sample): object {
  const runs = labelledRuns(sample.steps)
  return {
    prompt: sample.problem.question,
    ...imageField(sample),
    completions: runs.map((r) => r.text),
    labels: runs.map((r) => r.label > 0.5),
    soft_labels: runs.map((r) => r.label),
  }
}
