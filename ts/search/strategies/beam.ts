/**
 * Step-level beam search guided by a process reward model: every beam is continued by single steps, all
 * continuations are scored, the best stay. Finished solutions leave the beam and become candidates, best first.
 */
import { z } from 'zod'
import type { SearchEvent } from '../../contracts/events.ts'
import { seededRandom } from '../../contracts/random.ts'
import type { RolloutRecord } from '../../contracts/records.ts'
import type { StepScores } from '../../contracts/scorer.ts'
import { scoreSolutions, toCandidate } from '../candidates.ts'
import { channel, type Emit } from '../channel.ts'
import { Evaluator } from '../evaluator.ts'
import { type SearchContext, type Strategy, spentOf } from '../strategy.ts'
import { beamWidth, WIDTH_SCHEDULES } from '../width.ts'

const count = z.number().int().positive()

export const beamOptions = z.strictObject({
  width: count.default(4),
  minWidth: count.default(1),
  schedule: z.enum(WIDTH_SCHEDULES).default('constant'),
  widthSlope: z.number().nonnegative().default(0.5),
  widthDecay: z.number().positive().max(1).default(0.8),
  spreadMargin: z.number().nonnegative().default(0.2),
  /** Continuations of each beam per step. */
  branch: count.default(4),
  maxDepth: count.default(32),
  /**
   * Which continuations stay. Absent: the best. `proportional`: drawn without repeats, each as likely as it is worth, which
   * keeps solutions apart that a best few would not (as GFlowNet samplers do, arXiv 2504.19981).
   */
  keep: z.enum(['proportional']).optional(),
  /** What a beam is worth, from the scores of its steps. */
  aggregate: z.enum(['last', 'min', 'mean', 'product']).default('last'),
})

type BeamOptions = z.output<typeof beamOptions>

const AGGREGATES: Record<BeamOptions['aggregate'], (scores: readonly number[]) => number> = {
  last: (scores) => scores.at(-1) ?? 0,
  min: (scores) => Math.min(...scores),
  mean: (scores) => scores.reduce((sum, score) => sum + score, 0) / scores.length,
  product: (scores) => scores.reduce((product, score) => product * score, 1),
}

interface Beam {
  readonly prefix: readonly string[]
  readonly rollout: RolloutRecord
  readonly steps: readonly string[]
  readonly scored: StepScores | undefined
  readonly value: number
}

class BeamSearch {
  readonly #context: SearchContext
  readonly #options: BeamOptions
  readonly #emit: Emit<SearchEvent>
  readonly #signal: AbortSignal
  readonly #evaluator: Evaluator
  #rollouts = 0
  #tokens = 0

  constructor(context: SearchContext, options: BeamOptions, emit: Emit<SearchEvent>, signal: AbortSignal) {
    this.#context = context
    this.#options = options
    this.#emit = emit
    this.#signal = signal
    this.#evaluator = new Evaluator(context, emit, signal)
  }

