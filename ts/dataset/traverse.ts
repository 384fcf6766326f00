/**
 * From a search tree to samples (rules of the MM-PRM data pipeline): a problem counts where 0 < MC(root) < 1; a
 * path ends at its first node with MC = 0 (negative) or at a leaf with MC > 0 (positive); equal texts once; paths
 * of up to `maxShortWords` words dropped; positives cut to the number of negatives, and both to `maxPaths`, seeded.
 */
import { shownQuestion } from '../contracts/problem.ts'
import { seededRandom } from '../contracts/random.ts'
import { type Counts, mcValue, type ProblemTree, type TreeNode } from '../contracts/records.ts'
import { groupsOf, pooledCounts } from './groups.ts'
import { type LabelKind, type LabelOptions, labelOf } from './labels.ts'
import type { LabelledStep, Sample } from './sample.ts'

export interface TraverseOptions extends LabelOptions {
  /** Solutions and their beginnings, or the next steps of one prefix side by side. */
  samples?: 'paths' | 'groups'
  label: LabelKind
  /** Paths with this many words or fewer are dropped. Reference: 10. */
  maxShortWords: number
  /** `negatives`: at most as many positives as negatives per problem (the reference's rule); `none`: all. */
  balance: 'negatives' | 'none'
  /**
   * Steps of a wrong solution behind its first error. `cut` (the reference's rule): left out. `wrong`: kept with the label
   * 0, whatever the kind of the others. WHY: a PRM that has never seen what follows an error gives it any score at all,
   * and every aggregation but `min` counts it.
   */
  afterError: 'cut' | 'wrong'
  /** At most so many samples of a problem, half of them positives where there are as many. */
  maxPaths?: number | undefined
  seed: string | number
}

export interface Traversal {
  samples: Sample[]
  dropped: {
    unsolved: number
    alwaysSolved: number
    duplicates: number
    short: number
    surplusPositives: number
    surplusPaths: number
  }
}

type Step = Omit<LabelledStep, 'weight'>
interface Path {
  kind: Sample['kind']
  steps: readonly Step[]
}

/** Paths in depth-first order. A node without counts passes through; a leaf without counts is no evidence. */
/** @param evidence what the node's label is made from */
function* paths(
  node: TreeNode,
  above: readonly Step[],
  parent: Counts,
  o: TraverseOptions,
  evidence = node.counts,
): Generator<Path> {
  const { counts } = node
  const steps = [...above]
  node.steps.forEach((text, i) => {
    const isLast = i === node.steps.length - 1
    const label = isLast && evidence ? labelOf(o.label, { counts: evidence, parent }, o) : null
    steps.push({ text, label, counts: isLast ? counts : null, ...(isLast && node.terminal && { terminal: true as const }) })
  })
  if (counts && mcValue(counts) === 0 && judged(counts)) {
    if (steps.length === 0) return
    if (o.afterError === 'wrong') yield* wrongEnds(node, steps)
    else yield { kind: 'negative', steps }
    return
  }
  if (node.children.length === 0) {
    if (counts && mcValue(counts) > 0 && steps.length > 0) yield { kind: 'positive', steps }
    return
  }
  const pooled = o.label === 'grouped' ? pooledCounts(node.children) : undefined
  for (const [i, child] of node.children.entries()) yield* paths(child, steps, counts ?? parent, o, pooled?.[i] ?? child.counts)
}

/** From a node that leads nowhere along the wrong rollouts that the search took through it. */
function* wrongEnds(node: TreeNode, steps: readonly Step[]): Generator<Path> {
  if (node.children.length === 0) yield { kind: 'negative', steps }
  for (const child of node.children) {
    const behind = child.steps.map((text, i) => {
      const isLast = i === child.steps.length - 1
      return {
        text,
        label: 0,
        counts: isLast ? child.counts : null,
        ...(isLast && child.terminal && { terminal: true as const }),
      }
    })
    yield* wrongEnds(child, [...steps, ...behind])
  }
}

