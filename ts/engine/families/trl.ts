/**
 * PRMs of TRL's PRMTrainer: a token classifier over question and steps, each tokenised apart, with a line break behind each
 * step; softmax of its second class there, sigmoid where it has one alone. Sequence classifiers have the same head.
 */
import { invalidArgument } from '../../contracts/errors.ts'
import type { FamilyDefinition } from './family.ts'

const SEPARATOR = '\n'

export const trl: FamilyDefinition = {
  name: 'trl',
  head: 'classes',
  recognise: () => false, // a token classifier of anything looks the same
  create(traits) {
    const { numClasses = 2, head } = traits
    if (head === 'ensemble') throw invalidArgument('trl scoring needs a head of classes, this one is an ensemble')
    if (numClasses > 2) throw invalidArgument(`trl scoring needs a head of 1 or 2 classes, this one has ${numClasses}`)
    return {
      name: 'trl',
      marked: false,
      prompt(tokenizer, { question, steps, imageRows }) {
        if (imageRows.length > 0) throw invalidArgument('trl scoring takes no image')
        const begin = tokenizer.added.ids.get(tokenizer.chat.bosToken)
        const separator = tokenizer.encodePlain(SEPARATOR)
        const ids = [...(begin === undefined ? [] : [begin]), ...tokenizer.encodePlain(question)]
        const markers = steps.map((step) => ids.push(...tokenizer.encodePlain(step), ...separator) - 1)
        return { ids, markers, reward: numClasses === 1 ? { kind: 'logit' } : { kind: 'classes', positive: 1 } }
      },
    }
  },
}
