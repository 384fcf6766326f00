// biome-ignore-all lint/suspicious/noExplicitAny: golden files are plain JSON
/** Solution-level benchmarks: rows, official verdicts, tables and choices on look-alike files. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type AnswerSet, loadAnswerSet } from '../../ts/eval/answer-set.ts'
import type { AnswerItem } from '../../ts/eval/answer-task.ts'
import { gradeDynaMath, gradeDynaMathStrictly } from '../../ts/eval/official/dynamath.ts'
import { quickMatch } from '../../ts/eval/official/mathverse.ts'
import { extractMathVision, gradeMathVision } from '../../ts/eval/official/mathvision.ts'
import { extractByRules, normalizeExtraction } from '../../ts/eval/official/mathvista.ts'
import { gradeOlympiad } from '../../ts/eval/official/olympiadbench.ts'
import { extractQwen, isQwenEqual } from '../../ts/eval/official/qwen-math.ts'
import { stripAnswer } from '../../ts/eval/official/qwen-strip.ts'
import { classify, extractLetter } from '../../ts/eval/official/wemath.ts'
import { ANSWER_TASKS } from '../../ts/eval/registry.ts'
import { compositesOf } from '../../ts/eval/tasks/wemath.ts'
import { selectBest } from '../../ts/select/index.ts'
import { verifyProblem } from '../../ts/verify/index.ts'
import { GOLDEN_ROOT, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('eval')

const test = suite('eval answers')
const FOLDER = join(GOLDEN_ROOT, 'eval')
const readLines = (path: string): any[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
const present = ANSWER_TASKS.filter(({ name }) => existsSync(join(FOLDER, name)))
/** Share of `cases.jsonl` that must agree. */
const CASES = 0.98

function near(actual: number | null | undefined, expected: number | null, where: string): void {
  if (expected === null) assert.is(actual ?? null, null, where)
  else assert.ok(Math.abs((actual ?? Number.NaN) - expected) <= 1e-9, `${where}: ${actual} is not ${expected}`)
}

/** Graders of others, which the product does not offer. */
const NOT_OURS = /^(?:vlmevalkit|lmEval|mathVerify)/
const finalAnswerOf = ({ problem: { answer, tolerance } }: AnswerItem) => ({
  finalAnswer: answer,
  error: Array.isArray(tolerance) ? tolerance.map(String).join(',') : null,
})
type Verdict = boolean | null
const GRADERS: Record<string, (item: AnswerItem, candidate: any) => Verdict> = {
  official: (item, c) => item.official(c.text),
  officialWithExtraction: (item, c) => item.official(c.text, c.extraction),
  goldFirst: (item, c) => gradeOlympiad(c.text, finalAnswerOf(item), true),
  quickMatch: (item, c) => quickMatch(item.problem.answer, c.extraction),
  officialJson: (item, c) =>
    gradeDynaMathStrictly(c.text, { ground_truth: item.problem.answer, answer_type: item.problem.answerType as string }),
}
const CANDIDATE_KEYS = new Set(['text', 'extraction', 'teacher', 'flags', 'prmScores', ...Object.keys(GRADERS)])
const own = (item: AnswerItem, text: string) => verifyProblem(item.problem, item.read?.(text) ?? text).match

function countsOf(verdicts: readonly Verdict[]) {
  const [right, undecided] = [verdicts.filter((v) => v === true).length, verdicts.filter((v) => v === null).length]
  return { right, undecided, wrong: verdicts.length - right - undecided, total: verdicts.length }
}

function checkGrader(want: any, verdicts: Verdict[][], where: string): void {
  const first = countsOf(verdicts.map((v) => v[0] as Verdict))
  const { accuracy, accuracyIfUndecidedWereRight, ...counts } = want.candidate0
  assert.equal(first, counts, where)
  near(first.right / first.total, accuracy, where)
  near((first.right + first.undecided) / first.total, accuracyIfUndecidedWereRight, where)
  const all = countsOf(verdicts.flat())
  const { right, candidates, value, undecided } = want.passAt1
  assert.equal([all.right, all.total, all.undecided], [right, candidates, undecided], `${where} pass@1`)
  near(all.right / all.total, value, `${where} pass@1`)
}

