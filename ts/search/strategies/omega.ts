/**
 * OmegaPRM (arXiv 2406.06592): from the best open wrong rollout, bisect for its first error, evaluate prefixes by
 * rollouts on the way. One node and one label per step. `compat: "mm-prm"` runs the MM-PRM reference instead.
 */
import { z } from 'zod'
import type { SearchEvent, StopReason } from '../../contracts/events.ts'
import { type Counts, mcValue } from '../../contracts/records.ts'
import { channel, type Emit } from '../channel.ts'
import { Evaluator } from '../evaluator.ts'
import { CandidatePool, type Selection } from '../pool.ts'
import type { SearchContext, Strategy } from '../strategy.ts'
import { distinctSteps, Node } from '../tree.ts'
import { runCompat } from './omega-compat.ts'

const count = z.number().int().positive()

export const omegaOptions = z.strictObject({
  compat: z.enum(['mm-prm']).optional(),
  cPuct: z.number().nonnegative().default(0.125),
  alpha: z.number().positive().max(1).default(0.5),
  beta: z.number().positive().max(1).default(0.9),
  /** L, in words. */
  lengthScale: z.number().positive().default(2000),
  /** k: rollouts per node. */
  numRollouts: count.default(16),
  maxSearches: count.default(200),
  /**
   * How often k may double while exactly one rollout was correct. Where one of all stays the only one, it counts
   * as luck and the step as wrong. 0: any correct rollout makes a step right, as in the reference.
   */
  maxDoublings: z.number().int().min(0).max(6).default(2),
  /**
   * Which steps are evaluated beyond those that the bisection asks for: `negative`: all before the first error;
   * `both`: also those of a correct rollout from the last good node; `none`: they stay without a label.
   */
  fill: z.enum(['none', 'negative', 'both']).default('both'),
  /**
   * Bisections of one tree that run side by side. Selection i sees the results of selections 0 … i − sideBySide, in
   * that order, however long each of them takes: the tree depends on this number, not on timing.
   */
  sideBySide: count.default(1),
})

export type OmegaOptions = z.output<typeof omegaOptions>

interface Found {
  /** Nodes in the order in which their results enter the pool. */
  readonly touched: readonly Node[]
}

class OmegaSearch {
  readonly #context: SearchContext
  readonly #options: OmegaOptions
  readonly #emit: Emit<SearchEvent>
  readonly #evaluator: Evaluator
  readonly #pool: CandidatePool<Node>
  readonly #root = new Node([], [])
  #searches = 0
  #rollouts = 0
  #tokens = 0

  constructor(context: SearchContext, options: OmegaOptions, emit: Emit<SearchEvent>, signal: AbortSignal) {
    this.#context = context
    this.#options = options
    this.#emit = emit
    this.#evaluator = new Evaluator(context, emit, signal)
    this.#pool = new CandidatePool(options)
  }

  async run(): Promise<void> {
    await this.#evaluate(this.#root)
    this.#commit(this.#root)
    const running: Promise<Found>[] = []
    try {
      for (;;) {
        while (running.length < this.#options.sideBySide && !this.#spent(running.length)) {
          const selection = this.#pool.select()
          if (!selection) break
          await this.#announce(selection)
          const search = this.#search(selection)
          search.catch(() => {}) // awaited in its turn, whichever fails first
          running.push(search)
        }
        const oldest = running.shift()
        if (!oldest) break
        for (const node of (await oldest).touched) this.#commit(node)
      }
    } finally {
      await Promise.allSettled(running)
    }
    await this.#emit({
      type: 'finished',
      reason: this.#spent(0) ?? 'exhausted',
      searches: this.#searches,
      rollouts: this.#rollouts,
      tree: { problem: this.#context.problem, root: this.#root.toRecord() },
    })
  }

  /** Which limit is reached, when searches under way are expected to cost what the committed ones did. */
  #spent(numRunning: number): StopReason | undefined {
    const { maxRollouts, maxTokens } = this.#context.budget
    const committed = this.#searches - numRunning
    const expected = committed > 0 ? 1 + numRunning / committed : 1
    if (this.#searches >= this.#options.maxSearches) return 'searches'
    if (this.#rollouts * expected >= maxRollouts) return 'rollouts'
    if (this.#tokens * expected >= maxTokens) return 'tokens'
    return undefined
  }

  #announce({ state, rollout, priority }: Selection<Node>): Promise<void> {
    return this.#emit({ type: 'selected', search: this.#searches++, prefix: state.prefix, rollout, priority })
  }

  /** Bisects a wrong rollout for its first error, then evaluates the steps that are still without a label. */
  async #search({ state, rollout }: Selection<Node>): Promise<Found> {
    const touched: Node[] = []
    const at = (end: number) => state.descend(rollout.slice(0, end + 1))
    at(rollout.length - 1).verdict = false
    let good = state
    let low = 0
    let high = rollout.length - 1
    while (low < high) {
      const mid = (low + high) >> 1
      const node = at(mid)
      touched.push(node)
      const counts = await this.#evaluate(node)
      if (counts.total === 0) return { touched }
      if (this.#isError(counts)) high = mid
      else {
        low = mid + 1
        good = node
      }
    }
    at(high).firstError = true
    if (this.#options.fill !== 'none') touched.push(...(await this.#fill(state, rollout.slice(0, high))))
    if (this.#options.fill === 'both') {
      const right = good.evaluation?.rollouts.find((r) => r.correct)
      if (right) {
        good.descend(right.steps).verdict = true
        touched.push(...(await this.#fill(good, right.steps.slice(0, -1))))
      }
    }
    return { touched }
  }

  /** Evaluates every node along `steps` at once. */
  async #fill(from: Node, steps: readonly string[]): Promise<Node[]> {
    const nodes = steps.map((_, i) => from.descend(steps.slice(0, i + 1)))
    const results = await Promise.allSettled(nodes.map((node) => this.#evaluate(node)))
    for (const result of results) if (result.status === 'rejected') throw result.reason
    return nodes
  }

  async #evaluate(node: Node): Promise<Counts> {
    const { numRollouts, maxDoublings } = this.#options
    const most = numRollouts * 2 ** maxDoublings
    const undecided = ({ correct, total, unparsed, truncated }: Counts) =>
      (total === 0 || correct === 1) && total + unparsed + truncated < most
    node.pending ??= this.#evaluator.evaluate(node.prefix, { numRollouts, undecided })
    node.evaluation = await node.pending
    return node.evaluation.counts
  }

  /** No rollout came right, or just one of more than k. */
  #isError({ correct, total }: Counts): boolean {
    return correct === 0 || (this.#options.maxDoublings > 0 && correct === 1 && total > this.#options.numRollouts)
  }

  /** Counts a node's rollouts once, and opens its wrong ones where the node itself is right. */
  #commit(node: Node): void {
    const evaluation = node.evaluation
    if (node.committed || !evaluation) return
    node.committed = true
    const { counts, rollouts } = evaluation
    this.#rollouts += rollouts.length
    for (const rollout of rollouts) this.#tokens += rollout.numTokens ?? 0
    const isOpen = node === this.#root ? counts.correct > 0 : !this.#isError(counts)
    if (isOpen)
      this.#pool.add(
        node,
        mcValue(counts),
        distinctSteps(rollouts, (r) => r.correct === false),
      )
  }
}

export const omega: Strategy<typeof omegaOptions> = {
  name: 'omega',
  needsScorer: false,
  options: omegaOptions,
  run(context, options) {
    return channel(context.signal, (emit, signal) =>
      options.compat ? runCompat(context, options, emit, signal) : new OmegaSearch(context, options, emit, signal).run(),
    )
  },
}
