/**
 * Labels against the truth, on a simulated policy whose every step is known to be right or wrong: the default search
 * and the reference's, at the same budget of rollouts.
 *
 *   node --import tsx bench/search/label-accuracy.bench.ts [--problems N]
 */
import { parseArgs } from 'node:util'
import { NOTHING_KNOWN, UNLIMITED } from '../../test/helpers/search.ts'
import {
  DEFAULT_SIMULATION,
  isWrongStep,
  simulate,
  simulatedProblem,
  simulatedVerifier,
} from '../../test/helpers/simulated-policy.ts'
import { type Counts, mcValue, type TreeNode } from '../../ts/contracts/records.ts'
import { streamsOf } from '../../ts/contracts/streams.ts'
import { scriptedPolicy } from '../../ts/policy/scripted.ts'
import { type OmegaOptions, omega, omegaOptions } from '../../ts/search/strategies/omega.ts'
import { type Measurement, writeResults } from '../results.ts'

const { values } = parseArgs({ options: { problems: { type: 'string', default: '200' } } })
const NUM_PROBLEMS = Number(values.problems)
const BUDGET = 400

interface Tally {
  rollouts: number
  searches: number
  /** Labels, and how many of them agree with the truth of the step they stand at (MC > 0 against no error so far). */
  labels: number
  right: number
  /** Steps on labelled paths, when a node's label is read for each of its steps, as a scorer of every step does. */
  steps: number
  stepsRight: number
  /** Nodes said to be wrong, and how many of them end in the path's true first error. */
  errors: number
  errorsRight: number
}

/** The labels that a dataset would hold: a path goes down to the first node that is said to be wrong. */
function addNode(tally: Tally, node: TreeNode, before: readonly string[]): void {
  const prefix = [...before, ...node.steps]
  const isLabelled = node.steps.length > 0 && node.counts !== null && node.counts.total > 0
  const saysRight = !isLabelled || (mcValue(node.counts as Counts) > 0 && !node.firstError)
  if (isLabelled) {
    tally.labels++
    if (saysRight === !prefix.some(isWrongStep)) tally.right++
    for (let end = before.length + 1; end <= prefix.length; end++) {
      tally.steps++
      if (saysRight === !prefix.slice(0, end).some(isWrongStep)) tally.stepsRight++
    }
    if (!saysRight) {
      tally.errors++
      if (isWrongStep(prefix.at(-1) as string) && !prefix.slice(0, -1).some(isWrongStep)) tally.errorsRight++
    }
  }
  if (saysRight) for (const child of node.children) addNode(tally, child, prefix)
}

async function measure(options: Partial<OmegaOptions>): Promise<Tally> {
  const tally: Tally = { rollouts: 0, searches: 0, labels: 0, right: 0, steps: 0, stepsRight: 0, errors: 0, errorsRight: 0 }
  const policy = scriptedPolicy(simulate)
  for (let i = 0; i < NUM_PROBLEMS; i++) {
    const problem = simulatedProblem(i)
    const context = {
      ...{ problem, policy, verifier: simulatedVerifier, rng: streamsOf(11, problem.id), known: NOTHING_KNOWN },
      budget: { ...UNLIMITED, maxRollouts: BUDGET },
    }
    for await (const event of omega.run(context, omegaOptions.parse(options))) {
      if (event.type !== 'finished') continue
      tally.rollouts += event.rollouts
      tally.searches += event.searches
      if (event.tree) addNode(tally, event.tree.root, [])
    }
  }
  return tally
}

const VARIANTS: Record<string, Partial<OmegaOptions>> = {
  'compat mm-prm': { compat: 'mm-prm' },
  'default, reference rule': { maxDoublings: 0, fill: 'none' },
  'default, no fill': { fill: 'none' },
  'default, fill negative': { fill: 'negative' },
  default: {},
}

const percent = (part: number, whole: number) => (100 * part) / Math.max(1, whole)
const rows: Record<string, Record<string, number>> = {}
for (const [name, options] of Object.entries(VARIANTS)) {
  const t = await measure(options)
  rows[name] = {
    'rollouts/problem': Math.round(t.rollouts / NUM_PROBLEMS),
    'searches/problem': Number((t.searches / NUM_PROBLEMS).toFixed(1)),
    'labels/problem': Number((t.labels / NUM_PROBLEMS).toFixed(1)),
    'label accuracy %': Number(percent(t.right, t.labels).toFixed(2)),
    'step accuracy %': Number(percent(t.stepsRight, t.steps).toFixed(2)),
    'first error found %': Number(percent(t.errorsRight, t.errors).toFixed(2)),
    'rollouts/label': Number((t.rollouts / Math.max(1, t.labels)).toFixed(1)),
  }
}
console.table(rows)
const measurements: Measurement[] = Object.entries(rows).map(([name, row]) => {
  const accuracy = row['step accuracy %'] as number
  return {
    name: `label accuracy per step: ${name}`,
    unit: '%',
    median: accuracy,
    p95: accuracy,
    samples: NUM_PROBLEMS,
    details: row,
  }
})
writeResults(
  'search-label-accuracy',
  { problems: NUM_PROBLEMS, budget: BUDGET, rolloutsPerNode: 16, simulation: DEFAULT_SIMULATION },
  measurements,
)
