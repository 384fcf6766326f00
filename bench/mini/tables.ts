/** Documents made from the results: the page of findings, the README's table, the cards of the models. */
import { AGGREGATIONS, type Estimate, type SelectionRow } from '../../ts/select/index.ts'
import type { Judgement, MiniResults, Variant } from './results.ts'

/** Nothing is said where nothing could be measured (JSON turns NaN to null). */
const percent = (x: number) => (Number.isFinite(x) ? (100 * x).toFixed(1) : '-')
const cell = ({ value, low, high }: Estimate) => `${percent(value)} (${percent(low)} to ${percent(high)})`

export function markdown(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...body.map(line)].join('\n')
}

const rowOf = (judgement: Judgement, name: string) => (judgement.rows.find((row) => row.name === name) as SelectionRow).estimate
const variantOf = (results: MiniResults, name: string) => results.variants.find((v) => v.name === name) as Variant

/** On the policy's own candidates for problems of the trained kinds: where every variant was measured. */
const atHome = (variant: Variant) => variant.judgements.find((j) => j.policy === 'policy' && j.set === 'in-domain') as Judgement

const CHOICES = ['pass@1', 'majority', 'weighted(mean)', ...AGGREGATIONS, 'oracle']
const SET_NAMES = { 'policy/in-domain': 'policy, in domain', 'policy/out-of-domain': 'policy, out of domain', 'weak/in-domain': 'weaker policy, in domain', 'weak/out-of-domain': 'weaker policy, out of domain' } as const // biome-ignore format: a table

function bestOfTable(variant: Variant): string {
  const titles = variant.judgements.map((j) => SET_NAMES[`${j.policy}/${j.set}`])
  return markdown([
    ['choice of 16', ...titles],
    ...CHOICES.map((name) => [name, ...variant.judgements.map((j) => cell(rowOf(j, name)))]),
  ])
}

function sweepTable(variant: Variant): string {
  const { sweep } = atHome(variant)
  const sizes = sweep[0]?.sizes ?? []
  return markdown([
    ['choice', ...sizes.map((s) => `N = ${s.n}`)],
    ...sweep.map((s) => [s.name, ...s.sizes.map((x) => cell(x.estimate))]),
  ])
}

function variantTable(results: MiniResults, names: readonly string[]): string {
  const rows = names.map((name) => {
    const variant = variantOf(results, name)
    const judgement = atHome(variant)
    const { steps } = judgement
    return [
      name,
      String(variant.samples),
      String(variant.training.steps),
      ...['mean_odds', 'mean', 'min'].map((choice) => cell(rowOf(judgement, choice))),
      percent(steps.auc),
      percent(steps.f1),
    ]
  })
  return markdown([['PRM', 'samples', 'steps', 'mean_odds', 'mean', 'min', 'AUC of steps', 'F1 of first errors'], ...rows])
}

const found = ({ count, found }: { count: number; found: number }) => (count > 0 ? `${percent(found / count)} of ${count}` : '-')

function stepTable(variant: Variant): string {
  const rows = variant.judgements.map(({ policy, set, steps }) => [
    SET_NAMES[`${policy}/${set}`],
    String(steps.steps),
    percent(steps.wrongSteps / steps.steps),
    cell(steps.accuracy),
    percent(steps.auc),
    percent(steps.firstErrorFound),
    found(steps.mistakes),
    found(steps.otherErrors),
    percent(steps.rightAccepted),
    percent(steps.f1),
  ])
  const head = [
    'candidates',
    'steps',
    'wrong, %',
    'right side of 0.5',
    'AUC',
    'first error found',
    'of common mistakes',
    'of other errors',
    'right solution accepted',
    'F1',
  ]
  return markdown([head, ...rows])
}

function searchTable({ search }: MiniResults): string {
  const row = (name: string, a: MiniResults['search']['default']) => [
    name,
    String(a.rollouts),
    String(a.labels),
    percent(a.agree),
    String(a.firstErrors),
    percent(a.firstErrorsRight),
  ]
  return markdown([
    ['search', 'rollouts', 'labels', 'agree with the truth, %', 'first errors', 'truly the first, %'],
    row('default, all problems', search.default),
    row('default, as many rollouts as compat', search.defaultEqual),
    row('compat mm-prm', search.compat),
  ])
}

function noveltyTable({ byNovelty }: MiniResults): string {
  const shown = ['pass@1', 'majority', 'weighted(mean)', 'mean', 'mean_odds', 'min', 'oracle']
  const names = { policy: 'policy', weak: 'weaker policy' }
  const value = (rows: readonly SelectionRow[], name: string) =>
    cell((rows.find((r) => r.name === name) as SelectionRow).estimate)
  return markdown([
    ['new', ...shown],
    ...byNovelty.map(({ policy, novelty, rows }) => [`${novelty}, ${names[policy]}`, ...shown.map((name) => value(rows, name))]),
  ])
}

