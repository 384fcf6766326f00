/**
 * Forms of training rows: those that `mm-prm dataset` writes (its own, groups, the reference's conversations, TRL's, ms-swift's),
 * Math-Shepherd's, and a generator's. Each becomes a question and steps, with labels where the row has some.
 */
import { invalidArgument } from '../contracts/errors.ts'

type Row = Readonly<Record<string, unknown>>

export interface Body {
  question: string
  steps: string[]
  /** As the row has them; checked by who reads them. */
  labels: unknown
  image: unknown
  /** Next steps side by side, behind `steps`; the labels are theirs. */
  siblings?: string[]
}

const MARKER = '<prm>'

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function stringOf(row: Row, name: string): string {
  const value = row[name]
  if (typeof value !== 'string') throw invalidArgument(`"${name}" must be a string`)
  return value
}

/** Scoring refuses empty steps too. */
function stepsOf(steps: unknown, name: string): string[] {
  if (!isStrings(steps) || steps.length === 0) throw invalidArgument(`"${name}" must be a list of strings`)
  const empty = steps.findIndex((step) => step.trim() === '')
  if (empty >= 0) throw invalidArgument(`${name}[${empty}] is empty: a step needs text`)
  return steps
}

const readSteps = (row: Row): Body => ({
  question: stringOf(row, 'question'),
  steps: stepsOf(row['steps'], 'steps'),
  labels: row['labels'],
  image: row['image'] ?? row['images'],
})

/** The row of format `groups`: steps that all stand behind `prefix`. */
function readGroup(row: Row): Body {
  const { prefix } = row
  const steps = Array.isArray(prefix) && prefix.length === 0 ? [] : stepsOf(prefix, 'prefix')
  const siblings = stepsOf(row['steps'], 'steps')
  if (siblings.length < 2)
    throw invalidArgument('"steps" behind a "prefix" are siblings, and one alone has none to be ranked against')
  return { ...readSteps(row), steps, siblings }
}

/** `Question: …\nProcess: s1<prm>\n\ns2<prm>` in the answering turn. */
function readConversation(row: Row): Body {
  const turns = row['conversations'] as { from?: unknown; value?: unknown }[]
  const value = Array.isArray(turns) ? turns.findLast((turn) => turn?.from === 'gpt')?.value : undefined
  const match = typeof value === 'string' && /^(?:<image>\n)*Question: ([\s\S]*?)\nProcess: ([\s\S]*)$/.exec(value)
  if (!match) throw invalidArgument('"conversations" must end in a turn of "gpt": Question: …\\nProcess: … with its markers')
  const parts = (match[2] as string).split(MARKER)
  if (parts.pop()?.trim() !== '') throw invalidArgument(`the process must end in ${MARKER}`)
  if (parts.length === 0) throw invalidArgument(`the process has no ${MARKER}`)
  const steps = parts.map((part) => part.replace(/^\n\n/, ''))
  return { question: match[1] as string, steps: stepsOf(steps, 'steps'), labels: row['labels'], image: row['image'] }
}

/** Texts of a conversation's user turns, or the text itself. */
function promptText(prompt: unknown, name: string): string {
  if (typeof prompt === 'string') return prompt
  const turns = Array.isArray(prompt) ? (prompt as { role?: unknown; content?: unknown }[]) : []
  const user = turns.filter((turn) => turn?.role === 'user').map((turn) => turn.content)
  if (user.length > 0 && isStrings(user)) return user.join('\n\n')
  throw invalidArgument(`"${name}" must be a string, or messages with a turn of the user`)
}

/** TRL's stepwise supervision; `soft_labels` say more where `mm-prm dataset` wrote them. */
const readTrl = (row: Row): Body => ({
  question: promptText(row['prompt'], 'prompt'),
  steps: stepsOf(row['completions'], 'completions'),
  labels: row['soft_labels'] ?? row['labels'],
  image: row['image'] ?? row['images'],
})

const readSwift = (row: Row): Body => ({
  question: promptText(row['messages'], 'messages').replace(/^(?:<image>\n?)+/, ''),
  steps: stepsOf(row['steps'], 'steps'),
  labels: row['labels'],
  image: row['images'],
})

const SHEPHERD_MARKER = 'ки'
const FIRST_STEP = 'Step 1:'

/**
 * `input`: question and steps, ки behind each; `label`: the same text with + or - in its place.
 * The question ends where the last "Step 1:" before the first marker begins.
 */
function readMathShepherd(row: Row): Body {
  const [input, label] = [stringOf(row, 'input'), stringOf(row, 'label')]
  const parts = input.split(SHEPHERD_MARKER)
  if (parts.pop()?.trim() !== '') throw invalidArgument(`"input" must end in ${SHEPHERD_MARKER}`)
  const first = parts[0]?.lastIndexOf(FIRST_STEP) ?? -1
  if (first < 0) throw invalidArgument(`"input" has no "${FIRST_STEP}" that ends its question`)
  const question = (parts[0] as string).slice(0, first).trim()
  let at = 0
  const labels = parts.map((part, i) => {
    const sign = label.startsWith(part, at) ? label[at + part.length] : undefined
    if (sign !== '+' && sign !== '-')
      throw invalidArgument(`"label" is not "input" with + or - for ${SHEPHERD_MARKER} at step ${i}`)
    at += part.length + 1
    return sign === '+' ? 1 : 0
  })
  const steps = [(parts[0] as string).slice(first), ...parts.slice(1)].map((step) => step.trim())
  return { question, steps: stepsOf(steps, 'steps'), labels, image: undefined }
}

/** A solution's steps may end with its answer, which closes them anyway. */
export function withoutAnswerStep(steps: readonly string[], answer: string): readonly string[] {
  return steps.at(-1)?.trim() === answer.trim() ? steps.slice(0, -1) : steps
}

/** @throws EngineError INVALID_ARGUMENT saying which field is wrong */
export function readBody(row: Row): Body {
  if ('prefix' in row) return readGroup(row)
  if ('conversations' in row) return readConversation(row)
  if ('completions' in row) return readTrl(row)
  if ('messages' in row) return readSwift(row)
  if ('input' in row && 'label' in row) return readMathShepherd(row)
  return readSteps(row)
}
