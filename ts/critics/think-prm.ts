/**
 * ThinkPRM: a solution is verified in one long thought, and the judgement is the next token behind a fixed question. A step's
 * score is that of the solution up to it.
 */
import { type CriticForm, type Judged, shareOfFirst } from './form.ts'

const THOUGHT = "\nLet's verify step by step:"
const DECISION = '\nIs the solution correct? '

/** @param numbered whether steps are told by number; their own numbers are taken off in either case */
export function thinkPrmMessage({ question, steps }: Pick<Judged, 'question' | 'steps'>, numbered = false): string {
  const bare = steps.map((step) => step.replace(/^Step \d+:\s*/, ''))
  return [
    'You are given a math problem and a proposed step-by-step solution:',
    '[Math Problem]',
    question,
    '[Solution]',
    bare.map((step, i) => (numbered ? `Step ${i + 1}: ${step}` : step)).join('\n'),
    'Review and critique each step in the proposed solution to determine whether each step is correct. If the solution is incomplete, only verify the provided steps.',
  ].join('\n\n')
}

export const thinkPrm: CriticForm = {
  name: 'thinkprm',
  showsPictures: false,
  defaults: { judgements: 4, temperature: 0.6, topP: 1, topK: 0, maxTokens: 4096 },
  async judge({ question, steps }, { critic, sampling, sample, signal }) {
    const read = await Promise.all(
      steps.map(async (_, step) => {
        const message = thinkPrmMessage({ question, steps: steps.slice(0, step + 1) })
        const user = { role: 'user' as const, content: message }
        const opened = { role: 'assistant' as const, content: THOUGHT }
        const request = { messages: [user, opened], sampling, sample, stop: [DECISION.trim()] }
        const thought = (await critic.write(request, signal)).trimEnd()
        // WHY a thought that was cut is asked too: what it has found so far is what the judgement rests on.
        const reply = { role: 'assistant' as const, content: `${THOUGHT}${thought}${DECISION}` }
        const told = await critic.choose({ messages: [user, reply], choices: ['yes', 'no'] }, signal)
        return { share: shareOfFirst(told), thought }
      }),
    )
    return { steps: read.map(({ share }) => share), words: read.at(-1)?.thought ?? '' }
  },
}
