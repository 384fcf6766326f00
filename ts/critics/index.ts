/** Generative judges as step scorers: each score is the mean of several judgements, with their spread beside it. */
import { z } from 'zod'
import type { Critic } from '../contracts/critic.ts'
import { EngineError, invalidArgument, policyError } from '../contracts/errors.ts'
import { askedQuestion } from '../contracts/problem.ts'
import type { Runner } from '../contracts/runner.ts'
import type { StepScorer, StepScores } from '../contracts/scorer.ts'
import { suggest } from '../contracts/suggest.ts'
import { validate } from '../contracts/validate.ts'
import { critique } from './critique.ts'
import type { CriticForm, Judged, Judgement } from './form.ts'
import { genPrm } from './gen-prm.ts'
import { rPrm } from './r-prm.ts'
import { thinkPrm } from './think-prm.ts'
import { vrPrm } from './vr-prm.ts'

export {
  type Analyses,
  analyse,
  balanced,
  imitationRows,
  preferenceRows,
  readConclusion,
  type TaughtStep,
  type TeachOptions,
} from './teach.ts'

const FORMS: readonly CriticForm[] = [rPrm, genPrm, thinkPrm, vrPrm, critique]
export const CRITIC_NAMES: readonly string[] = FORMS.map((form) => form.name)
export const isCriticName = (name: string | undefined) => name !== undefined && CRITIC_NAMES.includes(name)

export const MAX_JUDGEMENTS = 1024
export const criticSchema = z.strictObject({
  /** Judgements of a solution, whose mean is a step's score. Absent: as the form was published. */
  judgements: z.number().int().positive().max(MAX_JUDGEMENTS).optional(),
  /** Tokens of one judgement's words. */
  judgementTokens: z.number().int().positive().optional(),
  /** The judge solves the problem first and has its own solution beside it (critique). */
  ownSolution: z.boolean().default(false),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
})
export type CriticOptions = z.input<typeof criticSchema>

/**
 * @param form one of CRITIC_NAMES
 * @param runner of the code that it writes (genprm); absent: none is run
 * @throws EngineError INVALID_ARGUMENT
 */
export function criticScorer(form: string, critic: Critic, options: CriticOptions = {}, runner?: Runner): StepScorer {
  const { judgements, judgementTokens, ownSolution, seed } = validate(criticSchema, options, `scoring ${form}`)
  const found = FORMS.find(({ name }) => name === form)
  if (!found) throw invalidArgument(`scoring: no generative judge "${form}"${suggest(form, CRITIC_NAMES)}`)
  if (ownSolution && !found.takesOwnSolution) throw invalidArgument(`${form} takes no solution of its own: critique does`)
  if (runner && !found.writesCode) throw invalidArgument(`${form} writes no code that could be run`)
  const { judgements: usual, ...sampling } = found.defaults
  const [n, maxTokens] = [judgements ?? usual, judgementTokens ?? sampling.maxTokens]
  const asking = { critic, runner, ownSolution, sampling: { ...sampling, maxTokens, seed } }
  return {
    name: `${form}@${critic.name}+n=${n}+tokens=${maxTokens}+seed=${seed}${ownSolution ? '+own' : ''}${runner ? `+code=${runner.name}` : ''}`,
    async score({ problem, solutions }, signal) {
      const { question, images = [] } = askedQuestion(problem)
      if (images.length > 0 && !found.showsPictures) throw invalidArgument(`${form} scoring takes no image`)
      return Promise.all(
        solutions.map(async (steps): Promise<StepScores> => {
          if (steps.length === 0) return { scores: [] }
          const judged: Judged = { question, images, steps }
          try {
            const samples = Array.from({ length: n }, (_, sample) => found.judge(judged, { ...asking, sample, signal }))
            return meanOf(await Promise.all(samples), steps.length)
          } catch (error) {
            throw aboutProblem(error, problem.id)
          }
        }),
      )
    },
  }
}

/** Judgements that could not be read are left out; a step without any leaves its solution without scores. */
function meanOf(judgements: readonly Judgement[], numSteps: number): StepScores {
  const perStep = Array.from({ length: numSteps }, (_, step) => judgements.flatMap(({ steps }) => steps[step] ?? []))
  const unread = perStep.findIndex((list) => list.length === 0)
  if (unread >= 0) {
    return { scores: [], error: `step ${unread + 1}: none of ${judgements.length} judgements could be read` }
  }
  const scores = perStep.map(mean)
  return { scores, ...(judgements.length > 1 && { std: perStep.map(spread) }), words: wordsOf(judgements) }
}

/** Of the judgement that trusts the solution least: what may be told to whoever wrote it. */
function wordsOf(judgements: readonly Judgement[]): string {
  const trust = ({ steps }: Judgement) => Math.min(...steps.map((p) => p ?? 1))
  return judgements.reduce((least, other) => (trust(other) < trust(least) ? other : least)).words
}

const mean = (list: readonly number[]) => list.reduce((sum, p) => sum + p, 0) / list.length

/** Of a sample: n - 1; 0 for one. */
function spread(list: readonly number[]): number {
  const middle = mean(list)
  const squares = list.reduce((sum, p) => sum + (p - middle) ** 2, 0)
  return Math.sqrt(squares / Math.max(1, list.length - 1))
}

function aboutProblem(error: unknown, id: string): unknown {
  if (!(error instanceof EngineError) || error.code !== 'ERR_ENGINE_POLICY') return error
  return policyError(`problem ${id}: ${error.message}`, error)
}
