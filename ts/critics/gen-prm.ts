/**
 * GenPRM: one turn a step; an analysis, then the word in the box. Its code is not run: the turn goes from the analysis to the
 * judgement, as the published evaluation goes where running is off.
 */
import type { CriticMessage } from '../contracts/critic.ts'
import { type CriticForm, type Judged, shareOfFirst } from './form.ts'

const SYSTEM = 'You are a math teacher. Your task is to review and critique the paragraphs in solution step by step.'
const ANALYSED = '</analyze>'
const JUDGEMENT = '<output>\n**Judgement**: $\\boxed'

export const analyzeStart = (step: number) => `<analyze>\nLet's analyze the Paragraph ${step + 1} step by step: `
export const genPrmReply = (isRight: boolean) => `${JUDGEMENT}{${isRight ? 'Yes' : 'No'}}$\n</output>\n`

/** The conversation before a step is judged, given the replies to those before it. */
export function genPrmMessages({ question, steps }: Pick<Judged, 'question' | 'steps'>, replies: readonly string[]) {
  const messages: CriticMessage[] = [{ role: 'system', content: SYSTEM }]
  for (let step = 0; step <= replies.length; step++) {
    messages.push({ role: 'user', content: step === 0 ? `${question}\n${steps[0]}` : (steps[step] as string) })
    const reply = replies[step]
    if (reply !== undefined) messages.push({ role: 'assistant', content: reply })
  }
  return messages
}

export const genPrm: CriticForm = {
  name: 'genprm',
  showsPictures: false,
  defaults: { judgements: 8, temperature: 0.6, topP: 0.95, topK: 20, maxTokens: 2048 },
  async judge(judged, { critic, sampling, sample, signal }) {
    const judgement: (number | null)[] = []
    const replies: string[] = []
    for (const [step] of judged.steps.entries()) {
      const messages = genPrmMessages(judged, replies)
      const opened = { role: 'assistant' as const, content: analyzeStart(step) }
      const analysis = await critic.write({ messages: [...messages, opened], sampling, sample, stop: [ANALYSED] }, signal)
      const reply = { role: 'assistant' as const, content: `${opened.content}${analysis}${ANALYSED}\n${JUDGEMENT}{` }
      const share = shareOfFirst(await critic.choose({ messages: [...messages, reply], choices: ['Yes', 'No'] }, signal))
      judgement.push(share)
      // What was not read is not held against the step.
      replies.push(genPrmReply(share === null || share >= 0.5))
    }
    return judgement
  },
}
