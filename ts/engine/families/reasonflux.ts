/** ReasonFlux-PRM: as Qwen2.5-Math-PRM, but its folder's own chat template says what the system is told. */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import { renderChat } from '../template/chat.ts'
import type { FamilyDefinition } from './family.ts'

const MARKER = '<extra_0>'

export const reasonFlux: FamilyDefinition = {
  name: 'reasonflux',
  head: 'classes',
  marker: MARKER,
  recognise: () => false, // the files are those of a Qwen2.5-Math-PRM
  create(traits) {
    const marker = traits.pieceId(MARKER)
    if (marker === undefined) throw invalidModel(`reasonflux scoring needs the piece ${MARKER} in the tokenizer`)
    return {
      name: 'reasonflux',
      prompt(tokenizer, { question, steps, imageRows }) {
        if (imageRows.length > 0) throw invalidArgument('reasonflux scoring takes no image')
        const strange = steps.findIndex((step) => step.includes(MARKER))
        if (strange >= 0) throw invalidArgument(`step ${strange + 1}: holds the marker ${MARKER} itself`)
        const messages = [
          { role: 'user', content: question },
          { role: 'assistant', content: steps.map((step) => step + MARKER).join('') },
        ]
        const { ids } = renderChat(tokenizer, messages, false, { marker: MARKER })
        return { ids, markers: ids.flatMap((id, i) => (id === marker ? [i] : [])), reward: { kind: 'classes', positive: 1 } }
      },
    }
  },
}
