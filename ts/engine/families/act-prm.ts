/**
 * ActPRM (Qwen2ForEnsemblePRM): `<extra_0>` behind each step, an ensemble of heads read there; the mean of their sigmoids, and
 * by how much they disagree. The prompt is that of its ProcessBench figures: steps without blanks around and blank lines in them.
 */
import { invalidArgument } from '../../contracts/errors.ts'
import { PromptText } from '../template/prompt-text.ts'
import type { FamilyDefinition } from './family.ts'

const SYSTEM =
  'You are a helpful and harmless assistant. You should think step-by-step and put your final answer within \\boxed{}.'
const MARKER = '<extra_0>'

const withoutBlankLines = (step: string) => step.trim().replace(/\s*\n\n/g, ' ')

export const actPrm: FamilyDefinition = {
  name: 'act-prm',
  head: 'classes',
  marker: MARKER,
  recognise: ({ architecture, head }) => architecture === 'Qwen2ForEnsemblePRM' && head === 'ensemble',
  create: ({ head, config: { rr_token: marker = MARKER } }) => {
    if (head !== 'ensemble') throw invalidArgument(`act-prm scoring needs an ensemble of heads, this one is of kind ${head}`)
    return {
      name: 'act-prm',
      prompt(tokenizer, { question, steps, imageRows }) {
        if (imageRows.length > 0) throw invalidArgument('act-prm scoring takes no image')
        const text = new PromptText(tokenizer, [question, ...steps])
        text.require('<|im_start|>', '<|im_end|>', marker)
        const turn = (role: string, message: string) => `<|im_start|>${role}\n${message}<|im_end|>\n`
        const solution = steps.map((step) => text.user(withoutBlankLines(step)) + marker).join('')
        const prompt = `${turn('system', SYSTEM)}${turn('user', text.user(question))}<|im_start|>assistant\n${solution}`
        const ids = [...tokenizer.prefixIds, ...text.encode(prompt)]
        const id = tokenizer.pieceId(marker)
        return { ids, markers: ids.flatMap((own, i) => (own === id ? [i] : [])), reward: { kind: 'ensemble' } }
      },
    }
  },
}
