/** RLHFlow's PRMs: a chat with one user's turn a step, the question before the first; softmax of `+` and `-` before each reply. */
import { invalidArgument } from '../../contracts/errors.ts'
import { renderChat } from '../template/chat.ts'
import type { FamilyDefinition } from './family.ts'
import { RIGHT, replyReward, rowsBeforeReplies } from './replies.ts'

export const rlhflow: FamilyDefinition = {
  name: 'rlhflow',
  head: 'vocabulary',
  recognise: () => false, // a plain language model: nothing in the folder tells
  create(traits) {
    const reward = replyReward('rlhflow', traits)
    return {
      name: 'rlhflow',
      marked: false,
      prompt(tokenizer, { question, steps, imageRows }) {
        if (imageRows.length > 0) throw invalidArgument('rlhflow scoring takes no image')
        const messages = steps.flatMap((step, i) => [
          { role: 'user', content: i === 0 ? `${question} ${step}` : step },
          { role: 'assistant', content: RIGHT },
        ])
        const { ids } = renderChat(tokenizer, messages, false)
        return { ids, markers: rowsBeforeReplies(tokenizer, ids, steps.length), reward }
      },
    }
  },
}
