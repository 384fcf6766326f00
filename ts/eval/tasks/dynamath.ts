/** DynaMath (Zou et al. 2024): 501 seed questions, each in ten variants; average, and worst case over a seed's variants. */
import { choicesIn } from '../../contracts/problem.ts'
import type { AnswerItem, AnswerTask } from '../answer-task.ts'
import { choicesOf, optionalText, pictureOf, refusedWithout, text } from '../fields.ts'
import { groupBy } from '../group.ts'
import { gradeDynaMath, readShortAnswer } from '../official/dynamath.ts'

const VARIANTS = 10

interface DynaMathFigures {
  average: number | null
  /** Seeds right in every variant. */
  worstCase: number | null
  seeds: number
  rows: number
}

type Judged = { seed: string; variant: string; subject: string; level: string; isRight: boolean }

function figuresOf(rows: readonly Judged[]): DynaMathFigures {
  const seeds = [...groupBy(rows, (row) => row.seed).values()]
  const share = (of: number, total: number) => (total === 0 ? null : of / total)
  return {
    average: share(rows.filter((row) => row.isRight).length, rows.length),
    worstCase: share(seeds.filter((seed) => seed.every((row) => row.isRight)).length, seeds.length),
    seeds: seeds.length,
    rows: rows.length,
  }
}

export function dynaMathFigures(items: readonly AnswerItem[], right: readonly (boolean | null)[]) {
  const rows = items.map(({ unit, categories: { subject, level, variant } }, i): Judged => {
    const first = (values: readonly string[] | undefined) => values?.[0] ?? ''
    return { seed: unit, variant: first(variant), subject: first(subject), level: first(level), isRight: right[i] === true }
  })
  const by = <T>(key: 'seed' | 'variant' | 'subject' | 'level', value: (of: readonly Judged[]) => T) =>
    Object.fromEntries([...groupBy(rows, (row) => row[key])].map(([name, of]) => [name, value(of)]))
  const rightOfTen = by('seed', (of) => of.filter((row) => row.isRight).length)
  const consistent = Object.entries(by('seed', (of) => of.every((row) => row.isRight === of[0]?.isRight)))
  return {
    overall: figuresOf(rows),
    bySubject: by('subject', figuresOf),
    byLevel: by('level', figuresOf),
    byVariant: by('variant', (of) => figuresOf(of).average),
    rightOfTen,
    repetitionConsistent: consistent.filter(([, isSame]) => isSame).length / Math.max(1, consistent.length),
  }
}

export const dynaMath: AnswerTask = {
  kind: 'answers',
  name: 'dynamath',
  figure: 'average accuracy',
  rows: 501 * VARIANTS,
  units: 'seeds',
  forms: [
    ['id', 'question', 'ground_truth', 'answer_type', 'subject', 'knowledge_level'],
    ['qid', 'varid', 'question', 'answer', 'answer_type', 'subject', 'knowledge_level'],
  ],
  prefers: /sample_variant|trial|DynaMath/,
  hasOfficial: true,
  item(fields, at) {
    const seed = optionalText(fields, 'id') ?? text(fields, 'qid', at)
    const variant = optionalText(fields, 'varid') ?? /(\d+)/.exec(/(?:variant|trial)_?\d+/.exec(at.file)?.[0] ?? '')?.[1] ?? '1'
    const ground_truth = optionalText(fields, 'ground_truth') ?? text(fields, 'answer', at)
    const answer_type = text(fields, 'answer_type', at)
    const question = text(fields, 'question', at)
    const isChoice = answer_type === 'multiple choice'
    const choices = isChoice ? choicesIn(question) : []
    return {
      problem: {
        ...{ id: `${seed}/${variant}`, question, answer: ground_truth, answerType: answer_type },
        ...choicesOf(choices),
        ...(answer_type === 'float' && { tolerance: 0.001 }),
        ...pictureOf(fields, ['decoded_image', 'image'], at),
      },
      ...(isChoice && refusedWithout(choices)),
      unit: seed,
      categories: {
        subject: [text(fields, 'subject', at)],
        level: [text(fields, 'knowledge_level', at)],
        variant: [variant],
        answer_type: [answer_type],
      },
      read: readShortAnswer,
      official: (response) => gradeDynaMath(response, { ground_truth, answer_type }),
    }
  },
  figures: dynaMathFigures,
}
