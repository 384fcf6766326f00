/** OlympiadBench (He et al. 2024), open-ended maths: `OE_MM_maths_en_COMP`, or another subset where its folder alone is there. */
import type { AnswerTask } from '../answer-task.ts'
import { optionalText, picturesOf, text, texts } from '../fields.ts'
import { gradeOlympiad, tolerancesOf } from '../official/olympiadbench.ts'

const PICTURES = ['image_1', 'image_2', 'image_3', 'image_4', 'image_5']

export const olympiadBench: AnswerTask = {
  kind: 'answers',
  name: 'olympiadbench',
  figure: 'accuracy',
  rows: 150,
  units: 'problems',
  forms: [['id', 'question', 'final_answer', 'answer_type', 'subfield']],
  prefers: /OE_MM_maths_en_COMP/,
  hasOfficial: true,
  item(fields, at) {
    const id = text(fields, 'id', at)
    const [finalAnswer = ''] = texts(fields, 'final_answer')
    const error = optionalText(fields, 'error')
    const context = optionalText(fields, 'context')
    const unit = optionalText(fields, 'unit')
    const question = text(fields, 'question', at)
    const tolerances = tolerancesOf(error)
    return {
      problem: {
        ...{ id, question: context ? `${context}\n${question}` : question, answer: finalAnswer },
        answerType: text(fields, 'answer_type', at),
        ...(unit && { unit }),
        ...(error && { tolerance: tolerances }),
        ...picturesOf(fields, PICTURES, at),
      },
      unit: id,
      categories: { subfield: [text(fields, 'subfield', at)], answer_type: [text(fields, 'answer_type', at)] },
      official: (response) => gradeOlympiad(response, { finalAnswer, error }),
    }
  },
}
