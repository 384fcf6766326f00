/** Prompts of a policy that writes `<step>…</step>` blocks and one `<answer>…</answer>`. */
import { invalidArgument } from '../../contracts/errors.ts'
import { ROLLOUT_TEXTS, renderSteps } from '../../contracts/rollout-text.ts'
import { suggest } from '../../contracts/suggest.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { renderChat, withSystem } from './chat.ts'
import { chatPrompt, type ImagePrompt, MARKER, type MarkedPrompt, type StepsPrompt } from './internvl.ts'

/** A policy without InternVL's turns is asked through its folder's own chat template, as is one that was trained with it. */
function asked(tokenizer: Tokenizer, p: ImagePrompt): number[] {
  const user = { role: 'user', content: p.question }
  const { imageRows, templateVariables: variables } = p
  // Variables are told to a template of the folder's own: who gives some asks for it.
  const told = Object.keys(variables ?? {}).length > 0
  if (p.ownChat || told) return renderChat(tokenizer, withSystem([user], p.systemMessage), true, { imageRows, variables }).ids
  if (tokenizer.added.ids.has('<|im_start|>') || imageRows.length > 0) return chatPrompt(tokenizer, p)
  return renderChat(tokenizer, [user], true, { variables }).ids
}

export const ROLLOUT_TEMPLATES = Object.keys(ROLLOUT_TEXTS)

/**
 * Steps and answer as the policy writes them, each block tokenised apart.
 * WHY: a token across two blocks (`><`) would be gone where a prefix ends, and the policy would never have seen that end.
 */
export function solutionIds(tokenizer: Tokenizer, steps: readonly string[], answer?: string): number[] {
  const blocks = [...steps.map((step) => renderSteps([step])), ...(answer === undefined ? [] : [`<answer>${answer}</answer>`])]
  return blocks.flatMap((block) => [...tokenizer.encodePlain(block, false)])
}

/**
 * `prefill-prm`: question and steps as the policy itself reads and writes them, a marker behind each step's block.
 * WHY: a PRM that begins as a small policy already knows, in this form, what it would have written itself.
 */
export function prefillPrmPrompt(tokenizer: Tokenizer, prompt: StepsPrompt): MarkedPrompt {
  const marker = tokenizer.pieceId(MARKER)
  if (marker === undefined) throw invalidArgument(`template prefill-prm: the tokenizer has no token ${MARKER}`)
  const ids = rolloutPrompt('prefill', tokenizer, { ...prompt, steps: [] })
  const markers = prompt.steps.map((step) => ids.push(...solutionIds(tokenizer, [step]), marker) - 1)
  return { ids, markers }
}

/** Ids of the prompt, the tokenizer's prefix included. @throws EngineError INVALID_ARGUMENT for an unknown template */
export function rolloutPrompt(name: string, tokenizer: Tokenizer, prompt: StepsPrompt): number[] {
  if (!Object.hasOwn(ROLLOUT_TEXTS, name)) {
    throw invalidArgument(`no rollout template "${name}"${suggest(name, ROLLOUT_TEMPLATES)}`)
  }
  const { user, assistant } = ROLLOUT_TEXTS[name as keyof typeof ROLLOUT_TEXTS](prompt.question, prompt.steps)
  const turn = asked(tokenizer, { ...prompt, question: user })
  return assistant === '' ? turn : [...turn, ...solutionIds(tokenizer, prompt.steps)]
}
