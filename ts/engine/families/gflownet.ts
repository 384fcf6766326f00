/**
 * PRMs for GFlowNet samplers (arXiv 2504.19981): a sequence of its own for every step, question and steps before it glued,
 * `<next>`, the step; sigmoid of the one value of a linear head at its last token.
 */
import { invalidArgument } from '../../contracts/errors.ts'
import { PromptText } from '../template/prompt-text.ts'
import type { FamilyDefinition } from './family.ts'

const NEXT = '<next>'

export const gflownet: FamilyDefinition = {
  name: 'gflownet',
  head: 'classes',
  recognise: () => false, // a sequence classifier of anything looks the same
  create(traits) {
    const { numClasses = 1 } = traits
    if (numClasses !== 1) throw invalidArgument(`gflownet scoring needs a head of 1 value, this one has ${numClasses}`)
    return {
      name: 'gflownet',
      marked: false,
      perStep: true,
      prompt(tokenizer, { question, steps, imageRows }) {
        if (imageRows.length > 0) throw invalidArgument('gflownet scoring takes no image')
        const text = new PromptText(tokenizer, [question, ...steps])
        const before = [question, ...steps.slice(0, -1)].map(text.user).join('')
        const ids = [...tokenizer.prefixIds, ...text.encode(before + NEXT + text.user(steps.at(-1) ?? ''))]
        return { ids, markers: [ids.length - 1], reward: { kind: 'logit' } }
      },
    }
  },
}
