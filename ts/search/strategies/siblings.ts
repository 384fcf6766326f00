/**
 * Siblings (the data of PRM-BAS, arXiv 2504.10222): along one path, several next steps of each prefix, each evaluated by
 * rollouts, so that steps are compared that differ in nothing else. Next steps are the beginnings of the rollouts that evaluated
 * their prefix; the path goes on with the best of them.
 */
import { z } from 'zod'
import type { SearchEvent, StopReason } from '../../contracts/events.ts'
import { mcValue, type RolloutRecord } from '../../contracts/records.ts'
import { channel, type Emit } from '../channel.ts'
import { Evaluator } from '../evaluator.ts'
import { type SearchContext, type Strategy, spentOf } from '../strategy.ts'
import { Node } from '../tree.ts'

const count = z.number().int().positive()

export const siblingsOptions = z.strictObject({
  /** Next steps of a prefix, at most: rollouts that begin alike give one. */
  branch: count.default(4),
  /** k: rollouts per node. */
  numRollouts: count.default(8),
  maxDepth: count.default(32),
})

type SiblingsOptions = z.output<typeof siblingsOptions>

class SiblingsSearch {
  readonly #context: SearchContext
  readonly #options: SiblingsOptions
  readonly #emit: Emit<SearchEvent>
  readonly #evaluator: Evaluator
  readonly #root = new Node([], [])
  #rollouts = 0
  #tokens = 0

  constructor(context: SearchContext, options: SiblingsOptions, emit: Emit<SearchEvent>, signal: AbortSignal) {
    this.#context = context
    this.#options = options
    this.#emit = emit
    this.#evaluator = new Evaluator(context, emit, signal)
  }

  async run(): Promise<void> {
    await this.#evaluate([this.#root])
    let node: Node | undefined = this.#root
    let depth = 0
    for (; node && depth < this.#options.maxDepth && !this.#spent(); depth++) {
      const siblings = this.#siblings(node)
      await this.#evaluate(siblings)
      node = bestOf(siblings)
    }
    const { problem } = this.#context
    await this.#emit({
      type: 'finished',
      reason: this.#spent() ?? (node ? 'exhausted' : 'complete'),
      searches: depth,
      rollouts: this.#rollouts,
      tree: { problem, root: this.#root.toRecord() },
    })
  }

  /** Next steps that have to be evaluated, in the order in which they were drawn; an answer's verdict is known already. */
  #siblings(node: Node): Node[] {
    const firsts = new Map<string, Node>()
    for (const { steps, correct } of judged(node.evaluation?.rollouts ?? [])) {
      const [step] = steps
      if (step === undefined || (!firsts.has(step) && firsts.size >= this.#options.branch)) continue
      const child = node.child(step)
      firsts.set(step, child)
      if (steps.length === 1) child.verdict = correct
    }
    return [...firsts.values()].filter((child) => child.verdict === undefined)
  }

  async #evaluate(nodes: readonly Node[]): Promise<void> {
    const { numRollouts } = this.#options
    const evaluations = await Promise.all(nodes.map(({ prefix }) => this.#evaluator.evaluate(prefix, { numRollouts })))
    for (const [i, node] of nodes.entries()) {
      node.evaluation = evaluations[i]
      for (const { numTokens = 0 } of node.evaluation?.rollouts ?? []) {
        this.#rollouts++
        this.#tokens += numTokens
      }
    }
  }

  #spent(): StopReason | undefined {
    return spentOf(this.#context.budget, this.#rollouts, this.#tokens)
  }
}

const judged = (rollouts: readonly RolloutRecord[]) =>
  rollouts.flatMap(({ steps, correct }) => (correct === null ? [] : [{ steps, correct }]))

/** The first of the best that has led to a right answer: behind the others every step is wrong. */
function bestOf(siblings: readonly Node[]): Node | undefined {
  const value = ({ counts }: Node) => (counts ? mcValue(counts) : 0)
  const best = Math.max(0, ...siblings.map(value))
  return best > 0 ? siblings.find((node) => value(node) === best) : undefined
}

export const siblings: Strategy<typeof siblingsOptions> = {
  name: 'siblings',
  needsScorer: false,
  options: siblingsOptions,
  run(context, options) {
    return channel(context.signal, (emit, signal) => new SiblingsSearch(context, options, emit, signal).run())
  },
}