/** MC = 0 needs rollouts that were judged: unparsed and truncated ones prove nothing. */
const judged = (counts: Counts) => counts.total > 0

const textOf = (steps: readonly Step[]) => steps.map((s) => s.text).join('\n\n')
const countWords = (text: string) => text.split(/\s+/).filter((w) => w !== '').length

/** Same path, same labels: a node of several steps and one of each are different samples. */
const keyOf = (path: Path) => `${textOf(path.steps)}\n${path.steps.map((s) => s.label !== null).join()}`

function keepSome<T>(items: readonly T[], count: number, seed: string): T[] {
  if (items.length <= count) return [...items]
  const random = seededRandom(seed)
  const order = items.map((item, i) => ({ item, i, at: random() })).sort((a, b) => a.at - b.at)
  return order
    .slice(0, count)
    .sort((a, b) => a.i - b.i)
    .map((o) => o.item)
}

function atMost(max: number | undefined, negatives: readonly Path[], positives: readonly Path[], seed: string): Path[] {
  if (max === undefined) return [...negatives, ...positives]
  const right = Math.min(positives.length, Math.max(Math.floor(max / 2), max - negatives.length))
  return [...keepSome(negatives, max - right, `${seed} -`), ...keepSome(positives, right, `${seed} +`)]
}

/** Each (prefix, step) label counts once in all: samples that share it share its weight. */
function weigh(kept: readonly Path[]): LabelledStep[][] {
  const uses = new Map<string, number>()
  const keys = kept.map(({ steps }) => {
    let prefix = ''
    return steps.map((s) => {
      prefix += `\n\n${s.text}`
      uses.set(prefix, (uses.get(prefix) ?? 0) + (s.label === null ? 0 : 1))
      return prefix
    })
  })
  return kept.map(({ steps }, i) =>
    steps.map((s, j) => ({ ...s, weight: 1 / Math.max(1, uses.get(keys[i]?.[j] as string) as number) })),
  )
}

/** One problem's samples, by the rules above, and what was left out. Pure; seeded where it chooses. */
export function traverse(tree: ProblemTree, o: TraverseOptions): Traversal {
  const { problem, root } = tree
  const dropped = { unsolved: 0, alwaysSolved: 0, duplicates: 0, short: 0, surplusPositives: 0, surplusPaths: 0 }
  const rate = root.counts ? mcValue(root.counts) : 0
  if (rate === 0 || rate === 1 || !root.counts) {
    dropped[rate === 1 ? 'alwaysSolved' : 'unsolved']++
    return { samples: [], dropped }
  }
  if (o.samples === 'groups') return { samples: groupsOf(tree, o), dropped }
  const seen = new Set<string>()
  const kept: Path[] = []
  for (const path of paths(root, [], root.counts, o)) {
    const key = keyOf(path)
    if (seen.has(key)) dropped.duplicates++
    else if (countWords(textOf(path.steps)) <= o.maxShortWords) dropped.short++
    else kept.push(path)
    seen.add(key)
  }
  const negatives = kept.filter((p) => p.kind === 'negative')
  const positives = kept.filter((p) => p.kind === 'positive')
  const balanced = o.balance === 'none' ? positives : keepSome(positives, negatives.length, `${o.seed} ${problem.id}`)
  dropped.surplusPositives = positives.length - balanced.length
  const chosen = atMost(o.maxPaths, negatives, balanced, `${o.seed} ${problem.id} paths`)
  dropped.surplusPaths = negatives.length + balanced.length - chosen.length
  // WHY: the solutions were written by a policy that was shown the options of a choice question.
  const asked = { ...problem, question: shownQuestion(problem) }
  const samples = weigh(chosen).map((steps, i) => {
    return { id: `${problem.id}#${i}`, problem: asked, kind: (chosen[i] as Path).kind, steps }
  })
  return { samples, dropped }
}
