/** The tree of a search in the making: one node per step, shared by all rollouts that begin alike. */
import type { Counts, EvaluationRecord, RolloutRecord, TreeNode } from '../contracts/records.ts'

/** What a final answer's verdict counts as. */
export function terminalCounts(correct: boolean): Counts {
  return { correct: correct ? 1 : 0, total: 1, unparsed: 0, truncated: 0 }
}

export class Node {
  readonly prefix: readonly string[]
  readonly steps: readonly string[]
  readonly #children = new Map<string, Node>()
  /** Running or finished evaluation; searches side by side share it. */
  pending: Promise<EvaluationRecord> | undefined
  evaluation: EvaluationRecord | undefined
  /** Verdict, where the node ends in a final answer. */
  verdict: boolean | undefined
  firstError = false
  visits = 0
  /** Its rollouts are counted in the budget and open for selection. */
  committed = false

  constructor(prefix: readonly string[], steps: readonly string[]) {
    this.prefix = prefix
    this.steps = steps
  }

  child(step: string): Node {
    let node = this.#children.get(step)
    if (!node) {
      node = new Node([...this.prefix, step], [step])
      this.#children.set(step, node)
    }
    return node
  }

  /** The node at the end of `steps`, made where it is missing. */
  descend(steps: readonly string[]): Node {
    let node: Node = this
    for (const step of steps) node = node.child(step)
    return node
  }

  get counts(): Counts | null {
    return this.evaluation?.counts ?? (this.verdict === undefined ? null : terminalCounts(this.verdict))
  }

  /** Children sorted by step: their order of insertion may depend on timing. */
  toRecord(): TreeNode {
    const children = [...this.#children.values()].sort((a, b) => compareText(a.steps[0] as string, b.steps[0] as string))
    return {
      steps: this.steps,
      counts: this.counts,
      firstError: this.firstError,
      terminal: this.verdict !== undefined,
      visits: this.visits,
      rollouts: this.evaluation?.rollouts ?? [],
      children: children.map((child) => child.toRecord()),
    }
  }
}

/** By code points, as Python compares strings. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i)
    let y = b.charCodeAt(i)
    if (x === y) continue
    // In UTF-16 the surrogates of astral characters sort below U+E000…U+FFFF.
    if (x >= 0xd800 && y >= 0xd800) {
      if (x >= 0xe000) x -= 0x2000
      else x += 0x2000
      if (y >= 0xe000) y -= 0x2000
      else y += 0x2000
    }
    return x - y
  }
  return a.length - b.length
}

/** Wrong rollouts of a node, without repeats, in order of index. */
export function distinctSteps(rollouts: readonly RolloutRecord[], wanted: (r: RolloutRecord) => boolean): (readonly string[])[] {
  const distinct = new Map<string, readonly string[]>()
  for (const rollout of rollouts) {
    if (!wanted(rollout)) continue
    const key = JSON.stringify(rollout.steps)
    if (!distinct.has(key)) distinct.set(key, rollout.steps)
  }
  return [...distinct.values()]
}
