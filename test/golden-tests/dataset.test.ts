/** Samples that the reference's pipeline makes of its own trees, and its text form. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TreeNode } from '../../ts/contracts/records.ts'
import { markerLabels, processText, traverse } from '../../ts/dataset/index.ts'
import { GOLDEN_ROOT, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('omega')

// biome-ignore lint/suspicious/noExplicitAny: the reference's own tree
function toNode(tree: any): TreeNode {
  // The reference stores MC values, not counts: any counts with that ratio will do.
  const total = 720720
  return {
    steps: tree.partial_solution ?? [],
    counts: { correct: Math.round(tree.mc_value * total), total, unparsed: 0, truncated: 0 },
    firstError: false,
    terminal: false,
    visits: tree.visit_count,
    rollouts: [],
    children: tree.children.map(toNode),
  }
}

const sorted = (list: { process: string; labels: number[] }[]) =>
  list.map((s) => JSON.stringify([s.process, s.labels.map((l) => l.toFixed(5))])).sort()
const folder = join(GOLDEN_ROOT, 'omega')

test('samples of every tree', () => {
  let ran = 0
  for (const file of readdirSync(folder).filter((f) => f.endsWith('.json'))) {
    const { problem, tree, samples } = readJson(join(folder, file))
    const target = { id: problem.id, question: problem.question, answer: problem.correct_answer, image: problem.image_path }
    const options = { afterError: 'cut', label: 'soft', maxShortWords: 10, seed: 0 } as const
    const all = traverse({ problem: target, root: toNode(tree) }, { ...options, balance: 'none' })
    assert.is(all.samples.length > 0, samples.kept, `${file}: kept`)
    ran++
    if (!samples.kept) continue
    const rows = (kind: string) =>
      all.samples.filter((s) => s.kind === kind).map((s) => ({ process: processText(s.steps), labels: markerLabels(s.steps) }))
    assert.equal(sorted(rows('negative')), sorted(samples.negatives), `${file}: negatives`)
    assert.equal(sorted(rows('positive')), sorted(samples.positives), `${file}: positives`)
    const cut = traverse({ problem: target, root: toNode(tree) }, { ...options, balance: 'negatives' })
    assert.is(cut.samples.filter((s) => s.kind === 'positive').length, samples.positivesKept, `${file}: positives kept`)
  }
  console.log(`golden/omega samples: ${ran} cases ran`)
  assert.ok(ran > 0)
})

test.run()
