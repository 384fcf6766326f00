/**
 * Verdicts on solutions: by the set's official rules, by our own, and by a judge where neither can tell. Each distinct text
 * and answer of a problem is graded once; a judge's words are kept.
 */
import type { Problem } from '../contracts/problem.ts'
import type { AnswerItem } from './answer-task.ts'
import { forEachLimited } from './limited.ts'
import type { LineHead, LineStore } from './line-store.ts'
import { checkRows, readSolutions, type Solution, type SolutionStore, textOf } from './solutions.ts'

/** A judge's verdict, null where its words say neither; and its words. */
export interface Judgement {
  readonly match: boolean | null
  readonly raw?: string
}

/** What our own grading is made of; `ts/verify` has it. */
export interface Grader {
  /** The answer that a solution states; null where it states none. */
  answerOf(text: string): string | null
  /** By rules. `isDecided`: false where these cannot tell. */
  verify(problem: Problem, solution: string): { match: boolean; method: string; isDecided: boolean }
  /** Answers that say the same get one spelling. */
  canonical(answers: readonly (string | null)[]): (string | null)[]
  judge?: { readonly name: string; ask(problem: Problem, answer: string, signal?: AbortSignal): Promise<Judgement> }
}

/** One judgement, kept for every later run. `hash`: of the row. `match`: null where the judge's words say neither. */
export type JudgedLine = LineHead & { judge: string; answer: string; match: boolean | null; raw?: string }
export type JudgedStore = LineStore<JudgedLine, JudgedLine>

/** Right, wrong, or null: undecided. */
export type Verdicts = (boolean | null)[]

/** What is known of one problem's solutions. */
export interface GradedItem {
  readonly ours: Verdicts
  readonly official: Verdicts
  /** In one spelling each; null where a solution states none. */
  readonly answers: readonly (string | null)[]
  readonly outcomes: readonly Solution['outcome'][]
  readonly tokens: number
}

export interface GradeOptions {
  items: readonly AnswerItem[]
  /** Of each item's row. */
  hashes: readonly string[]
  n: number
  grader: Grader
  judged: JudgedStore
  inFlight?: number
  signal?: AbortSignal | undefined
  onProgress?: ((done: number) => void) | undefined
}

/**
 * In the order of the items; a problem without solutions has why.
 * @throws EngineError INVALID_ARGUMENT: the solutions are of other rows; POLICY: the judge fails; STORE, ABORTED
 */
export async function gradeSolutions(solutions: SolutionStore, o: GradeOptions): Promise<(GradedItem | { error: string })[]> {
  const graded: (GradedItem | { error: string })[] = []
  checkRows(solutions, o.items, o.hashes)
  let done = 0
  await forEachLimited(o.items.entries(), o.inFlight ?? 4, async ([i, item]) => {
    const read = await readSolutions(solutions, item.problem.id, o.n)
    if (item.refused !== undefined) graded[i] = { error: item.refused }
    else if ('error' in read) graded[i] = read
    else graded[i] = read.length === 0 ? { error: 'no solutions' } : await gradeItem(item, o.hashes[i] as string, read, o)
    o.onProgress?.(++done)
  })
  return graded
}

async function gradeItem(item: AnswerItem, row: string, solutions: readonly Solution[], o: GradeOptions): Promise<GradedItem> {
  const texts = solutions.map(textOf)
  const official = new Map<string, boolean | null>()
  const answers = new Map<string, string | null>()
  const own = new Map<string | null, boolean | null>([[null, false]])
  for (const text of new Set(texts)) {
    official.set(text, item.official(text))
    const answer = answerIn(item, text, o.grader)
    answers.set(text, answer)
    if (!own.has(answer)) own.set(answer, await ownVerdict(item.problem, row, answer as string, o))
  }
  const stated = texts.map((text) => answers.get(text) ?? null)
  return {
    ours: stated.map((answer) => own.get(answer) as boolean | null),
    official: texts.map((text) => official.get(text) ?? null),
    answers: o.grader.canonical(stated),
    outcomes: solutions.map(({ outcome }) => outcome),
    tokens: solutions.reduce((sum, { tokens = 0 }) => sum + tokens, 0),
  }
}

/** A text without any mark of an answer is one itself where it is short. */
const MAX_BARE_ANSWER = 120

/** The answer that a solution states, in its task's own form or as any text states one. */
function answerIn(item: AnswerItem, text: string, { answerOf, verify }: Grader): string | null {
  const form = item.read?.(text)?.trim()
  const answer = answerOf(form ?? text)
  if (answer !== null) return answer
  if (form !== undefined) return form === '' ? null : form
  const bare = text.trim()
  return bare !== '' && bare.length <= MAX_BARE_ANSWER && verify(item.problem, bare).match ? bare : null
}

async function ownVerdict(problem: Problem, row: string, answer: string, o: GradeOptions): Promise<boolean | null> {
  const { match, isDecided } = o.grader.verify(problem, answer)
  if (match || isDecided) return match
  return o.grader.judge ? judgedVerdict(problem, row, answer, o.grader.judge, o) : null
}

type Judge = NonNullable<Grader['judge']>

async function judgedVerdict({ id, ...problem }: Problem, row: string, answer: string, judge: Judge, o: GradeOptions) {
  const said = o.judged.hashOf(id) === row ? o.judged.kept(id) : []
  const known = said.find((line) => line.answer === answer && line.judge === judge.name)
  if (known) return known.match
  const { match, raw } = await judge.ask({ id, ...problem }, answer, o.signal)
  await o.judged.append({ id, hash: row, judge: judge.name, answer, match, ...(raw !== undefined && { raw }) })
  return match
}
