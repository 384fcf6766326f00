/**
 * Rows of conversations and of preferences: two answers to one prompt, as `mm-prm teach` and TRL have them (turns, or texts), as
 * data sets of pictures do (`question`, `chosen`, `rejected`), or as steps with an answer; and a conversation to be imitated.
 */
import { invalidArgument } from '../contracts/errors.ts'
import type { ChatTurn, TrainAnswer } from '../contracts/trainer.ts'
import { withoutAnswerStep } from './rows.ts'

type Row = Readonly<Record<string, unknown>>

export interface Said {
  /** What the user says: names the problem where nothing else does. */
  question: string
  /** Absent where the question is asked by the policy's own template. */
  turns?: readonly ChatTurn[]
  own: TrainAnswer
  rejected?: TrainAnswer
  image: unknown
}

const ROLES: readonly unknown[] = ['system', 'user', 'assistant']

/** A text, or parts of one with a mark where a picture stands. */
function contentOf(content: unknown, name: string): string {
  if (typeof content === 'string') return content
  const parts = Array.isArray(content) ? content : []
  const texts = parts.map((part: { type?: unknown; text?: unknown } | null) =>
    part?.type === 'image' ? '<image>' : part?.type === 'text' ? part.text : undefined,
  )
  if (texts.length > 0 && texts.every((text) => typeof text === 'string')) return texts.join('')
  throw invalidArgument(`${name}: "content" must be a string, or parts of type text and image`)
}

function turnsOf(value: unknown, name: string): ChatTurn[] {
  if (!Array.isArray(value) || value.length === 0) throw invalidArgument(`"${name}" must be a text or a list of messages`)
  return value.map((turn: { role?: unknown; content?: unknown } | null, i) => {
    if (!ROLES.includes(turn?.role)) throw invalidArgument(`${name}[${i}]: "role" must be one of ${ROLES.join(', ')}`)
    return { role: turn?.role as ChatTurn['role'], content: contentOf(turn?.content, `${name}[${i}]`) }
  })
}

function reply(content: string, name: string): TrainAnswer {
  if (content.trim() === '') throw invalidArgument(`"${name}" is empty: an answer needs text`)
  return { reply: content }
}

/** Turns of which the last one is the assistant's. */
function ended(turns: readonly ChatTurn[], name: string): { before: ChatTurn[]; answer: TrainAnswer } {
  const last = turns.at(-1)
  if (last?.role !== 'assistant') throw invalidArgument(`"${name}" must end in a turn of the assistant`)
  return { before: turns.slice(0, -1), answer: reply(last.content, name) }
}

function stepsOf(value: object, name: string): TrainAnswer {
  const { steps, answer } = value as { steps?: unknown; answer?: unknown }
  const isText = (text: unknown) => typeof text === 'string' && text.trim() !== ''
  if (!Array.isArray(steps) || !steps.every(isText)) throw invalidArgument(`${name}.steps must be a list of texts`)
  if (typeof answer !== 'string') throw invalidArgument(`${name}.answer must be a string`)
  return { steps: withoutAnswerStep(steps, answer), answer }
}

/** One of the two answers, with the turns in front of it where it holds them. */
function sideOf(row: Row, name: 'chosen' | 'rejected'): { before: ChatTurn[]; answer: TrainAnswer } {
  const value = row[name]
  if (typeof value === 'string') return { before: [], answer: reply(value, name) }
  if (Array.isArray(value)) return ended(turnsOf(value, name), name)
  if (typeof value === 'object' && value !== null) return { before: [], answer: stepsOf(value, name) }
  throw invalidArgument(`"${name}" must be a text, messages, or {"steps", "answer"}: a pair has "chosen" and "rejected"`)
}

function promptOf(row: Row): ChatTurn[] {
  const { prompt, question, system } = row
  if (Array.isArray(prompt)) return turnsOf(prompt, 'prompt')
  const asked = prompt ?? question
  if (asked === undefined) return []
  if (typeof asked !== 'string') throw invalidArgument(`"${prompt === undefined ? 'question' : 'prompt'}" must be a text`)
  const told = typeof system === 'string' && system !== '' ? [{ role: 'system' as const, content: system }] : []
  return [...told, { role: 'user', content: asked }]
}

const imageOf = (row: Row) => row['image'] ?? row['images']

function askedOf(turns: readonly ChatTurn[]): string {
  const said = turns.filter(({ role }) => role === 'user').map(({ content }) => content)
  if (said.length === 0) throw invalidArgument('"prompt" must hold a turn of the user')
  if (turns.at(-1)?.role === 'assistant') throw invalidArgument('"prompt" must not end in a turn of the assistant')
  return said.join('\n\n')
}

/** @throws EngineError INVALID_ARGUMENT saying which field is wrong */
export function readPair(row: Row): Said {
  const [chosen, rejected] = [sideOf(row, 'chosen'), sideOf(row, 'rejected')]
  const [own, other] = [chosen.answer, rejected.answer]
  if (JSON.stringify(chosen.before) !== JSON.stringify(rejected.before))
    throw invalidArgument('"chosen" and "rejected" have other turns in front of their answers: they must answer one prompt')
  if ('reply' in own !== 'reply' in other) throw invalidArgument('"chosen" and "rejected" must be of one form')
  if (JSON.stringify(own) === JSON.stringify(other)) throw invalidArgument('"chosen" and "rejected" are the same')
  const turns = [...promptOf(row), ...chosen.before]
  if (turns.length === 0) throw invalidArgument('"prompt" must be a text or a list of messages')
  const question = askedOf(turns)
  const said = { question, own, rejected: other, image: imageOf(row) }
  if ('reply' in own) return { ...said, turns }
  if (turns.length > 1) throw invalidArgument('answers in steps go with a "question" alone, which the template asks')
  return said
}

/** `messages` that end in what is to be imitated. @throws EngineError INVALID_ARGUMENT saying which field is wrong */
export function readConversation(row: Row): Said {
  const { before, answer } = ended(turnsOf(row['messages'], 'messages'), 'messages')
  return { question: askedOf(before), turns: before, own: answer, image: imageOf(row) }
}