function checkBest({ labelsFrom, results, ...more }: any, lines: any[], labels: boolean[][], where: string): void {
  assert.equal(more, {}, where)
  for (const [name, want] of Object.entries<any>(results)) {
    const right = lines.map((line, i) => {
      const label = labels[i] as boolean[]
      if (name === 'pass@4') return label.some(Boolean)
      const scores = line.candidates.map((c: any) => c.prmScores)
      return label[selectBest({ id: i, scores }, name)[0] as number]
    })
    assert.is(right.filter(Boolean).length, want.correct, `${where} best of 4, ${name}, labels of ${labelsFrom}`)
    near(right.filter(Boolean).length / right.length, want.accuracy, `${where} ${name}`)
  }
}

/** Accuracies of a dimension's values, and of pairs of dimensions. */
function byCategory(set: AnswerSet, right: readonly boolean[], keysOf: (item: AnswerItem) => readonly string[]) {
  const counts: Record<string, { right: number; total: number }> = {}
  for (const [i, item] of set.items.entries()) {
    for (const key of keysOf(item)) {
      counts[key] ??= { right: 0, total: 0 }
      counts[key].total++
      if (right[i]) counts[key].right++
    }
  }
  return counts
}
const sorted = (counts: object) => Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)))
const dimension = (name: string) => (item: AnswerItem) => item.categories[name] ?? []
const one = (item: AnswerItem, name: string) => dimension(name)(item)[0] as string
const percentText = (value: number) => `${(100 * value).toFixed(2)}%`

type CheckTable = (set: AnswerSet, table: any, rightOf: (candidate: number) => boolean[], lines: any[]) => void
const TABLES: Record<string, CheckTable> = {
  mathvista(set, table, rightOf) {
    const right = rightOf(0)
    for (const [name, want] of Object.entries<any>(table.official)) {
      const counts = byCategory(set, right, name === 'average' ? () => ['average'] : dimension(name))
      const wanted = name === 'average' ? { average: want } : want
      assert.equal(Object.keys(sorted(counts)), Object.keys(sorted(wanted)), `mathvista ${name}`)
      for (const [value, { accuracy, correct, total }] of Object.entries<any>(wanted)) {
        assert.equal(counts[value], { right: correct, total }, `mathvista ${name} ${value}`)
        near(correct / total, accuracy, `mathvista ${name} ${value}`)
      }
    }
  },
  mathvision(set, table, rightOf) {
    const keys = (item: AnswerItem) => {
      const [subject, level] = [one(item, 'subject'), one(item, 'level')]
      return ['-all', subject, `-level${level}`, `-level${level}_${subject}`, `${subject}_level${level}`]
    }
    const counts = byCategory(set, rightOf(0), keys)
    const shown = (n: number) => (Number.isInteger(n) ? n.toFixed(1) : String(n))
    const printed = Object.entries(counts).map(([key, { right, total }]) => {
      return [key, `${right}/${total}=${shown(Math.round((1e4 * right) / total) / 100)}%`]
    })
    assert.equal(sorted(Object.fromEntries(printed)), sorted(table.official))
  },
  mathverse(set, table, rightOf) {
    const right = rightOf(0)
    for (const [name, want] of Object.entries<any>(table.counts))
      assert.equal(sorted(byCategory(set, right, dimension(name))), sorted(want), `mathverse ${name}`)
    const all = byCategory(set, right, (item) => ['all', 'Total', ...Object.values(item.categories).flat()])
    const printed = Object.entries(all).map(([key, { right: r, total }]) => [key, (r / total).toFixed(3)])
    assert.equal(sorted(Object.fromEntries(printed)), sorted(table.printed))
  },
  olympiadbench(set, table, rightOf, lines) {
    const right = rightOf(0)
    const empty = lines.filter((line) => line.candidates[0].text === '').length
    const correct = right.filter(Boolean).length
    assert.equal([correct, right.length, empty], [table.right, table.total, table.leftOutAsEmpty])
    assert.is(right.length - empty, table.totalAsPrinted)
    const share = percentText(correct / table.totalAsPrinted)
    const n = table.totalAsPrinted
    assert.is(`${n} finished\t|${n} scored\t|accuracy=${share}\t|${empty} missing\t|${correct} correct`, table.printed)
    assert.equal(sorted(byCategory(set, right, dimension('subfield'))), sorted(table.bySubfield))
  },
  wemath(set, table, rightOf) {
    for (const [name, want] of Object.entries<any>(table)) {
      if (!name.startsWith('candidate')) {
        assert.ok(['classes', 'scores'].includes(name), `wemath: unknown table ${name}`)
        continue
      }
      const right = rightOf(Number(name.slice('candidate'.length)))
      checkWeMath(set, right, want, name === 'candidate0' ? { ...table, ...want } : want, name)
    }
  },
  dynamath(set, table, rightOf) {
    const figures = (set.task.figures as NonNullable<typeof set.task.figures>)(set.items, rightOf(0)) as any
    for (const [key, want] of Object.entries<any>(table.official)) {
      if (typeof want === 'number') near(figures[key], want, key)
      else assert.equal(sorted(figures[key] ?? {}), sorted(want), `dynamath ${key}`)
    }
  },
  gsm8k(_, { acc, right, total }, rightOf) {
    const n = rightOf(0).filter(Boolean).length
    assert.equal([n, rightOf(0).length, Number(((100 * n) / total).toFixed(1))], [right, total, acc])
  },
  math500(set, table, rightOf, lines) {
    TABLES['gsm8k']?.(set, table, rightOf, lines)
    assert.equal(sorted(byCategory(set, rightOf(0), dimension('level'))), sorted(table.byLevel))
    assert.equal(sorted(byCategory(set, rightOf(0), dimension('subject'))), sorted(table.bySubject))
  },
  mmk12(_, { right, total }, rightOf) {
    assert.equal([rightOf(0).filter(Boolean).length, rightOf(0).length], [right, total])
  },
}

