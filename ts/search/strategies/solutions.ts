/** N solutions of a problem as they are, neither judged nor scored: what an evaluation grades by rules of its own. */
import { z } from 'zod'
import type { Counts } from '../../contracts/records.ts'
import { channel } from '../channel.ts'
import type { Strategy } from '../strategy.ts'

export const solutionsOptions = z.strictObject({
  n: z.number().int().positive().default(16),
})

const NOT_JUDGED: Counts = { correct: 0, total: 0, unparsed: 0, truncated: 0 }

export const solutions: Strategy<typeof solutionsOptions> = {
  name: 'solutions',
  needsScorer: false,
  options: solutionsOptions,
  run({ problem, policy, known, rng, signal: outer }, { n }) {
    return channel(outer, async (emit, signal) => {
      const seed = rng([])
      let [evaluation] = known.evaluations
      if (!evaluation) {
        const began = performance.now()
        const [rollouts = []] = await policy.rollouts([{ problem, prefix: [], seed, from: 0, count: n }], signal)
        const records = rollouts.map((rollout, index) => ({ ...rollout, index, answer: null, correct: null }))
        evaluation = { problemId: problem.id, prefix: [], occurrence: 0, seed, counts: NOT_JUDGED, rollouts: records }
        await emit({ type: 'evaluated', evaluation, elapsedMs: performance.now() - began })
      }
      const node = { steps: [], counts: NOT_JUDGED, firstError: false, terminal: false, visits: 0, children: [] }
      const tree = { problem, root: { ...node, rollouts: evaluation.rollouts } }
      await emit({ type: 'finished', reason: 'complete', searches: 0, rollouts: n, tree })
    })
  },
}
