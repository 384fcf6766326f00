/** Math-Shepherd: `{question} {step} ки\n{step} ки…`; softmax of the pieces ▁+ and ▁- at each ▁ки. */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { FamilyDefinition } from './family.ts'
import { plainMarkers } from './plain-markers.ts'

const MARKER = '▁ки'

export const mathShepherd: FamilyDefinition = {
  name: 'math-shepherd',
  head: 'vocabulary',
  recognise: () => false, // a plain language model: nothing in the folder tells
  create(traits) {
    const [yes, no, marker] = ['▁+', '▁-', MARKER].map((piece) => traits.pieceId(piece))
    if (yes === undefined || no === undefined || marker === undefined) {
      throw invalidModel(`math-shepherd scoring needs the pieces ▁+, ▁- and ${MARKER} in the tokenizer`)
    }
    return {
      name: 'math-shepherd',
      prompt(tokenizer, { question, steps, imageRows }) {
        if (imageRows.length > 0) throw invalidArgument('math-shepherd scoring takes no image')
        const ends: string[] = []
        let text = question
        steps.forEach((step, i) => {
          text += `${i === 0 ? ' ' : '\n'}${step} ки`
          ends.push(text)
        })
        const ids = [...tokenizer.prefixIds, ...tokenizer.encodePlain(text)]
        const markers = plainMarkers(tokenizer, ids, marker, ends)
        return { ids, markers, reward: { kind: 'pair', yes, no } }
      },
    }
  },
}
