/** MM-K12 test (Du et al. 2025): 500 school problems with a picture, half of them choices; no grading code was released. */
import { choicesIn } from '../../contracts/problem.ts'
import type { AnswerTask } from '../answer-task.ts'
import { choicesOf, optionalText, pictureOf, refusedWithout, text } from '../fields.ts'

export const mmK12: AnswerTask = {
  kind: 'answers',
  name: 'mmk12',
  figure: 'accuracy',
  rows: 500,
  units: 'problems',
  forms: [
    ['id', 'question', 'correct_answer', 'image_path'],
    ['id', 'question', 'answer', 'image'],
  ],
  recognises: (fields) => !('unit' in fields || 'final_answer' in fields || 'level' in fields || 'answer_type' in fields),
  prefers: /(?:^|\/)test/,
  hasOfficial: false,
  item(fields, at) {
    const id = text(fields, 'id', at)
    const answer = optionalText(fields, 'correct_answer') ?? text(fields, 'answer', at)
    const question = text(fields, 'question', at)
    const isChoice = /^[A-H]$/.test(answer.trim())
    const choices = isChoice ? choicesIn(question) : []
    return {
      problem: { id, question, answer, ...choicesOf(choices), ...pictureOf(fields, ['image', 'image_path'], at) },
      ...(isChoice && refusedWithout(choices)),
      unit: id,
      categories: { form: [isChoice ? 'choice' : 'fill-in'] },
      official: () => null,
    }
  },
}
