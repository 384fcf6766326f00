/** The page of a run of the loop: everything that is easier to look at than to read. */
import { readFile } from 'node:fs/promises'
import type { ProblemTree } from '../contracts/records.ts'
import {
  escapeHtml,
  histogram,
  imageHtml,
  intervals,
  lines,
  page,
  type Section,
  scoredStepsHtml,
  tableHtml,
  treeHtml,
} from '../report/index.ts'
import type { Judged, LoopResult, WorkedExample } from './loop.ts'

const TREES = 3
const percent = (x: number) => (100 * x).toFixed(1)

/** An accuracy in [0, 1] with its interval. */
interface Choice {
  name: string
  value: number
  low: number
  high: number
}

/** What may choose, in the order of a table. */
function choicesOf({ results: { policy, prm } }: Judged): Choice[] {
  const choice = (name: string, value: number | null, within?: { low: number | null; high: number | null }) => {
    return { name, value: value ?? 0, low: within?.low ?? 0, high: within?.high ?? 0 }
  }
  const chosen = { majority: policy.majority, 'weighted(mean)': prm.weighted, ...prm.selection, oracle: policy.oracle }
  return [
    ...Object.entries(policy.passAt).map(([k, value]) => choice(`pass@${k}`, value, policy.passWithin[k])),
    ...Object.entries(chosen).map(([name, selected]) => choice(name, selected.accuracy, selected)),
  ]
}

/** One row per choice, one column per PRM. */
export function choiceRows(judged: readonly Judged[]): string[][] {
  const columns = judged.map(choicesOf)
  const cell = ({ value, low, high }: Choice) => `${percent(value)} (${percent(low)}–${percent(high)})`
  const head = ['choice', ...judged.map((j) => `PRM ${j.name}`)]
  return [head, ...(columns[0] ?? []).map(({ name }, i) => [name, ...columns.map((of) => cell(of[i] as Choice))])]
}

/** Accuracy at finding wrong steps, which only made problems can tell. */
export function stepRows(judged: readonly Judged[]): string[][] {
  const head = ['steps against the truth', ...judged.map((j) => `PRM ${j.name}`)]
  const row = (name: string, value: (j: Judged) => number) => [name, ...judged.map((j) => percent(value(j)))]
  return [
    head,
    row('right side of 0.5', (j) => j.steps.accuracy.value),
    row('area under the curve', (j) => j.steps.auc),
    row('first error found', (j) => j.steps.firstErrorFound),
    row('right solution accepted', (j) => j.steps.rightAccepted),
    row('F1 of both', (j) => j.steps.f1),
  ]
}

/** Trees worth looking at: a first error on them, and not too many nodes. */
function showTrees(trees: readonly ProblemTree[]): ProblemTree[] {
  const count = (node: ProblemTree['root']): number => 1 + node.children.reduce((sum, child) => sum + count(child), 0)
  const hasError = (node: ProblemTree['root']): boolean => node.firstError || node.children.some(hasError)
  const good = trees.filter(({ root }) => hasError(root))
  return good.sort((a, b) => Math.abs(count(a.root) - 14) - Math.abs(count(b.root) - 14)).slice(0, TREES)
}

/** Pictures lie in files; the page must stand alone. */
async function embedded(tree: ProblemTree): Promise<ProblemTree> {
  const { image } = tree.problem
  return typeof image === 'string' ? { ...tree, problem: { ...tree.problem, image: await readFile(image) } } : tree
}

async function exampleHtml({ task, solutions }: WorkedExample): Promise<string> {
  const { question, answer, image } = task.problem
  const picture = typeof image === 'string' ? imageHtml(await readFile(image)) : ''
  const parts = solutions.map(({ steps, scores, isRight, chosen }) => {
    const title = `${chosen ? 'chosen' : 'not chosen'}, ${isRight ? 'right' : 'wrong'}`
    return `<h3>${title}</h3>${scoredStepsHtml(steps.map((text, i) => ({ text, score: scores[i] ?? 0 })))}`
  })
  return `${picture}<p>${escapeHtml(question)} <em>(answer ${escapeHtml(answer)})</em></p>${parts.join('')}`
}

const PLOTTED = ['mean_odds', 'mean', 'min', 'product']

function sweepOf({ results: { prm } }: Judged, name: string): (readonly [n: number, accuracy: number])[] {
  return Object.entries(prm.sweep[name] ?? {}).map(([n, accuracy]) => [Number(n), 100 * (accuracy ?? 0)] as const)
}

export async function loopPage(result: LoopResult, note: string): Promise<string> {
  const { judged, manifest, curve, trees, example } = result
  const shipped = judged.at(-1) as Judged
  const sections: Section[] = [
    {
      title: 'Choosing one of 16',
      note: 'Accuracy in % with 95 % bootstrap intervals over problems; the last row is the best that any choice could do.',
      html: `${intervals(choicesOf(shipped), `accuracy in %, PRM ${shipped.name}`)}${tableHtml(choiceRows(judged))}`,
    },
    {
      title: 'By number of candidates',
      html: lines(
        PLOTTED.map((name) => ({ name, points: sweepOf(shipped, name) })),
        `candidates; accuracy in %, PRM ${shipped.name}`,
      ),
    },
    { title: 'Steps against the truth', html: tableHtml(stepRows(judged)) },
    {
      title: 'Labels from search',
      note: `${manifest.labels.count} labels of ${manifest.problems.used} problems; MC is the share of rollouts that end right.`,
      html: histogram(manifest.labels.histogram, 'MC'),
    },
    {
      title: 'Training',
      html: lines([{ name: 'loss', points: curve.map(({ step, loss }) => [step, loss] as const) }], 'step'),
    },
  ]
  if (example) sections.push({ title: 'A worked example', html: await exampleHtml(example) })
  for (const tree of showTrees(trees)) {
    sections.push({ title: `Search tree of ${tree.problem.id}`, html: treeHtml(await embedded(tree)) })
  }
  return page('mm-prm quickstart', note, sections)
}
