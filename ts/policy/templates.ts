/** How question and steps so far become a chat: one line each in TEMPLATES. */
import { createHash } from 'node:crypto'
import { invalidArgument } from '../contracts/errors.ts'
import { suggest } from '../contracts/suggest.ts'
import { renderSteps } from './format.ts'

export interface PolicyPrompt {
  /** The user turn, without the image, which goes before it. */
  readonly user: string
  /** The beginning of the assistant turn that the policy continues; empty where it starts a new one. */
  readonly assistant: string
}

export interface PolicyTemplate {
  readonly name: string
  render(question: string, prefix: readonly string[]): PolicyPrompt
}

/** MM-PRM's rollout prompt, blanks and all, as its policy was trained on it. */
const MM_PRM_TASK =
  ' Your task is to answer the question below. Give complete reasoning steps before you answer, and when you are ready to answer, use Answer: The final answer is ..\n\nQuestion: '

const INSTRUCT_TASK = `Solve the problem step by step. Write each step as <step>…</step>, one short deduction per block, and end with exactly one block <answer>The final answer is …</answer>. Write nothing outside these blocks.

Problem: `

/** The steps so far stand in the user turn; the policy goes on in a new assistant turn. */
const inUserTurn = (task: string, question: string, prefix: readonly string[], intro: string): PolicyPrompt => ({
  user: `${task}${question}${prefix.length > 0 ? `${intro}${renderSteps(prefix)}` : ''}`,
  assistant: '',
})

export const TEMPLATES: readonly PolicyTemplate[] = [
  { name: 'mm-prm-v1', render: (question, prefix) => inUserTurn(MM_PRM_TASK, question, prefix, '\nPrevious Steps:') },
  // Prefix and continuation are one token sequence: neighbouring prefixes share their whole cache.
  { name: 'prefill', render: (question, prefix) => ({ user: `Question: ${question}`, assistant: renderSteps(prefix) }) },
  {
    name: 'instruct',
    render: (question, prefix) =>
      inUserTurn(INSTRUCT_TASK, question, prefix, '\n\nThese steps are written already; continue after them:\n'),
  },
]

export function findTemplate(name: string): PolicyTemplate {
  const found = TEMPLATES.find((template) => template.name === name)
  if (found) return found
  const names = TEMPLATES.map((template) => template.name)
  throw invalidArgument(`no policy template "${name}"${suggest(name, names)}`)
}

/** Hash of what the template makes of a fixed example: changes whenever its text does. */
export function templateHash(template: PolicyTemplate): string {
  const example = [template.render('q', []), template.render('q', ['a', ' b '])]
  return createHash('sha256').update(JSON.stringify(example)).digest('hex').slice(0, 16)
}
