/** The token ids of a generate request, in whichever of its three forms it came. */
import { invalidArgument } from '../contracts/errors.ts'
import type { ParsedGenerateRequest } from './generate-options.ts'
import { type ChatMessage, renderChat, type TemplateVariables, textsOf, withSystem } from './template/chat.ts'
import { chatPrompt } from './template/internvl.ts'
import { IMAGE_MARK } from './template/pictures.ts'
import { ROLLOUT_TEMPLATES, rolloutPrompt } from './template/rollout.ts'
import type { Tokenizer } from './tokenizer/index.ts'

export interface PromptContext {
  tokenizer: Tokenizer
  /** Rows that each picture has in the language model, in order. */
  imageRows: readonly number[]
  systemMessage: string | undefined
  /** See ImagePrompt. */
  ownChat: boolean
  recorded: { template?: string | undefined } | undefined
}

const FORMS = ['messages', 'question', 'tokens'] as const

/** Exactly one form, and nothing that belongs to another. @throws EngineError INVALID_ARGUMENT */
export function checkPromptForm(r: ParsedGenerateRequest, where: string): void {
  const given = FORMS.filter((form) => r[form] !== undefined)
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none is there' : `${given.join(' and ')} are there`
    throw invalidArgument(`${where}: exactly one of ${FORMS.join(', ')} is needed, ${found}`)
  }
  if (r.question !== undefined) return
  if (r.steps.length > 0) throw invalidArgument(`${where}: "steps" go with "question"`)
  if (r.template !== undefined) throw invalidArgument(`${where}: "template" goes with "question"`)
}

/**
 * The template a checkpoint records; else the one this project trains with for checkpoints it has trained, and the
 * published one for others.
 */
export function defaultRolloutTemplate(recorded: PromptContext['recorded']): string {
  if (recorded?.template !== undefined && ROLLOUT_TEMPLATES.includes(recorded.template)) return recorded.template
  return recorded ? 'prefill' : 'mm-prm-v1'
}

export function promptIds(r: ParsedGenerateRequest, context: PromptContext): number[] {
  const variables = r.templateVariables
  if (r.tokens) return r.tokens
  if (r.question !== undefined) {
    const { tokenizer, imageRows, systemMessage, ownChat } = context
    const template = r.template ?? defaultRolloutTemplate(context.recorded)
    return rolloutPrompt(template, tokenizer, {
      question: r.question,
      steps: r.steps,
      imageRows,
      ownChat,
      templateVariables: variables,
      ...(systemMessage && { systemMessage }),
    })
  }
  return conversationIds(r.messages ?? [], variables, context)
}

/** Whether a conversation is written by the folder's chat template, and not as InternVL's models are asked. */
export function usesChatTemplate({ tokenizer, imageRows, ownChat }: Omit<PromptContext, 'recorded' | 'systemMessage'>): boolean {
  return ownChat || (imageRows.length === 0 && tokenizer.chat.template !== undefined)
}

/** A conversation up to where the model's turn begins, or to where it is gone on with. @throws EngineError INVALID_ARGUMENT */
export function conversationIds(
  given: readonly ChatMessage[],
  variables: TemplateVariables,
  { tokenizer, imageRows, systemMessage, ownChat }: Omit<PromptContext, 'recorded'>,
): number[] {
  const messages = [...given]
  const answer = messages.at(-1)?.role === 'assistant' ? plainText(messages.pop()) : ''
  if (usesChatTemplate({ tokenizer, imageRows, ownChat })) {
    const conversation = ownChat ? withSystem(messages, systemMessage) : messages
    return renderChat(tokenizer, conversation, true, { answer, imageRows, variables }).ids
  }
  const system = messages[0]?.role === 'system' ? plainText(messages.shift()) : systemMessage
  if (Object.keys(variables).length > 0)
    throw invalidArgument("templateVariables are told to the folder's own chat template, and this prompt is written without it")
  const [user, ...more] = messages
  if (user?.role !== 'user' || more.length > 0) {
    throw invalidArgument(
      'messages with an image, or for a model without a chat template: one user message, perhaps between a system message and the beginning of an answer',
    )
  }
  return chatPrompt(tokenizer, {
    question: plainText(user),
    answer,
    imageRows,
    ...(system !== undefined && { systemMessage: system }),
  })
}

/** Parts of a message as one text, with a mark where a picture stands. */
function plainText(message: ChatMessage | undefined): string {
  const content = message?.content ?? ''
  if (typeof content === 'string') return content
  return content.map((part) => (part.type === 'text' ? part.text : IMAGE_MARK)).join('')
}

/** What a request's messages hold of text. */
export const messageTexts = (r: ParsedGenerateRequest): string[] => (r.messages ?? []).flatMap(textsOf)
