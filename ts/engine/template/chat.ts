/** The folder's own chat template (Jinja), with users' text kept apart from special tokens. */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { BoundedTemplate, TemplateLimit } from './jinja.ts'
import { PromptText } from './prompt-text.ts'

export interface ChatMessage {
  role: string
  content: string
}

export interface RenderedChat {
  text: string
  ids: number[]
}

/**
 * Text and ids of a conversation, followed by `answer`, the beginning of the assistant's next turn. The template
 * writes its own BOS where it wants one; none is added.
 * @throws EngineError INVALID_MODEL (no template, or a broken one), INVALID_ARGUMENT (the template refuses the messages)
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  answer = '',
): RenderedChat {
  const { template, bosToken, eosToken } = tokenizer.chat
  if (template === undefined) throw invalidModel('this model folder has no chat template')
  const compiled = compile(template)
  const text = new PromptText(tokenizer, [template, answer, ...messages.flatMap((m) => [m.role, m.content])])
  let prompt: string
  try {
    prompt = compiled.render({
      messages: messages.map((m) => ({ role: text.user(m.role), content: text.user(m.content) })),
      add_generation_prompt: addGenerationPrompt,
      bos_token: bosToken,
      eos_token: eosToken,
    })
  } catch (error) {
    if (error instanceof TemplateLimit) throw invalidModel(`chat template: ${error.message}`, error)
    throw invalidArgument(`the chat template refuses these messages: ${(error as Error).message}`, error)
  }
  prompt += text.user(answer)
  return { text: text.restore(prompt), ids: text.encode(prompt) }
}

function compile(template: string): BoundedTemplate {
  try {
    return new BoundedTemplate(template)
  } catch (error) {
    throw invalidModel(`chat template: ${(error as Error).message}`, error)
  }
}
