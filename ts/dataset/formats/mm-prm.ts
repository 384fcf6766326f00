/** The reference's JSONL: a conversation whose second turn holds the process with its markers, and the label list. */
import { markerLabels, processText, type Sample } from '../sample.ts'
import { imageField } from './steps.ts'

export function mmPrmRow(sample: Sample): object {
  const { image, ...rest } = imageField(sample)
  return {
    id: sample.id,
    ...(image !== undefined && { image }),
    ...rest,
    conversations: [
      { from: 'human', value: '' },
      {
        from: 'gpt',
        value: `${image === undefined ? '' : '<image>\n'}Question: ${sample.problem.question}\nProcess: ${processText(sample.steps)}`,
      },
    ],
    labels: markerLabels(sample.steps),
  }
}
