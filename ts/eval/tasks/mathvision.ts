/** MATH-Vision test (Wang et al. 2024): 3040 competition problems, 16 subjects, five levels. */
import type { AnswerTask } from '../answer-task.ts'
import { choicesOf, optionalText, pictureOf, text, texts } from '../fields.ts'
import { gradeMathVision } from '../official/mathvision.ts'

export const mathVision: AnswerTask = {
  kind: 'answers',
  name: 'mathvision',
  figure: 'accuracy',
  rows: 3040,
  units: 'problems',
  forms: [
    ['id', 'question', 'answer', 'level', 'subject', 'image'],
    ['index', 'question', 'choices', 'image', 'answer', 'category', 'l2-category'],
  ],
  prefers: /(?:^|\/)(?:test|MathVision)(?![a-z_]|_MINI)/i,
  hasOfficial: true,
  item(fields, at) {
    const id = optionalText(fields, 'id') ?? text(fields, 'index', at)
    const answer = text(fields, 'answer', at)
    const options = [...texts(fields, 'options'), ...texts(fields, 'choices')]
    const level = optionalText(fields, 'level') ?? text(fields, 'l2-category', at)
    const subject = optionalText(fields, 'subject') ?? text(fields, 'category', at)
    return {
      problem: {
        ...{ id, question: text(fields, 'question', at), answer },
        ...choicesOf(options),
        ...pictureOf(fields, ['decoded_image', 'image'], at),
      },
      unit: id,
      categories: { subject: [subject], level: [level], form: [options.length > 0 ? 'choice' : 'free'] },
      official: (response) => gradeMathVision(response, answer, options),
    }
  },
}
