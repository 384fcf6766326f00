/** What a policy tells about a problem: whether it solves it sometimes, and whether it needs the image for that. */
import { createHash } from 'node:crypto'
import type { Decisions } from '../contracts/decisions.ts'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import type { Policy } from '../contracts/policy.ts'
import { type Problem, picturesOf, withoutMarks } from '../contracts/problem.ts'
import { hash32 } from '../contracts/random.ts'
import { UNDECIDED, type Verifier } from '../contracts/verifier.ts'

export interface PolicyFilterOptions {
  /** For the two filters below. */
  policy?: Policy
  verifier: Verifier
  /** Drop problems that the policy solves this often without their image (needs a policy). */
  maxTextOnlyRate?: number
  /** Keep problems whose pass rate lies strictly between these (needs a policy). Default when a policy is given: 0 and 1. */
  passRate?: { above: number; below: number }
  /** Rollouts of a problem for each rate. Default 8. */
  n?: number
  seed?: number
  /** What is known already, and where it is kept. */
  asked?: Decisions<PolicyObjection | null>
  /** What the user should know of how the policy will do, told before it is asked. */
  onWarning?: (warning: string) => void
  signal?: AbortSignal
}

/** `policy`: the policy, or a judge, failed on this problem, so that nothing is known about it. */
export interface PolicyObjection {
  reason: 'text-only' | 'pass-rate' | 'policy'
  detail: string
}

/** Share of right answers among the rollouts that gave one; null where none did. */
async function solvedRate(problem: Problem, policy: Policy, o: PolicyFilterOptions, salt: string): Promise<number | null> {
  const seed = hash32(`${o.seed ?? 0} ${salt} ${problem.id}`)
  const request = { problem, prefix: [], seed, from: 0, count: o.n ?? 8 }
  const [rollouts] = await policy.rollouts([request], o.signal)
  const verdicts = new Map<string, boolean | null>()
  let judged = 0
  let right = 0
  for (const rollout of rollouts ?? []) {
    if (rollout.outcome !== 'complete') continue
    const answer = o.verifier.extract(rollout.steps.at(-1) ?? '')
    if (answer === null) continue
    let match = verdicts.get(answer)
    if (match === undefined) {
      const verdict = await o.verifier.verify(problem, answer, o.signal)
      match = verdict.method === UNDECIDED ? null : verdict.match
      verdicts.set(answer, match)
    }
    if (match === null) continue
    judged++
    if (match) right++
  }
  return judged === 0 ? null : right / judged
}

async function objection(problem: Problem, policy: Policy, o: PolicyFilterOptions): Promise<PolicyObjection | undefined> {
  const { maxTextOnlyRate, passRate = { above: 0, below: 1 } } = o
  if (maxTextOnlyRate !== undefined && picturesOf(problem).length > 0) {
    const { image: _, images: __, ...blind } = problem
    const rate = await solvedRate({ ...blind, question: withoutMarks(problem.question) }, policy, o, 'text-only')
    if (rate !== null && rate >= maxTextOnlyRate) {
      return { reason: 'text-only', detail: `solved without its image at a rate of ${rate}` }
    }
  }
  const rate = await solvedRate(problem, policy, o, 'pass-rate')
  if (rate !== null && rate > passRate.above && rate < passRate.below) return undefined
  return { reason: 'pass-rate', detail: rate === null ? 'no rollout could be judged' : `solved at a rate of ${rate}` }
}

/** @throws EngineError INVALID_ARGUMENT: filters without a policy, rates out of range */
export function checkPolicyFilter({ policy, maxTextOnlyRate, passRate }: PolicyFilterOptions): void {
  if (!policy && (maxTextOnlyRate !== undefined || passRate)) {
    throw invalidArgument('curate: the pass-rate and text-only filters need a policy')
  }
  if (passRate && !(passRate.above < passRate.below)) {
    throw invalidArgument(`curate: no pass rate lies above ${passRate.above} and below ${passRate.below}`)
  }
}

/** Another question, answer or picture under the same id is another problem. */
function keyOf({ id, question, answer, image }: Problem): string {
  const picture = image instanceof Uint8Array ? createHash('sha256').update(image).digest('hex') : image
  return JSON.stringify([id, question, answer, picture])
}

/** Why the policy speaks against a problem; undefined where it does not, or where there is no policy. */
export async function askPolicy(problem: Problem, o: PolicyFilterOptions): Promise<PolicyObjection | undefined> {
  if (!o.policy) return undefined
  const known = o.asked?.find(keyOf(problem))
  if (known !== undefined) return known ?? undefined
  try {
    const why = await objection(problem, o.policy, o)
    o.asked?.keep(keyOf(problem), why ?? null)
    return why
  } catch (error) {
    const isAboutProblem =
      error instanceof EngineError && (error.code === 'ERR_ENGINE_POLICY' || error.code === 'ERR_ENGINE_INVALID_ARGUMENT')
    if (!isAboutProblem) throw error
    return { reason: 'policy', detail: error.message }
  }
}
