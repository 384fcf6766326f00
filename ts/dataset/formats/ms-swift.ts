/** ms-swift's process-reward rows: messages whose assistant turn is cut into labelled pieces. */
import type { Sample } from '../sample.ts'
import { markedQuestion } from './steps.ts'
import { labelledRuns } from './trl.ts'

export function msSwiftRow(sample: Sample): object {
  const { question, marks, images } = markedQuestion(sample, '<image>')
  const runs = labelledRuns(sample.steps)
  return {
    messages: [
      { role: 'user', content: marks + question },
      { role: 'assistant', content: runs.map((r) => r.text).join('\n\n') },
    ],
    ...(images.length > 0 && { images }),
    steps: runs.map((r) => r.text),
    labels: runs.map((r) => r.label),
  }
}
