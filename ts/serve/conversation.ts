/** Messages as clients send them, as the engine takes them. */
import { invalidArgument } from '../contracts/errors.ts'
import { dataUri } from './pictures.ts'
import type { Message } from './requests.ts'

type Part = { type: 'text'; text: string } | { type: 'image' }
type Role = 'system' | 'user' | 'assistant'

export interface Conversation {
  messages: { role: Role; content: string | Part[] }[]
  /** In the order of their places; absent where there is none. */
  images?: string[]
}

const partsOf = ({ content }: Message) => (typeof content === 'string' ? [] : content)

const urlsOf = (message: Message) =>
  partsOf(message).flatMap((part) =>
    part.type === 'image_url' ? [typeof part.image_url === 'string' ? part.image_url : part.image_url.url] : [],
  )

const textOf = (message: Message) =>
  typeof message.content === 'string'
    ? message.content
    : partsOf(message)
        .map((part) => (part.type === 'text' ? part.text : ''))
        .join('')

const placed = (message: Message): Part[] =>
  partsOf(message).map((part) => (part.type === 'text' ? { type: 'text', text: part.text } : { type: 'image' }))

/** Whether all pictures stand before the first text of the user: there every model has a place of its own for them. */
function areInFront(messages: readonly Message[]): boolean {
  const first = messages.find(({ role }) => role === 'user')
  if (messages.some((message) => message !== first && urlsOf(message).length > 0)) return false
  const kinds = first ? partsOf(first).map((part) => part.type) : []
  return kinds.lastIndexOf('image_url') < (kinds.includes('text') ? kinds.indexOf('text') : kinds.length)
}

/** @throws EngineError INVALID_ARGUMENT: a picture that is no data URI, or that is not the user's */
export function readConversation(messages: readonly Message[]): Conversation {
  const stray = messages.findIndex((message) => message.role !== 'user' && urlsOf(message).length > 0)
  if (stray >= 0) throw invalidArgument(`messages[${stray}]: a picture stands in a message of the user, and nowhere else`)
  const images = messages.flatMap(urlsOf).map(dataUri)
  const inFront = areInFront(messages)
  return {
    messages: messages.map((message) => ({
      role: message.role === 'developer' ? 'system' : message.role,
      content: inFront || urlsOf(message).length === 0 ? textOf(message) : placed(message),
    })),
    ...(images.length > 0 && { images }),
  }
}

/** A message as one text, with the engine's mark where a picture stands. */
export const markedText = ({ content }: Conversation['messages'][number]): string =>
  typeof content === 'string' ? content : content.map((part) => (part.type === 'text' ? part.text : '<image>')).join('')
