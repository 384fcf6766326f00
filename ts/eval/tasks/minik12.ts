/** Mini-K12: the package's own made problems, as `mm-prm tasks` writes them, in any number. */
import type { AnswerTask } from '../answer-task.ts'
import { pictureOf, text } from '../fields.ts'

export const miniK12: AnswerTask = {
  kind: 'answers',
  name: 'minik12',
  figure: 'accuracy',
  rows: null,
  units: 'problems',
  forms: [['id', 'question', 'answer', 'image', 'family', 'level']],
  prefers: /(?:^|\/)problems/,
  hasOfficial: false,
  item(fields, at) {
    const id = text(fields, 'id', at)
    const [question, answer] = [text(fields, 'question', at), text(fields, 'answer', at)]
    return {
      problem: { id, question, answer, ...pictureOf(fields, ['image'], at) },
      unit: id,
      categories: { family: [text(fields, 'family', at)], level: [text(fields, 'level', at)] },
      official: () => null,
    }
  },
}
