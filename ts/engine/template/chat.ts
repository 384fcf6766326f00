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

/** The conversation with the model's own system message in front, where it has one and none is given. */
export function withSystem(messages: readonly ChatMessage[], systemMessage: string | undefined): readonly ChatMessage[] {
  if (!systemMessage || messages[0]?.role === 'system') return messages
  return [{ role: 'system', content: systemMessage }, ...messages]
}

/** What templates write where a picture stands, newest first. */
const IMAGE_PLACES = ['<IMG_CONTEXT>', '<image>']

/**
 * Text and ids of a conversation, followed by `answer`, the beginning of the assistant's next turn. The template
 * writes its own BOS where it wants one; none is added.
 * @param numImageTokens rows of the picture that the first user message begins with; 0 without one
 * @throws EngineError INVALID_MODEL (no template, or a broken one), INVALID_ARGUMENT (the template refuses the messages)
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  answer = '',
  numImageTokens = 0,
): RenderedChat {
  const { template, bosToken, eosToken } = tokenizer.chat
  if (template === undefined) throw invalidModel('this model folder has no chat template')
  const compiled = compile(template)
  const text = new PromptText(tokenizer, [template, answer, ...messages.flatMap((m) => [m.role, m.content])])
  const seeing = numImageTokens > 0 ? messages.findIndex((m) => m.role === 'user') : -1
  if (numImageTokens > 0 && seeing < 0) throw invalidArgument("messages with an image: one of them must be the user's")
  let prompt: string
  try {
    prompt = compiled.render({
      messages: messages.map((m, i) => {
        const content = text.user(m.content)
        const withImage = [{ type: 'image' }, { type: 'text', text: content }]
        return { role: text.user(m.role), content: i === seeing ? withImage : content }
      }),
      add_generation_prompt: addGenerationPrompt,
      bos_token: bosToken,
      eos_token: eosToken,
    })
  } catch (error) {
    if (error instanceof TemplateLimit) throw invalidModel(`chat template: ${error.message}`, error)
    throw invalidArgument(`the chat template refuses these messages: ${(error as Error).message}`, error)
  }
  if (numImageTokens > 0) prompt = withImageTokens(prompt, numImageTokens, text)
  prompt += text.user(answer)
  return { text: text.restore(prompt), ids: text.encode(prompt) }
}

/** Users' text is guarded, so the place is the template's own. */
function withImageTokens(prompt: string, numImageTokens: number, text: PromptText): string {
  text.require('<img>', '<IMG_CONTEXT>', '</img>')
  const place = IMAGE_PLACES.find((name) => prompt.includes(name))
  if (place === undefined) throw invalidModel(`the chat template writes none of ${IMAGE_PLACES.join(', ')} for an image`)
  return prompt.replace(place, () => `<img>${'<IMG_CONTEXT>'.repeat(numImageTokens)}</img>`)
}

function compile(template: string): BoundedTemplate {
  try {
    return new BoundedTemplate(template)
  } catch (error) {
    throw invalidModel(`chat template: ${(error as Error).message}`, error)
  }
}
