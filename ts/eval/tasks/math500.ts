/** MATH-500 (Hendrycks et al. 2021, Lightman et al. 2023): 500 competition problems, seven subjects, five levels. */
import type { AnswerTask } from '../answer-task.ts'
import { text } from '../fields.ts'
import { gradeQwen } from '../official/qwen-math.ts'

export const math500: AnswerTask = {
  kind: 'answers',
  name: 'math500',
  figure: 'accuracy',
  rows: 500,
  units: 'problems',
  forms: [['problem', 'answer', 'subject', 'level', 'unique_id']],
  prefers: /test/,
  hasOfficial: true,
  item(fields, at) {
    const [id, answer] = [text(fields, 'unique_id', at), text(fields, 'answer', at)]
    return {
      problem: { id, question: text(fields, 'problem', at), answer },
      unit: id,
      categories: { level: [text(fields, 'level', at)], subject: [text(fields, 'subject', at)] },
      official: (response) => gradeQwen(response, answer),
    }
  },
}
