/**
 * VL-PRM (arXiv 2509.23250): VisualPRM's turns in the folder's own chat, pictures in front; softmax of `+` and `-` before each
 * reply. Its checkpoints were trained with more than one system message, so the folder records which: mm-prm.json.
 */
import { invalidModel } from '../../contracts/errors.ts'
import { renderChat } from '../template/chat.ts'
import type { FamilyDefinition } from './family.ts'
import { RIGHT, replyReward, rowsBeforeReplies } from './replies.ts'

export const vlPrm: FamilyDefinition = {
  name: 'vl-prm',
  head: 'vocabulary',
  recognise: () => false, // a chat model: nothing in the folder tells
  create(traits) {
    const system = traits.recorded?.systemMessage
    if (system === undefined)
      throw invalidModel(
        'vl-prm scoring needs the system message that the model was trained with: mm-prm.json {"scoring": "vl-prm", "systemMessage": "…"}',
      )
    const reward = replyReward('vl-prm', traits)
    return {
      name: 'vl-prm',
      marked: false,
      prompt(tokenizer, { question, steps, imageRows }) {
        const head = `### Question:\n${question}\n\n### Solution Process:\n`
        const turns = steps.flatMap((step, i) => [
          { role: 'user', content: i === 0 ? head + step : step },
          { role: 'assistant', content: RIGHT },
        ])
        const { ids } = renderChat(tokenizer, [{ role: 'system', content: system }, ...turns], false, { imageRows })
        return { ids, markers: rowsBeforeReplies(tokenizer, ids, steps.length), reward }
      },
    }
  },
}
