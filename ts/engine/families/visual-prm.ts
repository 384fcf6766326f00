/** VisualPRM (InternVLRewardModel): one user's turn a step, the question in the first; softmax of `+` and `-` before each reply. */
import { INTERNVL_SYSTEM_MESSAGE, pictureTokens } from '../template/internvl.ts'
import { placePictures } from '../template/pictures.ts'
import { PromptText } from '../template/prompt-text.ts'
import type { FamilyDefinition } from './family.ts'
import { RIGHT, replyReward, rowsBeforeReplies } from './replies.ts'

const turn = (role: string, message: string) => `<|im_start|>${role}\n${message}<|im_end|>\n`

export const visualPrm: FamilyDefinition = {
  name: 'visualprm',
  head: 'vocabulary',
  shows: 'its architecture InternVLRewardModel',
  recognise: ({ architecture, hasRewardHead }) => architecture === 'InternVLRewardModel' && !hasRewardHead,
  create(traits) {
    const reward = replyReward('visualprm', traits)
    const system = traits.config.system_message ?? INTERNVL_SYSTEM_MESSAGE
    return {
      name: 'visualprm',
      marked: false,
      prompt(tokenizer, { question, steps, imageRows }) {
        const text = new PromptText(tokenizer, [question, ...steps, system])
        text.require('<|im_start|>', '<|im_end|>', ...(imageRows.length > 0 ? ['<img>', '<IMG_CONTEXT>', '</img>'] : []))
        const asked = placePictures(question, imageRows.map(pictureTokens), text.user)
        const head = `### Question:\n${asked.lead}${asked.text}\n\n### Solution Process:\n`
        const turns = steps.map((step, i) => turn('user', (i === 0 ? head : '') + text.user(step)) + turn('assistant', RIGHT))
        const ids = [...tokenizer.prefixIds, ...text.encode(turn('system', text.user(system)) + turns.join(''))]
        return { ids, markers: rowsBeforeReplies(tokenizer, ids, steps.length), reward }
      },
    }
  },
}
