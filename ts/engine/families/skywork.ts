/** Skywork-o1-Open-PRM (Qwen2ForPrmModel): a line a step behind the question's, each tokenised apart; sigmoid of a value head. */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { FamilyDefinition } from './family.ts'

export const skywork: FamilyDefinition = {
  name: 'skywork',
  head: 'classes',
  shows: 'its architecture Qwen2ForPrmModel',
  recognise: ({ architecture, hasRewardHead }) => architecture === 'Qwen2ForPrmModel' && hasRewardHead,
  create: () => ({
    name: 'skywork',
    marked: false,
    prompt(tokenizer, { question, steps, imageRows }) {
      if (imageRows.length > 0) throw invalidArgument('skywork scoring takes no image')
      const begin = tokenizer.added.ids.get(tokenizer.chat.bosToken)
      if (begin === undefined) throw invalidModel('skywork scoring needs a bos_token in tokenizer_config.json')
      const [lineBreak, ...more] = tokenizer.encodePlain('\n')
      if (lineBreak === undefined || more.length > 0) throw invalidModel('skywork scoring needs a token for a line break')
      const ids = [begin, ...tokenizer.encodePlain(`${question}\n`)]
      const markers = steps.map((step) => ids.push(...tokenizer.encodePlain(step), lineBreak) - 1)
      return { ids, markers, reward: { kind: 'logit' } }
    },
  }),
}
