/** MathVerse testmini (Zhang et al. 2024): 788 problems in five versions, from all in the text to all in the picture. */
import { choicesIn } from '../../contracts/problem.ts'
import type { Fields } from '../../rows/index.ts'
import type { AnswerTask } from '../answer-task.ts'
import { choicesOf, optionalText, pictureOf, refusedWithout, text } from '../fields.ts'
import { gradeMathVerse } from '../official/mathverse.ts'

/** Vision Only has its question in the picture: there the prompt alone is asked. */
const INSTRUCTION = 'Answer the question in the picture.'

export const mathVerse: AnswerTask = {
  kind: 'answers',
  name: 'mathverse',
  figure: 'accuracy, all versions pooled',
  rows: 3940,
  units: 'problems',
  forms: [['sample_index', 'problem_index', 'problem_version', 'question', 'answer', 'question_type']],
  prefers: /testmini(?!_text)/,
  hasOfficial: true,
  item(fields, at) {
    const [id, answer] = [text(fields, 'sample_index', at), text(fields, 'answer', at)]
    const [written, whole] = [text(fields, 'question', at), optionalText(fields, 'question_for_eval') ?? '']
    const isChoice = text(fields, 'question_type', at) === 'multi-choice'
    const choices = isChoice ? choicesIn(whole || written) : []
    const isDrawn = written.trim() === ''
    const { subject, subfield } = (fields['metadata'] ?? fields) as Fields
    return {
      problem: {
        ...{ id, question: isDrawn ? INSTRUCTION : written, answer },
        // WHY not shown where they are drawn: the version asks whether the model reads them.
        ...(isDrawn ? {} : choicesOf(choices)),
        ...pictureOf(fields, ['decoded_image', 'image'], at),
        meta: { question: whole || written, ...choicesOf(choices) },
      },
      ...(isChoice && refusedWithout(choices)),
      unit: text(fields, 'problem_index', at),
      categories: {
        versions: [text(fields, 'problem_version', at)],
        subjects: [String(subject)],
        subfields: [`${subject}-${subfield}`],
      },
      official: (_, extraction) => gradeMathVerse(answer, extraction),
    }
  },
}
