/**
 * Implicit PRMs (EurusPRM): no head at all. A step is worth what the trained model makes likelier than its reference:
 * beta · Σ (log π − log π_ref) from the answer's start to the step's end, in the folder's own chat.
 */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import { renderChat } from '../template/chat.ts'
import type { Tokenizer } from '../tokenizer/index.ts'
import type { FamilyDefinition } from './family.ts'

const DEFAULT_BETA = 0.001

const joined = (steps: readonly string[]) => steps.join('\n\n')

/** Tokens up to the end of the turn that closes last: what stands behind it is no more than a line break. */
const closedLength = (tokenizer: Tokenizer, ids: readonly number[]) => ids.findLastIndex((id) => tokenizer.isSpecial(id)) + 1

export const implicit: FamilyDefinition = {
  name: 'implicit',
  head: 'vocabulary',
  reference: true,
  recognise: () => false, // a plain language model: nothing in the folder tells
  create(traits) {
    const beta = traits.recorded?.beta ?? DEFAULT_BETA
    return {
      name: 'implicit',
      marked: false,
      prompt(tokenizer, { question, steps, imageRows }) {
        if (imageRows.length > 0) throw invalidArgument('implicit scoring takes no image')
        const user = { role: 'user', content: question }
        // WHY two back, here and below: so the published code counts. The sum takes in the line break before the answer, and
        // what is measured of a step is the text so far with its turn closed, and two line breaks where steps follow.
        const first = renderChat(tokenizer, [user], true).ids.length - 2
        const answered = (n: number) => {
          const reply = { role: 'assistant', content: joined(steps.slice(0, n)) }
          return renderChat(tokenizer, [user, reply], false).ids
        }
        const ids = answered(steps.length)
        if (!ids.some((id) => tokenizer.isSpecial(id))) throw invalidModel('implicit scoring: the chat template closes no turn')
        const lineBreaks = tokenizer.encodePlain('\n\n').length
        const markers = steps.map((_, i) => {
          const isLast = i === steps.length - 1
          return closedLength(tokenizer, answered(i + 1)) + (isLast ? 0 : lineBreaks) - 2
        })
        return { ids, markers, reward: { kind: 'ratio', first, beta } }
      },
    }
  },
}
