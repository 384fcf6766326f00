/** GSM8K test (Cobbe et al. 2021): 1319 word problems; the gold answer stands behind `####`. */
import { invalidArgument } from '../../contracts/errors.ts'
import type { AnswerTask } from '../answer-task.ts'
import { text } from '../fields.ts'
import { gradeQwen } from '../official/qwen-math.ts'

export const gsm8k: AnswerTask = {
  kind: 'answers',
  name: 'gsm8k',
  figure: 'accuracy',
  rows: 1319,
  units: 'problems',
  forms: [['question', 'answer']],
  recognises: (fields) => String(fields['answer']).includes('####'),
  prefers: /(?:^|\/)(?:main\/)?test/,
  hasOfficial: true,
  item(fields, at) {
    const [question, solution] = [text(fields, 'question', at), text(fields, 'answer', at)]
    const answer = solution.split('####')[1]?.trim()
    if (answer === undefined)
      throw invalidArgument(`${at.file}, row ${at.index + 1}: "answer" holds no ####, and so no final answer`)
    const id = String(at.index)
    return {
      problem: { id, question, answer },
      unit: id,
      categories: {},
      official: (response) => gradeQwen(response, answer),
    }
  },
}
