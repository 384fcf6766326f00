/**
 * OlympiadBench (He et al. 2024), open-ended questions: `OE_MM_maths_en_COMP`, or another subset where its folder or file
 * alone is there. Parquet with columns of pictures, or the authors' JSON beside their folder `images`.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { invalidArgument } from '../../contracts/errors.ts'
import type { ProblemImage } from '../../contracts/problem.ts'
import type { Fields } from '../../rows/index.ts'
import type { AnswerTask, RowPlace } from '../answer-task.ts'
import { optionalText, picturesOf, text, texts } from '../fields.ts'
import { gradeOlympiad, type OlympiadLanguage, tolerancesOf } from '../official/olympiadbench.ts'

const PICTURES = ['image_1', 'image_2', 'image_3', 'image_4', 'image_5', 'image_6', 'image_7', 'image_8', 'image_9']
const USUAL = 'OE_MM_maths_en_COMP'
/** Proofs (`TP_…`) have no answer; their authors had people grade them. */
const SUBSETS: Readonly<Record<string, number>> = {
  ...{ [USUAL]: 150, OE_MM_maths_zh_CEE: 1910, OE_MM_maths_zh_COMP: 56 },
  ...{ OE_MM_physics_en_COMP: 456, OE_MM_physics_zh_CEE: 1483 },
  ...{ OE_TO_maths_en_COMP: 674, OE_TO_maths_zh_CEE: 1240, OE_TO_maths_zh_COMP: 408 },
  ...{ OE_TO_physics_en_COMP: 236, OE_TO_physics_zh_CEE: 115 },
}

const subsetOf = (at: RowPlace) => Object.keys(SUBSETS).find((name) => at.file.includes(name))

function languageOf(fields: Fields, at: RowPlace): OlympiadLanguage {
  const named = optionalText(fields, 'language')
  return (named === undefined ? at.file.includes('_zh_') : /^(?:chinese|zh)$/i.test(named)) ? 'zh' : 'en'
}

/** `<img_3362>` is `images/3362.jpg`; elsewhere pictures stand in columns, and the text has marks that all sets have. */
function withPictures(question: string, fields: Fields, at: RowPlace): { question: string; images?: ProblemImage[] } {
  const names = [...new Set(Array.from(question.matchAll(/<img_(\d+)>/g), ([, name = '']) => name))]
  if (names.length === 0) return { question, ...picturesOf(fields, PICTURES, at) }
  const fileOf = (name: string) => {
    const [beside, above] = ['images', '../images'].map((folder) => resolve(at.folder, folder, `${name}.jpg`))
    return (existsSync(beside as string) ? beside : above) as string
  }
  return {
    question: question.replace(/<img_(\d+)>/g, (_, name: string) => `<image${names.indexOf(name) + 1}>`),
    images: names.map(fileOf),
  }
}

export const olympiadBench: AnswerTask = {
  kind: 'answers',
  name: 'olympiadbench',
  figure: 'accuracy',
  rows: SUBSETS[USUAL] as number,
  parts: SUBSETS,
  units: 'problems',
  forms: [['id', 'question', 'final_answer', 'answer_type', 'subfield']],
  prefers: /OE_MM_maths_en_COMP/,
  hasOfficial: true,
  item(fields, at) {
    const id = text(fields, 'id', at)
    const [finalAnswer] = texts(fields, 'final_answer')
    if (finalAnswer === undefined)
      throw invalidArgument(
        `${at.file}, row ${at.index + 1}: no final answer; proofs cannot be graded, open-ended subsets (OE_…) can`,
      )
    const answerType = text(fields, 'answer_type', at)
    const error = optionalText(fields, 'error')
    const context = optionalText(fields, 'context')
    const unit = optionalText(fields, 'unit')
    const question = text(fields, 'question', at)
    const subset = subsetOf(at)
    // Their script looks at no tolerance of a tuple.
    const graded = { finalAnswer, error: answerType.includes('Tuple') ? undefined : error, language: languageOf(fields, at) }
    return {
      problem: {
        ...{ id, answer: finalAnswer, answerType },
        ...withPictures(context ? `${context}\n${question}` : question, fields, at),
        ...(unit && { unit }),
        ...(error && { tolerance: tolerancesOf(error) }),
      },
      unit: id,
      categories: {
        ...(subset !== undefined && subset !== USUAL && { subset: [subset] }),
        ...{ subfield: [text(fields, 'subfield', at)], answer_type: [answerType] },
      },
      official: (response) => gradeOlympiad(response, graded),
    }
  },
}
