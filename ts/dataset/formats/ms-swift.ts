/** ms-swift's process-reward rows: messages whose assistant turn is cut into labelled pieces. */
import type { Sample } from '../sample.ts'
import { imageField } from './steps.ts'
import { labelledRuns } from './trl.ts'

export function msSwiftRow(sample: Sample): object {
  const { image } = imageField(sample)
  const runs = labelledRuns(sample.steps)
  return {
    messages: [
      { role: 'user', content: `${image === undefined ? '' : '<image>'}${sample.problem.question}` },
      { role: 'assistant', content: runs.map((r) => r.text).join('\n\n') },
    ],
    ...(image !== undefined && { images: [image] }),
    steps: runs.map((r) => r.text),
    labels: runs.map((r) => r.label),
  }
}
