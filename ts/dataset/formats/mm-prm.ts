/** The reference's JSONL: a conversation whose second turn holds the process with its markers, and the label list. */
import { markerLabels, processText, type Sample } from '../sample.ts'
import { markedQuestion } from './steps.ts'

export function mmPrmRow(sample: Sample): object {
  const { question, marks, images } = markedQuestion(sample, '<image>\n')
  return {
    id: sample.id,
    ...(images.length > 0 && { image: images.length === 1 ? images[0] : images }),
    conversations: [
      { from: 'human', value: '' },
      {
        from: 'gpt',
        value: `${marks}Question: ${question}\nProcess: ${processText(sample.steps)}`,
      },
    ],
    labels: markerLabels(sample.steps),
  }
}
