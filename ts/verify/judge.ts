/**
 * A model as judge of answers that rules cannot decide. Its words are kept, without its reasoning; an answer that is neither yes nor
 * no, or an outage, is asked for again and in the end thrown: never turned into a verdict.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError } from '../contracts/errors.ts'
import type { Problem, ProblemImage } from '../contracts/problem.ts'
import { solutionStart } from '../contracts/reasoning.ts'
import { type AskJudge, UNDECIDED, type Verdict } from '../contracts/verifier.ts'
import { FENCE_NOTE, quoted } from './fence.ts'

export interface JudgeOptions {
  /** Recorded with a run: another judge makes another run. */
  name?: string
  /** Default 3. */
  attempts?: number
  /** Wait before the second attempt, doubled before each further one. Default 1000. */
  backOffMs?: number
  /** What words that say neither yes nor no are after the last attempt: an error, or an undecided verdict. Default `error`. */
  unread?: 'error' | 'undecided'
}

/** Characters of each that a judge is shown; what is longer is no answer to a question that has one. */
const MAX_QUESTION = 16_000
const MAX_ANSWER = 2_000

export function judgePrompt(question: string, gold: string, answer: string): string {
  return [
    'Compare a student’s final answer with the reference answer to a maths question.',
    'Different notation, units left out or equivalent forms do not matter; a different value does.',
    FENCE_NOTE,
    '',
    quoted('Question:', question, MAX_QUESTION),
    quoted('Reference answer:', gold, MAX_ANSWER),
    quoted('Student’s answer:', answer, MAX_ANSWER),
    '',
    'Is the student’s answer correct? Reply with one word, Yes or No.',
  ].join('\n')
}

/** true, false, or undefined where the text says neither, or both. */
export function readJudgement(text: string): boolean | undefined {
  const words = text.toLowerCase().match(/\b(?:yes|no)\b/g) ?? []
  const first = words[0]
  if (first === undefined || words.some((w) => w !== first)) return undefined
  return first === 'yes'
}

function named(problem: Problem, error: EngineError): EngineError {
  if (error.code === 'ERR_ENGINE_ABORTED') return error
  return new EngineError(error.code, `problem ${problem.id}: the judge: ${error.message}`, { cause: error })
}

export interface JudgeQuestion<T> {
  prompt: string
  images?: readonly ProblemImage[]
  /** undefined where the words say nothing. */
  read(text: string): T | undefined
  /** What is said of words that `read` makes nothing of. */
  unread: string
  /** Stands for them after the last attempt; where absent that is an error. */
  otherwise?: T
}

/**
 * Asks until the words can be read.
 * @throws EngineError POLICY naming the problem after the last attempt, where that was an outage or `otherwise` is absent; ABORTED; what the judge itself refuses
 */
export async function askUntilRead<T>(
  ask: AskJudge,
  problem: Problem,
  { prompt, images, read, unread, otherwise }: JudgeQuestion<T>,
  { attempts = 3, backOffMs = 1000 }: JudgeOptions,
  signal?: AbortSignal,
): Promise<{ value: T; raw: string }> {
  let why = ''
  let cause: unknown
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 0) await sleep(backOffMs * 2 ** (attempt - 1), undefined, signal && { signal }).catch(() => {})
    throwIfAborted(signal)
    try {
      const said = await ask(prompt, signal, attempt, images)
      const raw = said.slice(solutionStart(said)) // what a model thinks first may say yes and no
      const value = read(raw)
      if (value !== undefined) return { value, raw }
      if (otherwise !== undefined && attempt === attempts - 1) return { value: otherwise, raw }
      why = `${unread}: ${JSON.stringify(raw.slice(0, 200))}`
    } catch (error) {
      // What is not an outage would only fail again.
      if (error instanceof EngineError && error.code !== 'ERR_ENGINE_POLICY') throw named(problem, error)
      cause = error
      why = (error as Error).message
    }
  }
  throw new EngineError('ERR_ENGINE_POLICY', `problem ${problem.id}: the judge gave no verdict in ${attempts} attempts: ${why}`, {
    cause,
  })
}

/** Whether an answer is right. @throws EngineError as `askUntilRead` */
export async function judge(
  ask: AskJudge,
  problem: Problem,
  answer: string,
  options: JudgeOptions = {},
  signal?: AbortSignal,
): Promise<Verdict> {
  const prompt = judgePrompt(problem.question, problem.answer, answer)
  const question: JudgeQuestion<boolean | null> = {
    ...{ prompt, read: readJudgement, unread: 'it answered neither yes nor no' },
    ...(options.unread === 'undecided' && { otherwise: null }),
  }
  const { value, raw } = await askUntilRead(ask, problem, question, options, signal)
  return { match: value === true, method: value === null ? UNDECIDED : 'judge', raw }
}
