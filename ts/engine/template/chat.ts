/** The folder's own chat template (Jinja), with users' text kept apart from special tokens. */
import { EngineError, invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { BoundedTemplate, TemplateLimit } from './jinja.ts'
import { countMarks, IMAGE_MARK } from './pictures.ts'
import { PromptText } from './prompt-text.ts'

export type ChatPart = { type: 'text'; text: string } | { type: 'image' }

export interface ChatMessage {
  role: string
  content: string | readonly ChatPart[]
}

/** JSON values by the names that the template knows them under. */
export type TemplateVariables = Readonly<Record<string, unknown>>

export interface RenderedChat {
  text: string
  ids: number[]
}

export interface ChatOptions {
  /** The beginning of the assistant's next turn. */
  answer?: string
  /** Rows that each picture has in the language model, in order. Absent: places of pictures stay as the template writes them. */
  imageRows?: readonly number[]
  variables?: TemplateVariables | undefined
  /** A special token that stands in the assistant's turns as itself. */
  marker?: string
}

/** The conversation with the model's own system message in front, where it has one and none is given. */
export function withSystem(messages: readonly ChatMessage[], systemMessage: string | undefined): readonly ChatMessage[] {
  if (!systemMessage || messages[0]?.role === 'system') return messages
  return [{ role: 'system', content: systemMessage }, ...messages]
}

/** What templates write where a picture stands, and the tokens that its rows become; the first that a template writes counts. */
const IMAGE_PLACES = [
  { name: '<|image_pad|>', tokens: ['<|image_pad|>'], rows: (n: number) => '<|image_pad|>'.repeat(n) },
  ...['<IMG_CONTEXT>', IMAGE_MARK].map((name) => ({
    name,
    tokens: ['<img>', '<IMG_CONTEXT>', '</img>'],
    rows: (n: number) => `<img>${'<IMG_CONTEXT>'.repeat(n)}</img>`,
  })),
]
/** Where reasoning begins and ends in what an assistant wrote: templates look for them. No special tokens. */
const THOUGHT = /(<\/?think>)/

/**
 * Text and ids of a conversation. The template writes its own BOS where it wants one; none is added. Pictures stand at the
 * marks and image parts of the users' messages, or before the first of them where there is none.
 * @throws EngineError INVALID_MODEL (no template, or a broken one), INVALID_ARGUMENT (the template refuses the messages)
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  { answer = '', imageRows, variables, marker }: ChatOptions = {},
): RenderedChat {
  const { template, bosToken, eosToken } = tokenizer.chat
  if (template === undefined) throw invalidModel('this model folder has no chat template')
  const compiled = compile(template)
  const placed = imageRows ? withPictures(messages, imageRows.length) : messages
  const text = new PromptText(tokenizer, [template, answer, ...placed.flatMap((m) => [m.role, ...textsOf(m)])])
  const guard = (role: string) => (role === 'assistant' ? guardWritten : text.user)
  const guardWritten = (written: string) =>
    marker === undefined
      ? guardThoughts(written, text)
      : written
          .split(marker)
          .map((part) => guardThoughts(part, text))
          .join(marker)
  let prompt: string
  try {
    prompt = compiled.render({
      ...variables,
      messages: placed.map((m) => ({ role: text.user(m.role), content: guarded(m.content, guard(m.role)) })),
      add_generation_prompt: addGenerationPrompt,
      bos_token: bosToken,
      eos_token: eosToken,
    })
  } catch (error) {
    if (error instanceof TemplateLimit) throw invalidModel(`chat template: ${error.message}`, error)
    throw invalidArgument(`the chat template refuses these messages: ${(error as Error).message}`, error)
  }
  if (imageRows && imageRows.length > 0) prompt = withImageTokens(prompt, imageRows, text)
  prompt += guard('assistant')(answer)
  return { text: text.restore(prompt), ids: text.encode(prompt) }
}

const PROBE = 'reply'
const TURN_ENDS = new WeakMap<Tokenizer, number | undefined>()

/**
 * The special token that the folder's chat template writes behind what an assistant said; undefined where it writes none, or
 * cannot be asked: a broken template is reported when a prompt needs it, and one for prompts alone ends no turn.
 */
export function turnEnd(tokenizer: Tokenizer): number | undefined {
  if (!TURN_ENDS.has(tokenizer)) TURN_ENDS.set(tokenizer, findTurnEnd(tokenizer))
  return TURN_ENDS.get(tokenizer)
}

function findTurnEnd(tokenizer: Tokenizer): number | undefined {
  const { ids } = tokenizer.added
  const text = saidTurn(tokenizer)
  const at = text.lastIndexOf(PROBE)
  if (at < 0) return undefined
  const behind = text.slice(at + PROBE.length).trimStart()
  const names = [...ids.keys()].filter((name) => behind.startsWith(name) && tokenizer.isSpecial(ids.get(name) as number))
  return ids.get(names.reduce((a, b) => (b.length > a.length ? b : a), ''))
}

function saidTurn(tokenizer: Tokenizer): string {
  const said = [
    { role: 'user', content: 'question' },
    { role: 'assistant', content: PROBE },
  ]
  try {
    return renderChat(tokenizer, said, false).text
  } catch (error) {
    if (error instanceof EngineError) return ''
    throw error
  }
}

/** Ids of what an assistant says behind a prompt that ends where its turn begins. */
export function replyIds(tokenizer: Tokenizer, reply: string): number[] {
  const text = new PromptText(tokenizer, [reply])
  return text.encodeOn(guardThoughts(reply, text))
}

export function textsOf({ content }: ChatMessage): string[] {
  if (typeof content === 'string') return [content]
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : []))
}

