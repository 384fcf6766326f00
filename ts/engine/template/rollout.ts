/** Prompts of a policy that writes `<step>…</step>` blocks and one `<answer>…</answer>`. */
import { invalidArgument } from '../../contracts/errors.ts'
import { suggest } from '../../contracts/suggest.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { renderChat } from './chat.ts'
import { chatPrompt, type ImagePrompt, type StepsPrompt } from './internvl.ts'

const INSTRUCTION =
  ' Your task is to answer the question below. Give complete reasoning steps before you answer, and when you are ready to answer, use Answer: The final answer is ..'

export const stepsText = (steps: readonly string[]) => steps.map((step) => `<step>${step}</step>`).join('')

/** A policy without InternVL's turns is asked through its folder's own chat template. */
function asked(tokenizer: Tokenizer, p: ImagePrompt & { answer?: string }): number[] {
  if (tokenizer.added.ids.has('<|im_start|>') || p.numImageTokens > 0) return chatPrompt(tokenizer, p)
  return renderChat(tokenizer, [{ role: 'user', content: p.question }], true, p.answer).ids
}

const TEMPLATES: Record<string, (tokenizer: Tokenizer, p: StepsPrompt) => number[]> = {
  /** The reference's: earlier steps in the user turn, so siblings part before the assistant's turn. */
  'mm-prm-v1': (tokenizer, p) => {
    const previous = p.steps.length > 0 ? `\nPrevious Steps:${stepsText(p.steps)}` : ''
    return asked(tokenizer, { ...p, question: `${INSTRUCTION}\n\nQuestion: ${p.question}${previous}` })
  },
  /** The assistant's turn goes on: prefix and continuation are one sequence, and share their keys and values. */
  prefill: (tokenizer, p) => asked(tokenizer, { ...p, question: `Question: ${p.question}`, answer: stepsText(p.steps) }),
}

export const ROLLOUT_TEMPLATES = Object.keys(TEMPLATES)

/** Ids of the prompt, the tokenizer's prefix included. @throws EngineError INVALID_ARGUMENT for an unknown template */
export function rolloutPrompt(name: string, tokenizer: Tokenizer, prompt: StepsPrompt): number[] {
  const template = Object.hasOwn(TEMPLATES, name) ? TEMPLATES[name] : undefined
  if (!template) throw invalidArgument(`no rollout template "${name}"${suggest(name, ROLLOUT_TEMPLATES)}`)
  return template(tokenizer, prompt)
}
