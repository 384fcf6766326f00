/** The page of the systems, and what the README says of them, from the results. */
import { markdown } from '../mini/tables.ts'
import { total } from './cost.ts'
import type { Comparison, Figure, Plain, SystemResults } from './results.ts'

const percent = (x: number | null) => (x === null ? '-' : (100 * x).toFixed(1))
const within = ({ value, low, high }: Figure) => `${percent(value)} (${percent(low)} to ${percent(high)})`
const signed = (x: number | null) => (x !== null && x > 0 ? `+${percent(x)}` : percent(x))
const gain = ({ value, low, high }: Figure) => `${signed(value)} (${signed(low)} to ${signed(high)})`

/** An interval on one side of 0 is a difference; else nothing was shown. */
export function verdict({ low, high }: Figure): 'gains' | 'loses' | 'no difference shown' {
  if (low !== null && low > 0) return 'gains'
  return high !== null && high < 0 ? 'loses' : 'no difference shown'
}

const plain = ({ n, isWholePool, accuracy, cost }: Plain) =>
  `${within(accuracy)}, N = ${n}${isWholePool ? ` (${Math.round(total(cost))} tokens: no more were drawn)` : ''}`

const HEAD = ['system', 'policy', 'accuracy', 'tokens', 'Best-of-N', 'gain', 'majority', 'gain']

function row(c: Comparison): string[] {
  const tokens = `${Math.round(c.cost.generated)} + ${Math.round(c.cost.scored)}`
  const { overBestOfN, overMajority } = c.gain
  return [
    ...[`${c.system}: ${c.what}`, c.policy, within(c.accuracy), tokens],
    ...[plain(c.bestOfN), gain(overBestOfN), plain(c.majority), gain(overMajority)],
  ]
}

const figure = (name: string, value: number) => (name.startsWith('tokens') ? `${Math.round(value)}` : value.toFixed(3))
const told = (c: Comparison) =>
  Object.entries(c.more ?? {})
    .map(([name, value]) => `${name} ${figure(name, value)}`)
    .join('; ')

const INTRO = `# Related systems at small scale

Made by \`npm run bench:systems\` from [systems.json](../results/systems.json). Each row is one system, or one way of it, run end to end
by the package's own searches and judges, beside plain Best-of-N and majority **at equal cost**: tokens that the policy
generated plus tokens of steps that a judge or a PRM was given (what several solutions of one call share is read once; prompts
and pictures are left out on both sides; a vote pays for what it generates alone). N is the fewest solutions that cost at least as much, so the plain side
never has less. Accuracies in % with 95 % intervals by bootstrap over problems; those of gains are paired. Best-of-N and searches have
the same judge unless the row says otherwise.

What these figures are not: none is of a model of use. The shipped mini policy has 4.9 million parameters and cannot
write a critique or a query. Where a system needs a judge in words, its place is taken by a *simulated* one, which knows the truth and says it with
a set probability, or a *programmed* one, which follows a rule and knows no answer; each row says which. What such a judge writes, what it is
shown of results, and that it is asked about the same steps several times (R-PRM's four analyses, Self-PRM's votes), is not counted as
tokens: against a PRM that reads them once, their cost is understated. They show what the system's machinery makes of a judge of that quality, no more. Sizes are what an hour of a
shared machine allows, so intervals are wide: a longer run goes on from these and only adds. No interval is corrected for the number of
rows. What is run is each system's way of choosing; the sampler that GFlowNets train is not in it. ActPRM's ensembles and PRM-BAS's value
heads are trained here, from a language model of 0.4 million parameters that has read worked sums: no public class puts such a head
on a model that sees. Each is trained once: intervals are of problems, and another training would differ too.

Policies: \`shipped\` is models/mini-policy on pictures that it has not seen; \`taught\` is the same after a short training on flawless
solutions of other pictures; both have the shipped PRM. \`scripted\` ones draw from worked solutions and their common faults by seed: queries
(\`mm-prm tasks --sql\`) and sums (\`mm-prm tasks --sums\`: text alone, every step an equation that code can check, half of the
solutions with a mistake, of which code sees about half). \`scripted pupils\` go on with such sums behind any step; how often they go wrong
at an operation, and in which way, is each problem's own.
`

/** bench/systems/README.md */
export function systemsPage({ comparisons, machine, plan }: SystemResults): string {
  const judges = comparisons.map((c) => [
    ...[`${c.system}: ${c.what}`, c.policy, c.judge, String(c.problems), String(c.seeds), told(c)],
    verdict(c.gain.overBestOfN),
  ])
  return [
    INTRO,
    markdown([HEAD, ...comparisons.map(row)]),
    '',
    '## Who judged, on how many problems',
    '',
    markdown([['system', 'policy', 'judge', 'problems', 'seeds', 'beside', 'against Best-of-N'], ...judges]),
    '',
    `On ${machine.cpu}, ${machine.instructionSet}; the plan: \`${JSON.stringify(plan)}\`.`,
    '',
  ].join('\n')
}

/** The first of each system: what it gains. */
export function systemsTable({ comparisons }: SystemResults): string {
  const firsts = comparisons.filter((c, i) => comparisons.findIndex(({ system }) => system === c.system) === i)
  return markdown([
    ['system', 'judge', 'accuracy', 'gain over Best-of-N', 'over majority'],
    ...firsts.map((c) => [
      ...[`${c.system}: ${c.what}`, c.judge, percent(c.accuracy.value)],
      ...[gain(c.gain.overBestOfN), gain(c.gain.overMajority)],
    ]),
  ])
}
