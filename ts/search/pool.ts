/**
 * The open (state, wrong rollout) pairs, best Q + U first.
 * U depends on a state's visits N and on the total alone, so states of equal N keep their order by Q whatever the
 * total is: one heap per N, and a selection compares their tops. INVARIANT: a selection raises N by one and uses up
 * one rollout, so there are at most as many heaps as a node has rollouts; an update costs O(log n), and nothing is
 * ever scored again.
 */
import { Heap } from './heap.ts'
import { countWords, type PriorityOptions, q, u } from './priority.ts'

interface Open {
  readonly steps: readonly string[]
  readonly q: number
}

interface Entry<S> {
  readonly state: S
  /** Order of arrival breaks ties. */
  readonly order: number
  /** Open rollouts, worst Q first: the next one is popped from the end. */
  readonly open: Open[]
}

export interface Selection<S> {
  readonly state: S
  readonly rollout: readonly string[]
  readonly priority: number
}

export class CandidatePool<S extends { visits: number }> {
  readonly #options: PriorityOptions
  readonly #heaps: (Heap<Entry<S>> | undefined)[] = []
  #totalVisits = 0
  #arrived = 0

  constructor(options: PriorityOptions) {
    this.#options = options
  }

  /** Opens a state of Monte Carlo value `mc` for selection. */
  add(state: S, mc: number, rollouts: readonly (readonly string[])[]): void {
    const open = rollouts.map((steps, index) => ({ steps, index, q: q(mc, countWords(steps), this.#options) }))
    open.sort((a, b) => a.q - b.q || b.index - a.index)
    if (open.length > 0) this.#push({ state, order: this.#arrived++, open })
  }

  /** Takes the best pair out and counts the visit: N(s) += 1. */
  select(): Selection<S> | undefined {
    let best: { heap: Heap<Entry<S>>; priority: number } | undefined
    for (let visits = 0; visits < this.#heaps.length; visits++) {
      const heap = this.#heaps[visits]
      const top = heap?.peek()
      if (!heap || !top) continue
      const priority = topQ(top) + u(this.#totalVisits, visits, this.#options)
      if (!best || priority > best.priority) best = { heap, priority }
    }
    const entry = best?.heap.pop()
    const chosen = entry?.open.pop()
    if (!best || !entry || !chosen) return undefined
    entry.state.visits++
    this.#totalVisits++
    if (entry.open.length > 0) this.#push(entry)
    return { state: entry.state, rollout: chosen.steps, priority: best.priority }
  }

  #push(entry: Entry<S>): void {
    const heap = (this.#heaps[entry.state.visits] ??= new Heap((a, b) => {
      const difference = topQ(a) - topQ(b)
      return difference > 0 || (difference === 0 && a.order < b.order)
    }))
    heap.push(entry)
  }
}

function topQ<S>(entry: Entry<S>): number {
  return (entry.open.at(-1) as Open).q
}
