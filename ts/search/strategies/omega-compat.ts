/**
 * The search of the MM-PRM reference, defects included: tree, order of selections and calls equal its own.
 * A node spans several steps under one label, unparsed rollouts count as wrong and have the shortest length, the last
 * step is judged again, and every search re-scores all open rollouts, which leaves stale entries in the heap.
 */
import type { SearchEvent } from '../../contracts/events.ts'
import type { Rollout } from '../../contracts/policy.ts'
import type { Counts, RolloutRecord, TreeNode } from '../../contracts/records.ts'
import type { Emit } from '../channel.ts'
import { Evaluator } from '../evaluator.ts'
import { Heap } from '../heap.ts'
import { countWords, type PriorityOptions, q, u } from '../priority.ts'
import type { SearchContext } from '../strategy.ts'
import { compareText, distinctSteps, terminalCounts } from '../tree.ts'

export interface CompatOptions extends PriorityOptions {
  readonly numRollouts: number
  readonly maxSearches: number
}

type Steps = readonly string[]

interface State {
  readonly prefix: Steps
  readonly steps: Steps
  readonly terminal: boolean
  counts: Counts
  mc: number
  visits: number
  rollouts: readonly RolloutRecord[]
  occurrence: number
  open: Steps[]
  readonly children: State[]
}

function newState(prefix: Steps, steps: Steps, verdict?: boolean): State {
  return {
    prefix: [...prefix, ...steps],
    steps,
    terminal: verdict !== undefined,
    counts: terminalCounts(verdict ?? false),
    mc: verdict ? 1 : 0,
    visits: 0,
    rollouts: [],
    occurrence: 0,
    open: [],
    children: [],
  }
}

interface Entry {
  readonly negated: number
  readonly state: State
  readonly rollout: Steps
}

/** Python's order of (−priority, state, rollout): states compare by their visits at the time of the comparison. */
function entryLess(a: Entry, b: Entry): boolean {
  if (a.negated !== b.negated) return a.negated < b.negated
  if (a.state !== b.state) return a.state.visits < b.state.visits
  for (let i = 0; i < Math.min(a.rollout.length, b.rollout.length); i++) {
    const order = compareText(a.rollout[i] as string, b.rollout[i] as string)
    if (order !== 0) return order < 0
  }
  return a.rollout.length < b.rollout.length
}

/** The reference's pool: an update pushes again, a pop skips what is out of date. Exported for the benchmark. */
export class CompatPool {
  readonly #heap = new Heap<Entry>(entryLess)
  /** By rollout: a wrong rollout is an object of its own in each state. */
  readonly #priorities = new Map<Steps, number>()

  get isEmpty(): boolean {
    return this.#priorities.size === 0
  }

  update(state: State, rollout: Steps, priority: number): void {
    this.#priorities.set(rollout, priority)
    this.#heap.push({ negated: -priority, state, rollout })
  }

  pop(): { state: State; rollout: Steps; priority: number } | undefined {
    for (let entry = this.#heap.pop(); entry; entry = this.#heap.pop()) {
      const { state, rollout, negated } = entry
      if (this.#priorities.get(rollout) !== -negated) continue
      this.#priorities.delete(rollout)
      state.open = state.open.filter((open) => open !== rollout)
      return { state, rollout, priority: -negated }
    }
    return undefined
  }
}

class CompatSearch {
  readonly #context: SearchContext
  readonly #options: CompatOptions
  readonly #emit: Emit<SearchEvent>
  readonly #evaluator: Evaluator
  readonly #pool = new CompatPool()
  readonly #root = newState([], [])
  readonly #occurrences = new Map<string, number>()
  #searches = 0
  #rollouts = 0

  constructor(context: SearchContext, options: CompatOptions, emit: Emit<SearchEvent>, signal: AbortSignal) {
    this.#context = context
    this.#options = options
    this.#emit = emit
    this.#evaluator = new Evaluator(context, emit, signal)
  }

  async run(): Promise<void> {
    await this.#estimate(this.#root)
    while (this.#searches < this.#options.maxSearches && this.#rollouts < this.#context.budget.maxRollouts) {
      const selected = this.#pool.isEmpty ? undefined : this.#pool.pop()
      if (!selected) break
      const { state, rollout, priority } = selected
      await this.#emit({ type: 'selected', search: this.#searches, prefix: state.prefix, rollout, priority })
      await this.#bisect(state, rollout)
      state.visits++
      this.#searches++
      this.#rescore(this.#root)
    }
    await this.#emit({
      type: 'finished',
      reason: this.#reason(),
      searches: this.#searches,
      rollouts: this.#rollouts,
      tree: { problem: this.#context.problem, root: toRecord(this.#root) },
    })
  }

  #reason() {
    if (this.#searches >= this.#options.maxSearches) return 'searches'
    return this.#rollouts >= this.#context.budget.maxRollouts ? 'rollouts' : 'exhausted'
  }

  async #estimate(state: State): Promise<void> {
    const key = JSON.stringify(state.prefix)
    const occurrence = this.#occurrences.get(key) ?? 0
    this.#occurrences.set(key, occurrence + 1)
    const { numRollouts } = this.#options
    const judge = (rollout: Rollout) => this.#judge([...state.prefix, ...rollout.steps])
    const evaluation = await this.#evaluator.evaluate(state.prefix, { numRollouts, occurrence, judge })
    state.rollouts = evaluation.rollouts
    state.occurrence = occurrence
    state.counts = evaluation.counts
    state.mc = state.counts.correct / state.counts.total
    this.#rollouts += numRollouts
    for (const steps of distinctSteps(state.rollouts, (r) => r.correct === true)) {
      state.children.push(newState(state.prefix, steps, true))
    }
    state.open = distinctSteps(state.rollouts, (r) => r.correct !== true)
    this.#offer(state)
  }

  /** Whatever was written last is taken for the answer. */
  async #judge(steps: Steps): Promise<{ answer: string | null; correct: boolean }> {
    const { answer, correct } = await this.#evaluator.verdictOn(steps)
    return { answer, correct: correct === true }
  }

  async #bisect(from: State, rollout: Steps): Promise<void> {
    let state = from
    let left = 0
    let right = rollout.length - 1
    while (left <= right) {
      const mid = (left + right) >> 1
      const steps = rollout.slice(left, mid + 1)
      if (left === right && left === rollout.length - 1) {
        const { correct } = await this.#judge([...from.prefix, ...rollout])
        state.children.push(newState(state.prefix, steps, correct))
        return
      }
      const child = newState(state.prefix, steps)
      state.children.push(child)
      await this.#estimate(child)
      if (child.mc === 0) right = mid - 1
      else {
        state = child
        left = mid + 1
      }
    }
  }

  #offer(state: State): void {
    if (state.mc === 0) return
    for (const rollout of state.open) {
      const priority = q(state.mc, countWords(rollout), this.#options) + u(this.#searches, state.visits, this.#options)
      this.#pool.update(state, rollout, priority)
    }
  }

  #rescore(state: State): void {
    this.#offer(state)
    for (const child of state.children) this.#rescore(child)
  }
}

function toRecord({ mc, children, occurrence, steps, counts, terminal, visits, rollouts }: State): TreeNode {
  const node = { steps, counts, firstError: mc === 0, terminal, visits, rollouts, children: children.map(toRecord) }
  return occurrence > 0 ? { ...node, occurrence } : node
}

export function runCompat(
  context: SearchContext,
  options: CompatOptions,
  emit: Emit<SearchEvent>,
  signal: AbortSignal,
): Promise<void> {
  return new CompatSearch(context, options, emit, signal).run()
}
