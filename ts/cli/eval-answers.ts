/** The stages of a solution-level evaluation, each over all tasks: generate, score, grade. One model is open at a time. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { invalidArgument, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { Verdict } from '../contracts/verifier.ts'
import {
  type AnswerSet,
  type AnswerTaskResults,
  answerResults,
  enterResponses,
  type Grader,
  gradeSolutions,
  type JudgedItem,
  type JudgedLine,
  LineStore,
  openScores,
  openSolutions,
  PER_PROBLEM,
  readScores,
  SOLUTIONS_FILE,
  sampleSolutions,
  scoreSolutions,
  type Unused,
} from '../eval/index.ts'
import type { OpenedPolicy, OpenedScorer } from '../kit/index.ts'
import * as select from '../select/index.ts'
import { canonicalAnswers, extractAnswer, type RuleVerifierOptions, ruleVerifier, verifyProblem } from '../verify/index.ts'
import type { EvalSettings } from './eval-options.ts'
import { writeWhole } from './eval-report.ts'
import { Progress } from './progress.ts'

export interface AnswerWork {
  readonly set: AnswerSet
  /** Folder of this task's results. */
  readonly out: string
}

export interface TaskCost {
  seconds: number
  tokens?: number
  money?: number
}

const openJudged = (out: string) => LineStore.open<JudgedLine, JudgedLine>(join(out, 'judged.jsonl'), (line) => line)

/** @throws EngineError STORE: there are results already, and they are not to be gone on with */
export function prepareFolders(works: readonly AnswerWork[], resume: boolean): void {
  for (const { out } of works) {
    makeFolder(out)
    if (!resume && existsSync(join(out, SOLUTIONS_FILE)))
      throw storeError(`${out} holds results already; --resume goes on with them`)
  }
}

/** Told how long a stage took for one task. */
export type OnSeconds = (task: string, seconds: number) => void

async function shownStage<T>(
  { task, items }: AnswerSet,
  stage: string,
  onSeconds: OnSeconds,
  work: (onProgress: (done: number) => void) => Promise<T>,
): Promise<T> {
  const [progress, began, total] = [new Progress(`${task.name}: ${stage}`), performance.now(), items.length]
  try {
    const result = await work((done) => progress.update(`${done} of ${total} problems`, done / total))
    progress.finish(`${total} problems`)
    return result
  } finally {
    onSeconds(task.name, (performance.now() - began) / 1000)
  }
}

/** A policy that was trained with one template is not measured with another. */
export function checkTemplate({ engine, identity }: Pick<OpenedPolicy, 'identity'> & Partial<OpenedPolicy>): void {
  const info = engine?.info()
  if (info?.recordsTemplate && identity.template !== info.rolloutTemplate)
    throw invalidArgument(
      `--template ${identity.template}: the checkpoint records that it was trained with ${info.rolloutTemplate}; leave --template out`,
    )
}

export async function generate(
  works: readonly AnswerWork[],
  policy: OpenedPolicy,
  { n, seed }: EvalSettings,
  onSeconds: OnSeconds,
  signal: AbortSignal,
) {
  checkTemplate(policy)
  for (const note of (await policy.prepare?.(signal)) ?? []) process.stderr.write(`mm-prm: ${note}\n`)
  for (const { set, out } of works) {
    await using store = await openSolutions(out)
    const { items, hashes } = set
    const { inFlight } = policy
    await shownStage(set, 'solutions', onSeconds, (onProgress) =>
      sampleSolutions(store, { items, hashes, policy, n, seed, inFlight, signal, onProgress }),
    )
  }
}

export async function enter(works: readonly AnswerWork[], file: string): Promise<void> {
  for (const { set, out } of works) {
    await using store = await openSolutions(out)
    await enterResponses(store, file, set.items, set.hashes)
  }
}

export async function score(
  works: readonly AnswerWork[],
  scorer: OpenedScorer,
  { n }: EvalSettings,
  onSeconds: OnSeconds,
  signal: AbortSignal,
) {
  for (const { set, out } of works) {
    await using solutions = await openSolutions(out)
    await using store = await openScores(out, scorer.name)
    await shownStage(set, 'scores', onSeconds, (onProgress) =>
      scoreSolutions(solutions, store, { items: set.items, scorer, n, signal, onProgress }),
    )
  }
}

/** Our own grading: by rules, and by the judge where one is given. */
export function makeGrader(judge?: RuleVerifierOptions['judge'] & { name: string }): Grader {
  const verifier = judge && ruleVerifier({ judge })
  return {
    answerOf: extractAnswer,
    verify: verifyProblem,
    canonical: canonicalAnswers,
    ...(verifier && {
      judge: { name: judge.name, ask: (problem, answer, signal): Promise<Verdict> => verifier.verify(problem, answer, signal) },
    }),
  }
}

/** @param scorer whose scores are in the table; undefined: none */
export async function grade(
  { set, out }: AnswerWork,
  { n, seed, grade: which }: EvalSettings,
  { grader, scorer }: { grader: Grader; scorer: string | undefined },
  onSeconds: OnSeconds,
  signal: AbortSignal,
): Promise<{ results: AnswerTaskResults; tokens: number }> {
  await using solutions = await openSolutions(out)
  await using judged = await openJudged(out)
  const graded = await shownStage(set, 'verdicts', onSeconds, (onProgress) =>
    gradeSolutions(solutions, { items: set.items, n, grader, judged, signal, onProgress }),
  )
  const all: JudgedItem[] = []
  const unused: { refused: Unused['refused'][number][]; unscored: Unused['unscored'][number][] } = { refused: [], unscored: [] }
  await using scores = scorer === undefined ? undefined : await openScores(out, scorer)
  for (const [i, item] of set.items.entries()) {
    const one = graded[i]
    const { id } = item.problem
    if (!one || 'error' in one) unused.refused.push({ id, message: one?.error ?? 'no solutions' })
    else {
      const read = scores && (await readScores(scores, id, n))
      all.push({ item, graded: one, scored: read?.scored })
      for (const error of read?.errors ?? []) unused.unscored.push({ id, ...error })
    }
  }
  const { results, perProblem } = answerResults(set.task, all, unused, { selection: select, seed, grade: which, scorer })
  await writeWhole(out, PER_PROBLEM, perProblem.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return { results, tokens: all.reduce((sum, { graded: { tokens } }) => sum + tokens, 0) }
}

/** Its folder's or server's name and its weights' hash, wherever it lies. */
export const policyName = ({ identity: { model, modelHash } }: Pick<OpenedPolicy, 'identity'>) =>
  `${basename(model)}@${modelHash}`
