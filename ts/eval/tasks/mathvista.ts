/** MathVista testmini (Lu et al. 2023): 1000 problems of many kinds, a choice or a value each. */
import { choicesIn } from '../../contracts/problem.ts'
import type { Fields } from '../../rows/index.ts'
import type { AnswerTask } from '../answer-task.ts'
import { choicesOf, optionalText, pictureOf, refusedWithout, text, texts } from '../fields.ts'
import { gradeMathVista } from '../official/mathvista.ts'

const DIMENSIONS = ['language', 'source', 'category', 'task', 'context', 'grade', 'skills']
const PLACES: Readonly<Record<string, number>> = { one: 1, two: 2, three: 3, four: 4 }

/** The table form has no column for it: the question asks for so many decimals. */
function precisionOf(fields: Fields, question: string): number | undefined {
  const given = Number(optionalText(fields, 'precision') || Number.NaN)
  if (Number.isFinite(given)) return given
  const named = /number with (\w+) decimal place/.exec(question)?.[1]
  return named === undefined ? undefined : PLACES[named]
}

export const mathVista: AnswerTask = {
  kind: 'answers',
  name: 'mathvista',
  figure: 'accuracy',
  rows: 1000,
  units: 'problems',
  forms: [['pid', 'question', 'question_type', 'answer_type', 'answer']],
  prefers: /testmini|MINI/,
  hasOfficial: true,
  item(fields, at) {
    const question = text(fields, 'question', at)
    const precision = precisionOf(fields, `${question} ${optionalText(fields, 'query') ?? ''}`)
    const [answer, question_type, answer_type] = ['answer', 'question_type', 'answer_type'].map((n) => text(fields, n, at)) as [
      ...[string, string, string],
    ]
    const isChoice = question_type === 'multi_choice'
    const listed = texts(fields, 'choices')
    const choices = listed.length > 0 || !isChoice ? listed : choicesIn(question)
    const unit = optionalText(fields, 'unit')
    const metadata = { ...fields, ...(fields['metadata'] as Fields | undefined) }
    const categories = Object.fromEntries(DIMENSIONS.map((name) => [name, texts(metadata, name)]))
    return {
      problem: {
        ...{ id: text(fields, 'pid', at), question, answer, answerType: answer_type },
        ...choicesOf(choices),
        ...(unit && { unit }),
        ...(precision !== undefined && { precision }),
        ...pictureOf(fields, ['decoded_image', 'image'], at),
      },
      ...(isChoice && refusedWithout(choices)),
      unit: text(fields, 'pid', at),
      categories: { question_type: [question_type], answer_type: [answer_type], ...categories },
      official: (response, extraction) =>
        gradeMathVista(response, { answer, question_type, answer_type, choices, precision }, extraction),
    }
  },
}
