/** Groups: the next steps of one prefix that a search has evaluated, each with its label. */
import { shownQuestion } from '../contracts/problem.ts'
import type { Counts, ProblemTree, TreeNode } from '../contracts/records.ts'
import { groupSimilar } from '../contracts/similar.ts'
import { type LabelKind, type LabelOptions, labelOf } from './labels.ts'
import type { LabelledStep, Sample } from './sample.ts'

/** Counts of each child with those of its similar siblings: what the label `grouped` is made from. */
export function pooledCounts(children: readonly TreeNode[]): (Counts | null)[] {
  const pooled: (Counts | null)[] = children.map(({ counts }) => counts)
  for (const group of groupSimilar(children.map(({ steps }) => steps.join('\n\n')))) {
    const counts = group.flatMap((i) => children[i]?.counts ?? [])
    if (counts.length < 2) continue
    const sum = (key: keyof Counts) => counts.reduce((total, each) => total + each[key], 0)
    const all = { correct: sum('correct'), total: sum('total'), unparsed: sum('unparsed'), truncated: sum('truncated') }
    for (const i of group) if (children[i]?.counts) pooled[i] = all
  }
  return pooled
}

/** Every prefix with at least two judged next steps; equal labels are no group, for there is nothing to rank. */
export function groupsOf({ problem, root }: ProblemTree, o: LabelOptions & { label: LabelKind }): Sample[] {
  const asked = { ...problem, question: shownQuestion(problem) }
  const samples: Sample[] = []
  const visit = (node: TreeNode, prefix: readonly LabelledStep[], above: Counts | null) => {
    const parent = node.counts ?? above
    const pooled = o.label === 'grouped' ? pooledCounts(node.children) : node.children.map(({ counts }) => counts)
    const siblings = node.children.flatMap(({ steps, counts }, i): LabelledStep[] => {
      const [text, evidence] = [steps.join('\n\n'), pooled[i]]
      if (!counts || !evidence || counts.total === 0 || !parent) return []
      return [{ text, label: labelOf(o.label, { counts: evidence, parent }, o), counts, weight: 1 }]
    })
    if (siblings.length > 1 && siblings.some(({ label }) => label !== siblings[0]?.label))
      samples.push({ id: `${problem.id}#${samples.length}`, problem: asked, kind: 'group', steps: prefix, siblings })
    for (const child of node.children) {
      const texts = child.steps.map((text) => ({ text, label: null, counts: null, weight: 1 }))
      visit(child, [...prefix, ...texts], parent)
    }
  }
  visit(root, [], null)
  return samples
}