function checkWeMath(set: AnswerSet, right: boolean[], want: any, more: any, where: string): void {
  const figures = (set.task.figures as NonNullable<typeof set.task.figures>)(set.items, right) as any
  const { of525, ofHere, accuracy, classes, scores, ...unknown } = want
  assert.equal(unknown, {}, where)
  for (const [table, mastery] of [
    [ofHere, figures.mastery],
    [of525, figures.masteryOf525],
  ]) {
    const { strict, loose } = mastery
    assert.equal(table.counts, {
      InadequateGeneralization: strict.counts.inadequateGeneralization,
      InsufficientKnowledge: strict.counts.insufficientKnowledge,
      CompleteMastery_loose: loose.counts.mastery,
      CompleteMastery_strict: strict.counts.mastery,
      RoteMemorization_loose: loose.counts.rote,
      RoteMemorization_strict: strict.counts.rote,
    })
    assert.is(percentText(strict.score), table.printed['Score (Strict)'], where)
    assert.is(percentText(loose.score), table.printed['Score (Loose)'], where)
  }
  for (const [name, text] of Object.entries<string>(accuracy)) {
    const value = figures.accuracy[name]
    assert.is(value === null || value === undefined ? 'nan%' : percentText(value), text, `${where} ${name}`)
  }
  const composites = compositesOf(set.items, right)
  for (const [id, wanted] of Object.entries<any>(classes ?? more.classes ?? {})) {
    const composite = composites.find((c) => c.id === id)
    assert.ok(composite, `${where} ${id}`)
    assert.equal({ strict: classify(composite as any, 'strict'), loose: classify(composite as any, 'loose') }, wanted)
  }
  for (const [rule, value] of Object.entries<number>(scores ?? {})) near(figures.mastery[rule].score, value, `${where} ${rule}`)
}

