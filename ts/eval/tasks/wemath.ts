/** We-Math testmini (Qiao et al. 2024): composite problems beside their steps, and what is mastered, or known by rote. */
import { choicesIn } from '../../contracts/problem.ts'
import type { AnswerItem, AnswerTask } from '../answer-task.ts'
import { choicesOf, optionalText, pictureOf, refusedWithout, text } from '../fields.ts'
import { CONCEPT_GROUPS, type Composite, gradeWeMath, masteryFigures } from '../official/wemath.ts'

const LETTERS = ['A', 'B', 'C', 'D', 'E']

/** `A. 72;B. 82`; a semicolon within an option does not part it. */
const readOptions = (options: string) =>
  options.trim() === '' ? [] : options.split(/;\s*(?=[A-H]\.)/).map((option) => option.replace(/^\s*[A-H]\.\s*/, '').trim())

/** What stands behind the `<Answer>` that the set's own prompt asks for. */
const behindAnswerMark = (response: string) =>
  /<answer>\s*:\s*(?:<<)?([\s\S]*?)(?:>>)?\s*$/i.exec(
    response.slice(Math.max(0, response.toLowerCase().lastIndexOf('<answer>'))),
  )?.[1]

/** Rows of one ID: its steps and the composite problem of them. */
export function compositesOf(items: readonly AnswerItem[], right: readonly (boolean | null)[]): Composite[] {
  const rows = new Map<string, Map<string, boolean>>()
  for (const [i, { unit, problem }] of items.entries()) {
    const of = rows.get(unit) ?? new Map<string, boolean>()
    rows.set(unit, of.set(String(problem.meta?.['key']).split('_').at(-1) as string, right[i] === true))
  }
  return [...rows].flatMap(([id, of]) => {
    const multi = of.get('multi')
    return multi === undefined
      ? []
      : [{ id, multi, steps: [...of].filter(([key]) => key !== 'multi').map(([, isRight]) => isRight) }]
  })
}

const mean = (values: readonly number[]) => (values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length)

/** One step, two and three steps; groups of concepts, each the mean of its concepts' own means. */
export function accuracyTable(items: readonly AnswerItem[], right: readonly (boolean | null)[]): Record<string, number | null> {
  const all = items.map(({ problem }, i) => ({
    key: problem.meta?.['key'] as string,
    concept: problem.meta?.['concept'] as string,
    value: right[i] === true ? 1 : 0,
  }))
  const of = (keep: (row: (typeof all)[number]) => boolean) => mean(all.filter(keep).map((row) => row.value))
  const isStep = (key: string) => !key.endsWith('_multi')
  const groups = Object.entries(CONCEPT_GROUPS).map(([group, concepts]) => {
    const means = concepts.map((concept) => of((row) => isStep(row.key) && row.concept === concept))
    return [group, mean(means.filter((value) => value !== null))] as const
  })
  return {
    'One-step(S1)': of((row) => isStep(row.key)),
    'Two-step(S2)': of((row) => row.key === '2steps_multi'),
    'Three-step(S3)': of((row) => row.key === '3steps_multi'),
    ...Object.fromEntries(groups),
  }
}

export const weMath: AnswerTask = {
  kind: 'answers',
  name: 'wemath',
  figure: 'accuracy',
  rows: 1740,
  units: 'composites',
  forms: [
    ['ID', 'key', 'question', 'option', 'answer'],
    ['ID', 'key', 'question', 'A', 'B', 'answer'],
  ],
  prefers: /testmini|WeMath/i,
  hasOfficial: true,
  item(fields, at) {
    const [id, key, answer] = [text(fields, 'ID', at), text(fields, 'key', at), text(fields, 'answer', at)]
    const option = optionalText(fields, 'option')
    const question = text(fields, 'question', at)
    const columns = LETTERS.map((name) => optionalText(fields, name) ?? '')
    const listed =
      option === undefined ? columns.slice(0, columns.findLastIndex((value) => value !== '') + 1) : readOptions(option)
    const choices = listed.length > 0 ? listed : choicesIn(question)
    const concept = text(fields, 'knowledge concept', at)
    return {
      problem: {
        ...{ id: `${id}/${key}`, question, answer },
        ...choicesOf(choices),
        ...pictureOf(fields, ['image_path', 'image'], at),
        meta: { key, concept },
      },
      ...refusedWithout(choices),
      unit: id,
      categories: { key: [key], concept: [concept] },
      read: behindAnswerMark,
      official: (response) => gradeWeMath(answer, response),
    }
  },
  figures(items, right) {
    const composites = compositesOf(items, right)
    const of = (total?: number) => ({
      strict: masteryFigures(composites, 'strict', total),
      loose: masteryFigures(composites, 'loose', total),
    })
    return { mastery: of(), masteryOf525: of(525), accuracy: accuracyTable(items, right) }
  },
}
