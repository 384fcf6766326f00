/** Qwen2.5-Math-PRM: `<extra_0>` behind each step, a two-class reward head read there, softmax[1]. */
import { invalidArgument } from '../../contracts/errors.ts'
import { PromptText } from '../template/prompt-text.ts'
import type { FamilyDefinition } from './family.ts'

const SYSTEM = 'Please reason step by step, and put your final answer within \\boxed{}.'
const MARKER = '<extra_0>'

export const qwenMathPrm: FamilyDefinition = {
  name: 'qwen2.5-math-prm',
  head: 'classes',
  marker: MARKER,
  shows: `its architecture Qwen2ForProcessRewardModel with the piece ${MARKER}`,
  recognise: ({ architecture, pieceId }) => architecture === 'Qwen2ForProcessRewardModel' && pieceId(MARKER) !== undefined,
  create: () => ({
    name: 'qwen2.5-math-prm',
    prompt(tokenizer, { question, steps, imageRows }) {
      if (imageRows.length > 0) throw invalidArgument('qwen2.5-math-prm scoring takes no image')
      const text = new PromptText(tokenizer, [question, ...steps])
      text.require('<|im_start|>', '<|im_end|>', MARKER)
      const turn = (role: string, message: string) => `<|im_start|>${role}\n${message}<|im_end|>\n`
      const solution = steps.map((step) => text.user(step) + MARKER).join('')
      const prompt = turn('system', SYSTEM) + turn('user', text.user(question)) + turn('assistant', solution)
      const ids = [...tokenizer.prefixIds, ...text.encode(prompt)]
      const marker = tokenizer.pieceId(MARKER)
      return { ids, markers: ids.flatMap((id, i) => (id === marker ? [i] : [])), reward: { kind: 'classes', positive: 1 } }
    },
  }),
}
