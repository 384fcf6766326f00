/** Math-Shepherd: `{question} {step} ки\n{step} ки…`; softmax of the pieces ▁+ and ▁- at each ▁ки. */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { Tokenizer } from '../tokenizer/index.ts'
import type { FamilyDefinition } from './family.ts'

const MARKER = '▁ки'

/** The marker is plain text, so a user's own ки is told apart by counting: what stands before a step's end. */
function markersOf(tokenizer: Tokenizer, ids: readonly number[], ends: readonly string[]): number[] {
  const marker = tokenizer.pieceId(MARKER)
  const all = ids.flatMap((id, i) => (id === marker ? [i] : []))
  if (all.length === ends.length) return all
  return ends.map((text) => {
    const before = tokenizer.encodePlain(text).filter((id) => id === marker).length
    return (all[before - 1] as number) ?? -1
  })
}

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
        const markers = markersOf(tokenizer, ids, ends)
        if (markers.some((m, i) => m < 0 || m <= (markers[i - 1] ?? -1)))
          throw invalidArgument('a step swallows the marker ки behind it')
        return { ids, markers, reward: { kind: 'pair', yes, no } }
      },
    }
  },
}
