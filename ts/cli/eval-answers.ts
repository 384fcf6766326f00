/** The stages of a solution-level evaluation, each over all tasks: generate, score, grade. One model is open at a time. */
import { statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { invalidArgument, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { Problem } from '../contracts/problem.ts'
import { stepSplitter } from '../contracts/step-splitter.ts'
import { UNDECIDED } from '../contracts/verifier.ts'
import {
  type AnswerSet,
  type AnswerTaskResults,
  answerResults,
  enterResponses,
  type Grader,
  gradeSolutions,
  type JudgedItem,
  type JudgedLine,
  type Judgement,
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
import { judge as askJudge, canonicalAnswers, extractAnswer, type RuleVerifierOptions, verifyProblem } from '../verify/index.ts'
import type { Costs } from './eval-costs.ts'
import type { EvalSettings } from './eval-options.ts'
import { writeWhole } from './eval-report.ts'
import { Progress } from './progress.ts'

export interface AnswerWork {
  readonly set: AnswerSet
  /** Folder of this task's results. */
  readonly out: string
}

const openJudged = (out: string) => LineStore.open<JudgedLine, JudgedLine>(join(out, 'judged.jsonl'), (line) => line)

/** @throws EngineError STORE: there are results already, and they are not to be gone on with */
export function prepareFolders(works: readonly AnswerWork[], resume: boolean): void {
  for (const { out } of works) {
    makeFolder(out)
    if (!resume && (statSync(join(out, SOLUTIONS_FILE), { throwIfNoEntry: false })?.size ?? 0) > 0)
      throw storeError(`${out} holds results already; --resume goes on with them`)
  }
}

function shownStage<T>(
  { task, items }: AnswerSet,
  stage: string,
  costs: Costs,
  work: (onProgress: (done: number) => void) => Promise<T>,
): Promise<T> {
  const [progress, total] = [new Progress(`${task.name}: ${stage}`), items.length]
  return costs.during(task.name, async () => {
    const result = await work((done) => progress.update(`${done} of ${total} problems`, done / total))
    progress.finish(`${total} problems`)
    return result
  })
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
  costs: Costs,
  signal: AbortSignal,
) {
  checkTemplate(policy)
  for (const note of (await policy.prepare?.(signal)) ?? []) process.stderr.write(`mm-prm: ${note}\n`)
  for (const { set, out } of works) {
    await using store = await openSolutions(out)
    const { items, hashes } = set
    const { inFlight } = policy
    await shownStage(set, 'solutions', costs, (onProgress) =>
      sampleSolutions(store, { items, hashes, policy, n, seed, inFlight, signal, onProgress }),
    )
  }
}

/** @param steps how they are told apart in texts that have no tags, as `--steps` names it */
export async function enter({ set, out }: AnswerWork, file: string, steps: string | undefined): Promise<void> {
  await using store = await openSolutions(out)
  await enterResponses(store, file, set, steps === undefined ? undefined : stepSplitter(steps))
}

export async function score(
  works: readonly AnswerWork[],
  scorer: OpenedScorer,
  { n }: EvalSettings,
  costs: Costs,
  signal: AbortSignal,
) {
  for (const { set, out } of works) {
    await using solutions = await openSolutions(out)
    await using store = await openScores(out, scorer.name)
    await shownStage(set, 'scores', costs, (onProgress) =>
      scoreSolutions(solutions, store, { items: set.items, scorer, n, signal, onProgress }),
    )
  }
}

/** Our own grading: by rules, and by the judge where one is given. */
export function makeGrader(judge?: RuleVerifierOptions['judge'] & { name: string }): Grader {
  // One answer that it says nothing of is no reason to lose the table: it stays undecided, with what was said.
  const ask = async (problem: Problem, answer: string, signal?: AbortSignal): Promise<Judgement> => {
    const options = judge as RuleVerifierOptions['judge'] & object
    const { match, method, raw } = await askJudge(options.ask, problem, answer, { ...options, unread: 'undecided' }, signal)
    return { match: method === UNDECIDED ? null : match, ...(raw !== undefined && { raw }) }
  }
  return {
    ...{ answerOf: extractAnswer, verify: verifyProblem, canonical: canonicalAnswers },
    ...(judge && { judge: { name: judge.name, ask } }),
  }
}

/** @param scorer whose scores are in the table; undefined: none. Resolves to `most` solutions of a problem, too: there may be fewer than n */
export async function grade(
  { set, out }: AnswerWork,
  { n, seed, grade: which }: EvalSettings,
  { grader, scorer }: { grader: Grader; scorer: string | undefined },
  costs: Costs,
  signal: AbortSignal,
): Promise<{ results: AnswerTaskResults; tokens: number; most: number }> {
  await using solutions = await openSolutions(out)
  await using judged = await openJudged(out)
  const graded = await shownStage(set, 'verdicts', costs, (onProgress) =>
    gradeSolutions(solutions, { items: set.items, hashes: set.hashes, n, grader, judged, signal, onProgress }),
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
  return {
    results,
    tokens: all.reduce((sum, { graded: { tokens } }) => sum + tokens, 0),
    most: all.reduce((most, { graded: { outcomes } }) => Math.max(most, outcomes.length), 0),
  }
}

/** Its folder's or server's name and its weights' hash, wherever it lies. */
export const policyName = ({ identity: { model, modelHash } }: Pick<OpenedPolicy, 'identity'>) =>
  `${basename(model)}@${modelHash}`