let ran = 0
for (const task of present) {
  test(task.name, async () => {
    const set = await loadAnswerSet(task, join(FOLDER, task.name), Number.MAX_SAFE_INTEGER)
    const expected = readJson(join(FOLDER, task.name, 'expected.json'))
    const lines = readLines(join(FOLDER, task.name, 'responses.jsonl'))
    assert.is(set.items.length, expected.rows)
    assert.is(lines.length, expected.rows)
    const verdicts: Record<string, Verdict[][]> = {}
    for (const [i, line] of lines.entries()) {
      const item = set.items[i] as AnswerItem
      if (line.id !== undefined && line.id !== null) assert.ok(item.problem.id.startsWith(String(line.id)), `${item.problem.id}`)
      assert.is(line.candidates.length, expected.candidates)
      for (const [j, c] of line.candidates.entries()) {
        const where = `${task.name} ${item.problem.id}, candidate ${j}: ${JSON.stringify(c.text).slice(-120)}`
        for (const key of Object.keys(c)) {
          if (NOT_OURS.test(key)) continue
          assert.ok(CANDIDATE_KEYS.has(key), `${where}: unknown key ${key}`)
          const grade = GRADERS[key]
          if (!grade) continue
          const verdict = grade(item, c)
          assert.is(verdict, c[key], `${where} ${key}`)
          verdicts[key] ??= lines.map(() => [])
          ;(verdicts[key][i] as Verdict[])[j] = verdict
        }
        const mine = own(item, c.text)
        if (c.flags.length === 0) assert.is(mine, c.teacher, `${where}: our own verdict`)
        verdicts['teacher'] ??= lines.map(() => [])
        ;(verdicts['teacher'][i] as Verdict[])[j] = c.flags.length === 0 ? mine : c.teacher
        ran++
      }
    }
    for (const [name, want] of Object.entries<any>(expected.graders)) {
      if (NOT_OURS.test(name)) continue
      checkGrader(want, verdicts[name] as Verdict[][], `${task.name} ${name}`)
    }
    const labelsOf = (name: string) => (verdicts[name] as Verdict[][]).map((of) => of.map((v) => v === true))
    const rightOf = (candidate: number) => labelsOf(expected.tableFrom).map((of) => of[candidate] === true)
    checkBest(expected.bestOf4, lines, labelsOf(expected.bestOf4.labelsFrom), task.name)
    TABLES[task.name]?.(set, expected.table, rightOf, lines)
  })
}

const same = (...pairs: [unknown, unknown][]) => pairs.every(([actual, wanted]) => actual === wanted)
const JUDGED: Record<string, (c: any) => boolean> = {
  mathvista: (c) => {
    if ('response' in c) {
      const extracted = extractByRules(c.response, c)
      const verdict = extracted === null ? null : normalizeExtraction(extracted, c) === c.answer
      return same([extracted, c.extractedByRules], [verdict, c.official])
    }
    const normalized = normalizeExtraction(c.extraction, c)
    return same([normalized, c.normalized], [normalized === c.answer, c.official])
  },
  mathvision: (c) =>
    same([extractMathVision(c.response), c.extracted], [gradeMathVision(c.response, c.answer, c.options), c.official]),
  olympiadbench: (c) => same([gradeOlympiad(c.response, c), c.official], [gradeOlympiad(c.response, c, true), c.goldFirst]),
  wemath: (c) => same([extractLetter(c.response), c.extracted], [extractLetter(c.response) === c.answer, c.official]),
  dynamath: (c) =>
    same([gradeDynaMath(c.response, c), c.official], [gradeDynaMathStrictly(c.response, c), c.officialJson ?? null]),
  math500: (c) =>
    'response' in c
      ? extractQwen(c.response) === c.extracted
      : isQwenEqual(stripAnswer(c.prediction), stripAnswer(c.reference)) === c.official,
}

for (const { name } of present) {
  const path = join(FOLDER, name, 'cases.jsonl')
  if (!existsSync(path)) continue
  test(`${name} cases`, () => {
    const judged = JUDGED[name]
    assert.ok(judged, `${name}: cases that nothing judges`)
    const cases = readLines(path)
    const wrong = cases.filter((c) => !judged?.(c))
    for (const c of wrong) console.log(`${name}: another verdict than the official one: ${JSON.stringify(c)}`)
    assert.ok(wrong.length <= (1 - CASES) * cases.length, `${name}: ${wrong.length} of ${cases.length} cases differ`)
    ran += cases.length
  })
}

test('every set ran', () => {
  const known = [...ANSWER_TASKS.map((task) => task.name), 'processbench', 'prmbench', 'visualprocessbench']
  const unknown = readdirSync(FOLDER).filter((name) => !known.includes(name) && name !== 'README.md')
  assert.equal(unknown, [], 'sets without a task')
  console.log(`golden/eval: ${ran} candidates and cases ran`)
})

test.run()
