/** Step scores of a set's solutions by one process reward model; each problem's are one call, durable as they come. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { StepScorer } from '../contracts/scorer.ts'
import type { AnswerItem } from './answer-task.ts'
import { forEachLimited } from './limited.ts'
import { type LineHead, LineStore } from './line-store.ts'
import { isProblems, readSolutions, type SolutionStore } from './solutions.ts'

/** One solution's; null where it has none. Logits are kept as `yes - no`, from which aggregations lose no digits. */
export type SolutionScores = { readonly scores: readonly number[]; readonly logits?: readonly number[] } | null

export type ScoreLine = LineHead & { from: number; scored: SolutionScores[]; errors?: { solution: number; message: string }[] }
export type ScoreStore = LineStore<ScoreLine, number>

/** A file of its own for each scorer: a second one leaves the first one's scores. */
export const scoreFile = (scorer: string) => `scores-${createHash('sha256').update(scorer).digest('hex').slice(0, 12)}.jsonl`

/** One scorer's of a task's solutions. @throws EngineError STORE */
export const openScores = (folder: string, scorer: string): Promise<ScoreStore> =>
  LineStore.open(join(folder, scoreFile(scorer)), (line: ScoreLine) => line.scored.length)

export async function readScores(store: ScoreStore, id: string, n: number) {
  const lines = await store.read(id)
  return {
    scored: lines.flatMap((line) => line.scored).slice(0, n),
    errors: lines.flatMap((line) => line.errors ?? []).filter(({ solution }) => solution < n),
  }
}

export interface ScoreOptions {
  items: readonly AnswerItem[]
  scorer: StepScorer
  n: number
  inFlight?: number
  signal?: AbortSignal | undefined
  onProgress?: ((done: number) => void) | undefined
}

const logitOf = (step: readonly number[]) => (step.length === 2 ? (step[0] as number) - (step[1] as number) : undefined)

/**
 * Scores what is not scored yet of the first `n` solutions of each problem. Only complete solutions are scored.
 * @throws EngineError POLICY, ABORTED, STORE
 */
export async function scoreSolutions(solutions: SolutionStore, store: ScoreStore, o: ScoreOptions): Promise<void> {
  let done = 0
  await forEachLimited(o.items, o.inFlight ?? 4, async ({ problem }) => {
    const hash = solutions.hashOf(problem.id)
    const scoredBefore = store.hashOf(problem.id) === hash ? store.kept(problem.id) : []
    const have = scoredBefore.reduce((sum, count) => sum + count, 0)
    const all = await readSolutions(solutions, problem.id, o.n)
    if (!('error' in all) && all.length > have) {
      const missing = all.slice(have)
      const whole = missing.flatMap(({ outcome, steps }, i) => (outcome === 'complete' && steps.length > 0 ? [{ i, steps }] : []))
      const scored: SolutionScores[] = missing.map(() => null)
      const errors: { solution: number; message: string }[] = []
      try {
        const given =
          whole.length === 0 ? [] : await o.scorer.score({ problem, solutions: whole.map(({ steps }) => steps) }, o.signal)
        for (const [j, { i }] of whole.entries()) {
          const one = given[j]
          if (!one || one.error !== undefined) errors.push({ solution: have + i, message: one?.error ?? 'no scores came back' })
          else {
            const logits = one.logits?.map(logitOf)
            const isPair = logits?.every((logit) => logit !== undefined)
            scored[i] = { scores: one.scores, ...(isPair && { logits: logits as number[] }) }
          }
        }
      } catch (error) {
        if (!isProblems(error)) throw error
        for (const { i } of whole) errors.push({ solution: have + i, message: error.message })
      }
      await store.append({ id: problem.id, hash: hash as string, from: have, scored, ...(errors.length > 0 && { errors }) })
    }
    o.onProgress?.(++done)
  })
}
