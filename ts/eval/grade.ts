/**
 * Verdicts on solutions: by the set's official rules, by our own, and by a judge where neither can tell. Each distinct text
 * and answer of a problem is graded once; a judge's words are kept.
 */
import type { Problem } from '../contracts/problem.ts'
import type { Verdict } from '../contracts/verifier.ts'
import type { AnswerItem } from './answer-task.ts'
import { forEachLimited } from './limited.ts'
import type { LineHead, LineStore } from './line-store.ts'
import { readSolutions, type Solution, type SolutionStore, textOf } from './solutions.ts'

/** What our own grading is made of; `ts/verify` has it. */
export interface Grader {
  /** The answer that a solution states; null where it states none. */
  answerOf(text: string): string | null
  /** By rules. `isDecided`: false where these cannot tell. */
  verify(problem: Problem, solution: string): { match: boolean; method: string; isDecided: boolean }
  /** Answers that say the same get one spelling. */
  canonical(answers: readonly (string | null)[]): (string | null)[]
  judge?: { readonly name: string; ask(problem: Problem, answer: string, signal?: AbortSignal): Promise<Verdict> }
}

/** One judgement, kept for every later run. `hash`: of the judge's name. */
export type JudgedLine = LineHead & { answer: string; match: boolean; raw?: string }
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
  n: number
  grader: Grader
  judged: JudgedStore
  inFlight?: number
  signal?: AbortSignal | undefined
  onProgress?: ((done: number) => void) | undefined
}

/** In the order of the items; a problem without solutions has why. @throws EngineError POLICY: the judge fails; STORE, ABORTED */
export async function gradeSolutions(solutions: SolutionStore, o: GradeOptions): Promise<(GradedItem | { error: string })[]> {
  const graded: (GradedItem | { error: string })[] = []
  let done = 0
  await forEachLimited(o.items.entries(), o.inFlight ?? 4, async ([i, item]) => {
    const read = await readSolutions(solutions, item.problem.id, o.n)
    graded[i] = 'error' in read ? read : await gradeItem(item, read, o)
    o.onProgress?.(++done)
  })
  return graded
}

async function gradeItem(item: AnswerItem, solutions: readonly Solution[], o: GradeOptions): Promise<GradedItem> {
  const texts = solutions.map(textOf)
  const official = new Map<string, boolean | null>()
  const own = new Map<string, { answer: string | null; verdict: boolean | null }>()
  for (const text of new Set(texts)) {
    official.set(text, item.official(text))
    own.set(text, await ownVerdict(item, text, o))
  }
  const each = texts.map((text) => own.get(text) as { answer: string | null; verdict: boolean | null })
  return {
    ours: each.map(({ verdict }) => verdict),
    official: texts.map((text) => official.get(text) ?? null),
    answers: o.grader.canonical(each.map(({ answer }) => answer)),
    outcomes: solutions.map(({ outcome }) => outcome),
    tokens: solutions.reduce((sum, { tokens = 0 }) => sum + tokens, 0),
  }
}

async function ownVerdict(item: AnswerItem, text: string, o: GradeOptions) {
  const { problem } = item
  const form = item.read?.(text) ?? text
  const answer = o.grader.answerOf(form)
  const { match, isDecided } = o.grader.verify(problem, form)
  if (match || answer === null || isDecided) return { answer, verdict: match }
  if (!o.grader.judge) return { answer, verdict: null }
  return { answer, verdict: await judgedVerdict(problem, answer, o.grader.judge, o) }
}

async function judgedVerdict(problem: Problem, answer: string, judge: NonNullable<Grader['judge']>, o: GradeOptions) {
  const known = o.judged.kept(problem.id).find((line) => line.answer === answer && line.hash === judge.name)
  if (known) return known.match
  const { match, raw } = await judge.ask(problem, answer, o.signal)
  await o.judged.append({ id: problem.id, hash: judge.name, answer, match, ...(raw !== undefined && { raw }) })
  return match
}
