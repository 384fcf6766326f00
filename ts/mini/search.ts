/** Step labels of Mini-K12 problems: search with a policy, then the soft-label data set of its trees. */
import type { Policy } from '../contracts/policy.ts'
import type { Problem } from '../contracts/problem.ts'
import { mcValue, type ProblemTree, type TreeNode } from '../contracts/records.ts'
import { buildDataset, type DatasetManifest, type DatasetOptions } from '../dataset/index.ts'
import { runSearch, type SearchProgress } from '../search/runner.ts'
import { type OmegaOptions, omega, omegaOptions } from '../search/strategies/omega.ts'
import { openRun } from '../store/reader.ts'
import { SqliteRunStore } from '../store/sqlite.ts'
import { checkSteps } from '../tasks/index.ts'
import { ruleVerifier } from '../verify/index.ts'
import type { MiniTask } from './problems.ts'

const IN_FLIGHT = 64
/** Many labels of few rollouts teach more here than few labels of many. */
const OPTIONS: Partial<OmegaOptions> = { numRollouts: 8, maxDoublings: 1 }

const verifier = ruleVerifier()

export interface MiniSearch {
  policy: Policy
  problems: readonly Problem[]
  /** Run directory; a run that was stopped there goes on. */
  out: string
  seed: number
  /** Per problem. */
  maxRollouts: number
  options?: Partial<OmegaOptions>
  signal?: AbortSignal
  onProgress?: (progress: Readonly<SearchProgress>) => void
}

export async function searchMini(search: MiniSearch): Promise<SearchProgress> {
  const { policy, problems, out, seed, maxRollouts, signal, onProgress } = search
  const options = omegaOptions.parse({ ...OPTIONS, ...search.options })
  const budget = { maxRollouts, maxTokens: Number.MAX_SAFE_INTEGER }
  const identity = { seed, strategy: omega.name, options, budget, policy: policy.identity, verifier: verifier.name, scorer: null }
  const store = SqliteRunStore.open({ folder: out, identity, resume: true })
  try {
    return await runSearch({
      ...{ problems, strategy: omega, options, budget, seed, policy, verifier, store, inFlight: IN_FLIGHT },
      ...(signal && { signal }),
      ...(onProgress && { onProgress }),
    })
  } finally {
    await store.close()
  }
}

/** Trees of a run's finished problems. */
export async function readTrees(run: string): Promise<ProblemTree[]> {
  const reader = openRun(run)
  try {
    const trees: ProblemTree[] = []
    for await (const tree of reader.trees()) trees.push(tree)
    return trees
  } finally {
    reader.close()
  }
}

/** The data set of a run's trees in `folder`, wrong paths to their ends. Mini-K12's steps are short: no path is dropped for that. */
export function miniDataset(
  trees: readonly ProblemTree[],
  folder: string,
  options: DatasetOptions = {},
  source: unknown = null,
): Promise<DatasetManifest> {
  const all = async function* () {
    yield* trees
  }
  return buildDataset({ trees: all, out: folder, maxShortWords: 0, afterError: 'wrong', ...options, source })
}

export const countRollouts = (node: TreeNode): number =>
  node.rollouts.length + node.children.reduce((sum, child) => sum + countRollouts(child), 0)

export interface LabelAccuracy {
  labels: number
  /** Share of labels that say what is true of their step: above 0 for right ones, 0 for wrong ones. */
  agree: number
  /** Steps that the search took for the first error of their path, and the share of those that are. */
  firstErrors: number
  firstErrorsRight: number
  rollouts: number
}

/** Labels against the truth. A node of several steps (compat) is read as the label of each of them. */
export function labelAccuracy(trees: readonly ProblemTree[], taskOf: (id: string) => MiniTask): LabelAccuracy {
  const sums = { labels: 0, right: 0, firstErrors: 0, firstErrorsRight: 0 }
  const walk = (node: TreeNode, before: readonly string[], task: MiniTask): void => {
    const prefix = [...before, ...node.steps]
    if (node.steps.length > 0 && node.counts && node.counts.total > 0) {
      const truth = truthOf(task, prefix, node.terminal)
      const saysRight = mcValue(node.counts) > 0 && !node.firstError
      for (let i = before.length; i < prefix.length; i++) {
        sums.labels++
        if (truth[i] === saysRight) sums.right++
      }
      if (!saysRight) {
        sums.firstErrors++
        if (truth.indexOf(false) === prefix.length - 1) sums.firstErrorsRight++
        return
      }
    }
    for (const child of node.children) walk(child, prefix, task)
  }
  for (const tree of trees) walk(tree.root, [], taskOf(tree.problem.id))
  return {
    labels: sums.labels,
    agree: sums.right / sums.labels,
    firstErrors: sums.firstErrors,
    firstErrorsRight: sums.firstErrorsRight / sums.firstErrors,
    rollouts: trees.reduce((sum, tree) => sum + countRollouts(tree.root), 0),
  }
}

/** Truth about every step of a path; in a path that ends, the last one is the answer block. */
function truthOf({ mini }: MiniTask, path: readonly string[], ends: boolean): boolean[] {
  if (!ends) return checkSteps(mini, path)
  return checkSteps(mini, path.slice(0, -1), verifier.extract(path.at(-1) ?? '') ?? '')
}