function guarded(content: ChatMessage['content'], guard: (text: string) => string) {
  if (typeof content === 'string') return guard(content)
  return content.map((part) => (part.type === 'text' ? { type: 'text', text: guard(part.text) } : { type: 'image' }))
}

const guardThoughts = (written: string, text: PromptText) =>
  written
    .split(THOUGHT)
    .map((part, i) => (i % 2 === 1 ? part : text.user(part)))
    .join('')

/** Messages whose image parts are as many as there are pictures. @throws EngineError INVALID_ARGUMENT */
function withPictures(messages: readonly ChatMessage[], numPictures: number): readonly ChatMessage[] {
  const parts = messages.reduce((n, { content }) => n + (typeof content === 'string' ? 0 : numImageParts(content)), 0)
  if (parts > 0) {
    if (parts === numPictures) return messages
    throw invalidArgument(`the messages have ${parts} image parts for ${numPictures} pictures`)
  }
  if (numPictures === 0) return messages
  const first = messages.findIndex((m) => m.role === 'user')
  if (first < 0) throw invalidArgument("messages with an image: one of them must be the user's")
  const marks = countMarks(messages.filter((m) => m.role === 'user').flatMap(textsOf), numPictures)
  return messages.map((m, i) => {
    if (m.role !== 'user') return m
    if (marks > 0) return { ...m, content: textsOf(m).flatMap(cutAtMarks) }
    if (i !== first) return m
    const lead = Array.from({ length: numPictures }, () => ({ type: 'image' as const }))
    return { ...m, content: [...lead, ...textsOf(m).map((text) => ({ type: 'text' as const, text }))] }
  })
}

const numImageParts = (content: readonly ChatPart[]) => content.filter((part) => part.type === 'image').length

function cutAtMarks(text: string): ChatPart[] {
  const texts = text.split(IMAGE_MARK)
  const parts = texts.flatMap((part, i): ChatPart[] => [
    ...(i > 0 ? [{ type: 'image' as const }] : []),
    { type: 'text', text: part },
  ])
  return parts.filter((part) => part.type === 'image' || part.text !== '')
}

/** Users' text is guarded, so the places are the template's own. */
function withImageTokens(prompt: string, imageRows: readonly number[], text: PromptText): string {
  const place = IMAGE_PLACES.find(({ name }) => prompt.includes(name))
  if (!place) throw invalidModel(`the chat template writes none of ${IMAGE_PLACES.map((p) => p.name).join(', ')} for an image`)
  text.require(...place.tokens)
  const parts = prompt.split(place.name)
  if (parts.length - 1 !== imageRows.length)
    throw invalidModel(`the chat template writes ${place.name} ${parts.length - 1} times for ${imageRows.length} pictures`)
  return parts.map((part, i) => part + (i < imageRows.length ? place.rows(imageRows[i] as number) : '')).join('')
}

function compile(template: string): BoundedTemplate {
  try {
    return new BoundedTemplate(template)
  } catch (error) {
    throw invalidModel(`chat template: ${(error as Error).message}`, error)
  }
}