  async run(): Promise<void> {
    const finished: Beam[] = []
    let open: (readonly string[])[] = [[]]
    for (let depth = 0; open.length > 0 && depth < this.#options.maxDepth && !this.#spent(); depth++) {
      const beams = await this.#score(await this.#expand(open))
      finished.push(...beams.filter(({ rollout }) => rollout.outcome === 'complete'))
      const going = beams.filter(({ rollout }) => rollout.outcome === 'stopped').sort(byValue)
      const values = going.map((beam) => beam.value)
      const width = beamWidth(this.#options.schedule, this.#options, depth + 1, values)
      open = this.#kept(going, width, depth).map((beam) => beam.steps)
    }
    for (const [index, { prefix, rollout, scored }] of finished.sort(byValue).entries()) {
      await this.#emit({ type: 'candidate', candidate: toCandidate(this.#context.problem.id, index, prefix, rollout, scored) })
    }
    const reason = this.#spent() ?? (open.length > 0 ? 'exhausted' : 'complete')
    await this.#emit({ type: 'finished', reason, searches: 0, rollouts: this.#rollouts })
  }

  #kept(going: readonly Beam[], width: number, depth: number): readonly Beam[] {
    if (this.#options.keep === undefined) return going.slice(0, width)
    return drawn(going, width, seededRandom(this.#context.rng([], depth + 1)))
  }

  /** Single-step continuations of every open beam, without repeats. */
  async #expand(open: readonly (readonly string[])[]): Promise<Omit<Beam, 'scored' | 'value'>[]> {
    const { branch } = this.#options
    const evaluations = await Promise.all(
      open.map((prefix) => this.#evaluator.evaluate(prefix, { numRollouts: branch, maxSteps: 1 })),
    )
    const distinct = new Map<string, Omit<Beam, 'scored' | 'value'>>()
    for (const { prefix, rollouts } of evaluations) {
      for (const rollout of rollouts) {
        this.#rollouts++
        this.#tokens += rollout.numTokens ?? 0
        if (rollout.outcome !== 'complete' && rollout.outcome !== 'stopped') continue
        const steps = [...prefix, ...rollout.steps]
        const key = JSON.stringify([rollout.outcome, steps])
        if (!distinct.has(key)) distinct.set(key, { prefix, rollout, steps })
      }
    }
    return [...distinct.values()]
  }

  async #score(expanded: Omit<Beam, 'scored' | 'value'>[]): Promise<Beam[]> {
    const scores = await scoreSolutions(
      this.#context,
      expanded.map((beam) => beam.steps),
      this.#signal,
    )
    await this.#tell(expanded, scores)
    const value = AGGREGATES[this.#options.aggregate]
    return expanded.map((beam, i) => {
      const scored = scores[i]
      return { ...beam, scored, value: scored ? value(scored.scores) : Number.NEGATIVE_INFINITY }
    })
  }

  /** What the scorer made of the next steps of each prefix, side by side. */
  async #tell(expanded: readonly Omit<Beam, 'scored' | 'value'>[], scores: readonly (StepScores | undefined)[]): Promise<void> {
    const groups = new Map<readonly string[], { step: string; scored: StepScores }[]>()
    for (const [i, { prefix, rollout }] of expanded.entries()) {
      const scored = scores[i]
      if (scored) groups.set(prefix, [...(groups.get(prefix) ?? []), { step: rollout.steps.at(-1) ?? '', scored }])
    }
    for (const [prefix, group] of groups) {
      const last = <T>(pick: (scored: StepScores) => readonly T[] | undefined) => {
        const values = group.map(({ scored }) => pick(scored)?.at(-1))
        return values.every((value) => value !== undefined) ? (values as T[]) : undefined
      }
      const [scores, logits, std] = [last((s) => s.scores) ?? [], last((s) => s.logits), last((s) => s.std)]
      const siblings = { problemId: this.#context.problem.id, prefix, steps: group.map(({ step }) => step), scores }
      await this.#emit({ type: 'scored', siblings: { ...siblings, ...(logits && { logits }), ...(std && { std }) } })
    }
  }

  #spent(): 'rollouts' | 'tokens' | undefined {
    return spentOf(this.#context.budget, this.#rollouts, this.#tokens)
  }
}

/** `count` of them, one after the other, each with a probability in proportion to its value among those that are left. */
export function drawn<T extends { readonly value: number }>(items: readonly T[], count: number, random: () => number): T[] {
  const rest = [...items]
  const result: T[] = []
  const weightOf = ({ value }: T) => Math.max(0, value)
  while (rest.length > 0 && result.length < count) {
    let at = random() * rest.reduce((sum, item) => sum + weightOf(item), 0)
    // WHY the first where nothing is worth anything: they come in the order of the seed.
    const index = Math.max(
      0,
      rest.findIndex((item) => (at -= weightOf(item)) < 0),
    )
    result.push(...rest.splice(index, 1))
  }
  return result
}

/** Best first; equal ones stay in their order, which depends on the seed alone. */
function byValue(a: Beam, b: Beam): number {
  return b.value - a.value
}

export const beam: Strategy<typeof beamOptions> = {
  name: 'beam',
  needsScorer: true,
  options: beamOptions,
  run(context, options) {
    return channel(context.signal, (emit, signal) => new BeamSearch(context, options, emit, signal).run())
  },
}
