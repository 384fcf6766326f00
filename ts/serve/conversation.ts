/** Messages as clients send them, as the engine takes them. */
import { invalidArgument } from '../contracts/errors.ts'
import { onePicture } from './pictures.ts'
import type { Message } from './requests.ts'

export interface Conversation {
  messages: { role: 'system' | 'user' | 'assistant'; content: string }[]
  image?: string
}

const picturesOf = ({ content }: Message) =>
  typeof content === 'string'
    ? []
    : content.flatMap((part) =>
        part.type === 'image_url' ? [typeof part.image_url === 'string' ? part.image_url : part.image_url.url] : [],
      )

const textOf = ({ content }: Message) =>
  typeof content === 'string' ? content : content.map((part) => (part.type === 'text' ? part.text : '')).join('')

/** @throws EngineError INVALID_ARGUMENT: a picture that is no data URI, that is not the first user message's, or a second one */
export function readConversation(messages: readonly Message[]): Conversation {
  const first = messages.findIndex(({ role }) => role === 'user')
  const stray = messages.findIndex((message, i) => i !== first && picturesOf(message).length > 0)
  if (stray >= 0) throw invalidArgument(`messages[${stray}]: a picture stands in the first message of the user, and nowhere else`)
  return {
    messages: messages.map((message) => ({
      role: message.role === 'developer' ? 'system' : message.role,
      content: textOf(message),
    })),
    ...onePicture(messages.flatMap(picturesOf)),
  }
}