function passTable({ passAt1 }: MiniResults): string {
  const families = [...new Set(passAt1.map((p) => p.family))]
  const columns = (['policy', 'weak'] as const).flatMap((policy) =>
    (['new', 'seen'] as const).map((pictures) => ({ policy, pictures })),
  )
  const of = (family: string) => passAt1.filter((p) => p.family === family)
  const value = (rows: MiniResults['passAt1'], { policy, pictures }: (typeof columns)[number]) => {
    const some = rows.filter((p) => p.policy === policy && p.pictures === pictures)
    return percent(some.reduce((sum, p) => sum + p.value * p.n, 0) / some.reduce((sum, p) => sum + p.n, 0))
  }
  const inDomain = families.filter((family) => of(family).some((p) => p.pictures === 'seen'))
  return markdown([
    ['family', ...columns.map(({ policy, pictures }) => `${policy === 'weak' ? 'weaker policy' : policy}, ${pictures} pictures`)],
    ...families.map((family) => [family, ...columns.map((column) => value(of(family), column))]),
    ['all in domain', ...columns.map((column) => value(inDomain.flatMap(of), column))],
  ])
}

export const samplesOf = ({ plan }: MiniResults) => plan.policy.samples.reduce((sum, n) => sum + n, 0).toLocaleString('en')

function timesOf({ machine: { cpu, threads }, seconds }: MiniResults): string {
  const minutes = (s: number) => `${(s / 60).toFixed(0)} min`
  const total = Object.values(seconds).reduce((sum, s) => sum + s, 0)
  const stages = Object.entries(seconds).map(([stage, s]) => `${stage} ${minutes(s)}`)
  return `All of it took ${minutes(total)} on ${threads} threads of ${cpu}: ${stages.join(', ')}.`
}

/** What came out, in the results' own words: nothing here is written by hand. */
export function findings(results: MiniResults): string {
  const soft = variantOf(results, 'soft')
  const { plan, testPictures } = results
  return `# Findings at small scale

Made by \`npm run reproduce:mini\` from [mini.json](../results/mini.json); seed ${plan.seed}, everything below is of that run.
A policy of 4.9 million parameters (${samplesOf(results)} written solutions seen once; after the first ${plan.policy.samples[0].toLocaleString('en')} it was the weaker policy), ${plan.search.problems} problems searched with
up to ${plan.search.rollouts} rollouts each, ${plan.test.inDomain} test problems in domain and ${plan.test.outOfDomain} out of domain, ${plan.test.candidates} candidates each. Accuracies in %, with
95 % bootstrap intervals over problems.

Pictures are split, not problems alone: there are few of some (a clock that shows half hours: 24), and another seed draws
them again. A fifth of them is kept for tests; the policies, the search and the PRMs saw the others. The test problems show
${testPictures['in-domain']} and ${testPictures['out-of-domain']} different pictures.

${timesOf(results)}

The policy errs in two ways. It misreads pictures, since it is small; and it reasons wrong, because the solutions that it
learnt from do, as people's do: in a set share of them the writer makes the common mistake of that kind of problem (does not
carry the hour, adds the sides of a rectangle, stops before the last division …). Search and PRM are told nothing of either.

## Best of 16

${bestOfTable(soft)}

### Out of domain, by what is new

Pictures: known questions about a clock without numbers and about points on paper without lines; what these show, a time or
two points, training has mostly seen in its own pictures. Tasks: a table to read and a number line, of which no picture and
no question was ever seen.

${noveltyTable(results)}

### Trained on fewer problems, with soft and with hard labels

${bestOfTable(variantOf(results, 'soft, fewer problems'))}

${bestOfTable(variantOf(results, 'hard'))}

## By number of candidates

${sweepTable(soft)}

## Step scores against the truth

The generator knows which step is wrong. First errors as in ProcessBench: a threshold of 0.5, F1 of finding the first
wrong step and of accepting right solutions. A soft score is the share of rollouts that end right, not the chance that a
step is right: a policy that errs half the time pulls the scores of right steps below 0.5, so accuracy and F1 at that
threshold compare PRMs of one kind of label alone. The AUC has no threshold.

${stepTable(soft)}

## What matters in training

${variantTable(
  results,
  results.variants.map((v) => v.name),
)}

\`soft\` is the shipped PRM. \`soft, fewer problems\` is trained as it is on the trees of the first ${plan.variants.problems} problems; those below differ
from that one in one thing. \`hard\`: labels 0 and 1; \`lr\`: peak learning rate; \`paths\`: at most so many samples
of each problem, half of them right where there are as many.

## Searches against the truth, at equal rollouts

A label agrees when it is above 0 at a right step and 0 at a wrong one; a node of several steps (compat) labels each. A step may
be untrue and still lead to the right answer (two readings off by the same amount): search cannot see such errors.

${searchTable(results)}

## pass@1 by family

On new pictures, as everywhere above, and on other problems of the part that training has seen, many of them word for word
where there are few. The difference is what the policy knows by heart instead of reading.

${passTable(results)}
`
}

/** The few figures that the README shows. */
export function readmeTable(results: MiniResults): string {
  const variant = variantOf(results, 'soft')
  const shown = variant.judgements.map((j) => [
    SET_NAMES[`${j.policy}/${j.set}`],
    ...['pass@1', 'majority', 'mean', 'mean_odds', 'min', 'oracle'].map((name) => cell(rowOf(j, name))),
  ])
  return markdown([['16 candidates each', 'pass@1', 'majority', 'PRM mean', 'PRM mean_odds', 'PRM min', 'oracle'], ...shown])
}
