/**
 * Reward-SQL (arXiv 2505.04671): question and query glued, its steps (CTEs) each followed by ` и `, white space squeezed;
 * softmax of the pieces ` +` and ` -` at the last token of `  и`.
 */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { FamilyDefinition } from './family.ts'
import { plainMarkers } from './plain-markers.ts'

const TAG = ' и'

export const rewardSql: FamilyDefinition = {
  name: 'reward-sql',
  head: 'vocabulary',
  recognise: () => false, // a plain language model: nothing in the folder tells
  create: () => ({
    name: 'reward-sql',
    marked: false,
    prompt(tokenizer, { question, steps, imageRows }) {
      if (imageRows.length > 0) throw invalidArgument('reward-sql scoring takes no image')
      const [yes, no] = [' +', ' -'].map((reply) => {
        const [id, ...more] = tokenizer.encodePlain(reply)
        if (id === undefined || more.length > 0)
          throw invalidModel(`reward-sql scoring needs a token "${reply}" in the tokenizer`)
        return id
      })
      const strange = steps.findIndex((step) => step.includes(TAG))
      if (strange >= 0) throw invalidArgument(`step ${strange + 1}: holds the marker "${TAG}" itself`)
      const parts = steps.map((step, i) => `${i === 0 ? '' : ' '}${step}`.replace(/\s+/g, ' ') + TAG)
      const ends = parts.map((_, i) => question + parts.slice(0, i + 1).join(''))
      const ids = [...tokenizer.prefixIds, ...tokenizer.encodePlain(`${ends.at(-1) ?? question} `)]
      const tag = tokenizer.encodePlain(` ${TAG}`).at(-1) as number
      const markers = plainMarkers(tokenizer, ids, tag, ends)
      return { ids, markers, reward: { kind: 'pair', yes: yes as number, no: no as number } }
    },
  }),
}
