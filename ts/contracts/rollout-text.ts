/**
 * What a policy is asked, as text: one definition for the engine's prompts, for chat servers and for training rows,
 * since a policy must be asked the way it was trained.
 */

export interface RolloutText {
  /** The user turn, without the image, which goes before it. */
  readonly user: string
  /** The beginning of the assistant turn that the policy continues; empty where it starts a new one. */
  readonly assistant: string
}

/** @param join how a policy that does not write our tags puts its steps together */
export type RolloutTemplate = (
  question: string,
  prefix: readonly string[],
  join?: (steps: readonly string[]) => string,
) => RolloutText

/** Steps as blocks, as the policy writes them and reads them again. */
export function renderSteps(steps: readonly string[]): string {
  return steps.map((step) => `<step>${step.trim()}</step>`).join('')
}

/** The steps so far stand in the user turn; the policy goes on in a new assistant turn. */
export function inUserTurn(task: string, question: string, prefix: readonly string[], intro: string): RolloutText {
  return { user: `${task}${question}${prefix.length > 0 ? `${intro}${renderSteps(prefix)}` : ''}`, assistant: '' }
}

/** MM-PRM's task, blanks and all, as its policy was trained on it. */
const MM_PRM_TASK =
  ' Your task is to answer the question below. Give complete reasoning steps before you answer, and when you are ready to answer, use Answer: The final answer is ..\n\nQuestion: '

/** Templates of policies that were trained on the tags. */
export const ROLLOUT_TEXTS = {
  'mm-prm-v1': (question, prefix) => inUserTurn(MM_PRM_TASK, question, prefix, '\nPrevious Steps:'),
  /** Prefix and continuation are one token sequence: neighbouring prefixes share their whole cache. */
  prefill: (question, prefix) => ({ user: `Question: ${question}`, assistant: renderSteps(prefix) }),
} as const satisfies Record<string, RolloutTemplate>
