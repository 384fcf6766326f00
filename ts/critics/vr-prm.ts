/**
 * VRPRM (arXiv 2508.03556): one thought about the whole solution with its pictures, then step by step the next token, 1 or 0,
 * with the thought and the judgements of the steps before it as text. The reference answer is never told.
 */
import type { CriticMessage } from '../contracts/critic.ts'
import { type CriticForm, type Judged, shareOfFirst } from './form.ts'

/** The words that the published evaluation asks in. */
const THINK = [
  'You are a visual process reward model. Given image(s), a problem, and a complete candidate solution, think before judging individual steps.',
  '',
  'Output requirements:',
  '- Output exactly one <think>...</think> block.',
  '- In the thinking, identify the key visual evidence, the question goal, dependencies between steps, and likely first consequential error if any.',
  '- You may include a compact step-level correctness overview if it helps make later step scoring consistent.',
  '- Do not output text outside the <think>...</think> block.',
].join('\n')
const SCORE = [
  'You are a visual process reward model. Judge whether the current candidate solution step is correct in context.',
  '',
  'Use the global thinking and previous step judgments as context.',
  'Output only one token: 1 or 0.',
  '',
  'Scoring policy:',
  '- Output 1 only if the current step is fully supported by the image/problem context and remains logically and mathematically correct.',
  '- Output 0 if the step is unsupported, visually mistaken, logically invalid, computationally wrong, contradicts earlier valid reasoning, or relies on a previous incorrect step without recovery.',
].join('\n')

type Asked = Pick<Judged, 'question' | 'steps'>

/** From 0; a step that has its number already keeps it. */
const numbered = (steps: readonly string[]) =>
  steps.map((step, i) => (step.trim().toLowerCase().startsWith(`step ${i}:`) ? step : `Step ${i}: ${step}`))

const solutionOf = ({ question, steps }: Asked) =>
  `[Question]\n${question}\n[Candidate Solution]\n${numbered(steps).join('\n')}\n`

const conversation = (system: string, user: string): CriticMessage[] => [
  { role: 'system', content: system },
  { role: 'user', content: user },
]

/** @param numPictures whose marks stand behind the text */
export const vrPrmThinkMessages = (judged: Asked, numPictures: number): CriticMessage[] =>
  conversation(THINK, solutionOf(judged) + '<image>'.repeat(numPictures))

/** @param judgements of the steps before the one that is judged */
export function vrPrmStepMessages(judged: Asked, thought: string, judgements: readonly number[]): CriticMessage[] {
  const before = judgements.map((judgement, i) => `Step ${i}: \\boxed{${judgement}}`).join('\n')
  const parts = [
    `[Global Thinking]\n<think>${thought}</think>`,
    `[Previous Step Judgments]\n${before || 'None'}`,
    `[Current Step]\n${numbered(judged.steps)[judgements.length]}`,
    'Is the current step correct in context? Output only one token: 1 or 0.',
  ]
  return conversation(SCORE, solutionOf(judged) + parts.join('\n'))
}

/** What stands in the block; a chat template may have opened it, and a limit may have cut it. */
export function readThought(text: string): string {
  const [head = '', ...more] = text.split('<think>')
  return ((more.length > 0 ? more.join('<think>') : head).split('</think>')[0] ?? '').trim()
}

export const vrPrm: CriticForm = {
  name: 'vrprm',
  showsPictures: true,
  defaults: { judgements: 1, temperature: 0, topP: 1, topK: 0, maxTokens: 1024 },
  async judge({ question, steps, images }, { critic, sampling, sample, signal }) {
    // Its pictures stand behind the text, wherever the question has them.
    const judged = { question: images.length > 0 ? question.replaceAll('<image>', '').trim() : question, steps }
    const messages = vrPrmThinkMessages(judged, images.length)
    const words = await critic.write({ messages, ...(images.length > 0 && { images }), sampling, sample }, signal)
    const thought = readThought(words)
    const shares: (number | null)[] = []
    for (const _ of steps) {
      // What was not read is not held against the step.
      const judgements = shares.map((share) => (share === null || share >= 0.5 ? 1 : 0))
      const asked = { messages: vrPrmStepMessages(judged, thought, judgements), choices: ['1', '0'] }
      shares.push(shareOfFirst(await critic.choose(asked, signal)))
    }
    return { steps: shares, words: thought }
  },
}
