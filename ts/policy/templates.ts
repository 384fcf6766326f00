/** Templates that a chat server can be asked with, by name: the trained policies' own, and one for any model. */
import { createHash } from 'node:crypto'
import { invalidArgument } from '../contracts/errors.ts'
import { inUserTurn, ROLLOUT_TEXTS, type RolloutTemplate, renderSteps } from '../contracts/rollout-text.ts'
import { suggest } from '../contracts/suggest.ts'

export interface PolicyTemplate {
  readonly name: string
  readonly render: RolloutTemplate
}

const INSTRUCT_TASK = `Solve the problem step by step. Write each step as <step>…</step>, one short deduction per block, and end with exactly one block <answer>The final answer is …</answer>. Write nothing outside these blocks.

Problem: `

const PLAIN_TASK = 'Reason step by step, and put your final answer within \\boxed{}.'

export const TEMPLATES: readonly PolicyTemplate[] = [
  ...Object.entries(ROLLOUT_TEXTS).map(([name, render]) => ({ name, render })),
  {
    name: 'instruct',
    render: (question, prefix) =>
      inUserTurn(INSTRUCT_TASK, question, prefix, '\n\nThese steps are written already; continue after them:\n'),
  },
  {
    name: 'plain',
    render: (question, prefix, join = renderSteps) => ({
      user: `${question}\n\n${PLAIN_TASK}`,
      assistant: prefix.length === 0 ? '' : join([...prefix, '']),
    }),
  },
]

/** Templates whose assistant's turn is begun already where there is a prefix. */
export const continuesTurn = ({ name }: PolicyTemplate) => name === 'prefill' || name === 'plain'

/** @throws EngineError INVALID_ARGUMENT with the nearest name */
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
