/** N solutions of one problem, each step scored; whoever reads the candidates chooses. */
import { z } from 'zod'
import { scoreSolutions, toCandidate } from '../candidates.ts'
import { channel } from '../channel.ts'
import { Evaluator } from '../evaluator.ts'
import type { Strategy } from '../strategy.ts'

export const bestOfNOptions = z.strictObject({
  n: z.number().int().positive().default(16),
})

export const bestOfN: Strategy<typeof bestOfNOptions> = {
  name: 'best-of-n',
  needsScorer: false,
  options: bestOfNOptions,
  run(context, { n }) {
    return channel(context.signal, async (emit, signal) => {
      const { rollouts } = await new Evaluator(context, emit, signal).evaluate([], { numRollouts: n })
      const complete = rollouts.filter((rollout) => rollout.outcome === 'complete')
      const scores = await scoreSolutions(
        context,
        complete.map((rollout) => rollout.steps),
        signal,
      )
      for (const rollout of rollouts) {
        const scored = scores[complete.indexOf(rollout)]
        await emit({ type: 'candidate', candidate: toCandidate(context.problem.id, rollout.index, [], rollout, scored) })
      }
      await emit({ type: 'finished', reason: 'complete', searches: 0, rollouts: rollouts.length })
    })
  },
}
