/**
 * Any model that chats, the policy itself included: it names the first wrong step in a box, and a step's score is the share of
 * judgements whose first error lies behind it. Needs no probabilities.
 */
import { solutionStart } from '../contracts/reasoning.ts'
import type { CriticForm, Judged } from './form.ts'

/** @param own the judge's own solution, a help and no truth */
export function critiquePrompt({ question, steps }: Pick<Judged, 'question' | 'steps'>, own?: string): string {
  return [
    'Below are a problem and a solution that somebody wrote for it, cut into paragraphs with an index from 0.',
    `[Problem]\n${question}`,
    ...(own === undefined ? [] : [`[Your own solution, which may be wrong too]\n${own.trim()}`]),
    `[Solution]\n${steps.map((step, i) => `<paragraph_${i}>\n${step}\n</paragraph_${i}>`).join('\n\n')}`,
    'Check one paragraph after the other. A paragraph that only carries an earlier error on is not the first wrong one. End with the index of the first wrong paragraph in \\boxed{}, or \\boxed{-1} if all of them are right.',
  ].join('\n\n')
}

/** Index of the first wrong step, -1 for none, undefined for words that name neither. The last box counts. */
export function readBoxedIndex(text: string, numSteps: number): number | undefined {
  const box = [...text.matchAll(/\\boxed\{\s*(?:\\text\{)?(?:paragraph[_ ])?(-?\d+)\}?\s*\}/g)].at(-1)?.[1]
  const index = Number(box)
  return index >= -1 && index < numSteps ? index : undefined
}

export const critique: CriticForm = {
  name: 'critique',
  showsPictures: true,
  takesOwnSolution: true,
  defaults: { judgements: 8, temperature: 1, topP: 0.95, topK: 0, maxTokens: 4096 },
  async judge(judged, { critic, sampling, sample, signal, ownSolution }) {
    const images = judged.images.length > 0 ? judged.images : undefined
    const ask = (content: string) => critic.write({ messages: [{ role: 'user', content }], images, sampling, sample }, signal)
    const own = ownSolution ? await ask(judged.question) : undefined
    const words = await ask(critiquePrompt(judged, own?.slice(solutionStart(own))))
    const first = readBoxedIndex(words, judged.steps.length)
    if (first === undefined) return { steps: judged.steps.map(() => null), words }
    return { steps: judged.steps.map((_, step) => (first === -1 || step < first ? 1 : 0)), words }
  },
}
