/** What compares related systems: costs, equal costs, stand-ins for judges, and a whole comparison with a scripted policy. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { drawnByLot, labelled } from '../../../bench/systems/active.ts'
import { compare, equalCost, majority, type Pool, weighted } from '../../../bench/systems/compare.ts'
import { readInOneCall } from '../../../bench/systems/cost.ts'
import { type Ground, guided, poolOf } from '../../../bench/systems/guided.ts'
import { checkingCode, inWords, programmedJudge, simulatedJudge, type Truth, truthOfTask } from '../../../bench/systems/judges.ts'
import { drawnQuery, watchful } from '../../../bench/systems/sql.ts'
import { systemsPage, verdict } from '../../../bench/systems/tables.ts'
import { seededRandom } from '../../../ts/contracts/random.ts'
import type { CandidateRecord } from '../../../ts/contracts/records.ts'
import type { StepScorer } from '../../../ts/contracts/scorer.ts'
import { criticScorer } from '../../../ts/critics/index.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { findFamily, makeProblem } from '../../../ts/tasks/index.ts'
import { sqlProblem } from '../../../ts/tasks/sql.ts'
import { checkSum, sumProblem } from '../../../ts/tasks/sums.ts'
import { ruleVerifier } from '../../../ts/verify/index.ts'

process.chdir(mkdtempSync(join(tmpdir(), 'mm-prm-systems-')))

const sums = Array.from({ length: 12 }, (_, i) => sumProblem('smoke', i))
const problems = sums.map(({ id, question, answer }) => ({ id, question, answer }))
const of = new Map(sums.map((sum) => [sum.id, sum]))
/** One token for each word. */
const tokens = (step: string) => step.split(' ').length

/** Goes wrong at a step with a chance of 0.2, by one; what follows goes on from there. */
const policy = scriptedPolicy(({ problem, prefix, seed, maxSteps }, index) => {
  const random = seededRandom(`${seed}/${index}`)
  const plan = of.get(problem.id) as (typeof sums)[number]
  const steps = [...prefix]
  while (steps.length < plan.steps.length && steps.length - prefix.length < (maxSteps ?? 99)) {
    const [equation = '', result = ''] = (plan.steps[steps.length] as string).split(' = ')
    steps.push(`${equation} = ${Number.parseInt(result, 10) + (random() < 0.2 ? 1 : 0)}.`)
  }
  const isWhole = steps.length - prefix.length < (maxSteps ?? 99)
  if (isWhole) steps.push(checkSum(plan, steps).every(Boolean) ? plan.answer : '-1')
  const own = steps.slice(prefix.length)
  const numTokens = own.reduce((sum, step) => sum + tokens(step), 0)
  return { outcome: isWhole ? 'complete' : 'stopped', steps: own, text: '', numTokens }
})

/** Knows the truth. */
const oracle: StepScorer = {
  name: 'oracle',
  score: async ({ problem, solutions }) =>
    solutions.map((steps) => ({
      scores: checkSum(of.get(problem.id) as (typeof sums)[number], steps).map((right) => (right ? 0.9 : 0.1)),
    })),
}

const ground: Ground = {
  ...{ name: 'smoke', policyName: 'scripted', judge: 'the truth', policy, scorer: oracle, problems, tokens },
  verifier: ruleVerifier(),
}

test('what solutions share is read once in one call', () => {
  const shared = [['a b', 'c'], ['a b', 'd e'], ['a b', 'c']] // biome-ignore format: a list
  assert.is(readInOneCall(shared, tokens), 2 + 1 + 2)
  assert.is(readInOneCall([['a', 'b'], ['b', 'a']], tokens), 4) // biome-ignore format: a list
  assert.is(readInOneCall([], tokens), 0)
})

test('guided searches beside plain choices that cost no less, again from where a run was stopped', async () => {
  const pool = await poolOf(ground)
  const comparisons = await guided(ground, pool, ['narrowing', 'greedy'])
  assert.is(comparisons.length, 2)
  for (const { problems: count, cost, bestOfN, majority: voted, accuracy, gain } of comparisons) {
    assert.is(count, 12)
    const spent = cost.generated + cost.scored
    for (const side of [bestOfN, voted]) assert.is(side.cost.generated + side.cost.scored >= spent, !side.isWholePool)
    assert.ok(voted.n > bestOfN.n, 'who scores nothing generates more')
    assert.is(voted.cost.scored, 0)
    // With the truth as judge a search finds nearly everything.
    assert.ok(accuracy.value > 0.9, `${accuracy.value}`)
    assert.ok(Math.abs(gain.overBestOfN.value - (accuracy.value - bestOfN.accuracy.value)) < 1e-12)
  }
  assert.equal(await guided(ground, await poolOf(ground), ['narrowing', 'greedy']), comparisons)
  const placed = comparisons.map((comparison) => ({ ...comparison, stage: 'smoke' }))
  const page = systemsPage({ bench: 'systems', machine: {} as never, plan: {}, comparisons: placed })
  assert.match(page, /\| PRM-BAS: beam 4 × 4 that halves its width with each step \| scripted \| [\d.]+ \([\d.]+ to [\d.]+\)/)
})

const candidate = (answer: string, correct: boolean, step: string): CandidateRecord => ({
  ...{ problemId: 'p', index: 0, outcome: 'complete', answer, correct },
  ...{ steps: [step, answer], scores: [0.5, 0.5] },
})

test('the fewest solutions that cost as much; votes and ties', () => {
  const candidates = [
    candidate('1', true, 'a'),
    candidate('2', false, 'b c'),
    candidate('1', true, 'd'),
    candidate('3', false, 'e'),
  ]
  const run = { problems: [{ problem: problems[0] as never, candidates, cost: { generated: 40, scored: 0 } }] }
  const pool: Pool = { run, size: 4, tokens }
  // A solution costs 10 to generate and 2 or 3 to read.
  assert.equal(
    [1, 13, 24, 26, 1000].map((target) => equalCost(pool, target, true).n),
    [1, 2, 2, 3, 4],
  )
  assert.equal(
    [10, 11, 40].map((target) => equalCost(pool, target, false).n),
    [1, 2, 4],
  )
  assert.is(equalCost(pool, 41, false).isWholePool, true)
  assert.is(majority(candidates), 1)
  assert.is(majority(candidates.slice(0, 2)), 0.5)
  const trusted = candidates.map((c, i) => ({ ...c, scores: i === 3 ? [1, 0.8] : [0.2, 0.2] }))
  assert.is(weighted(trusted), 0)
  assert.is(weighted(trusted.map(({ scores, ...rest }, i) => (i === 3 ? rest : { ...rest, scores }))), 1)
  const measured = { system: 's', what: 'w', judge: 'j', policy: 'p', seeds: 1, cost: { generated: 1, scored: 0 } }
  assert.throws(() => compare({ ...measured, accuracies: new Map() }, pool), /w: no problem in common/)
})

test('an interval on one side of 0 is a difference', () => {
  assert.is(verdict({ value: 0.1, low: 0.01, high: 0.2 }), 'gains')
  assert.is(verdict({ value: -0.1, low: -0.2, high: -0.01 }), 'loses')
  assert.is(verdict({ value: 0.1, low: 0, high: 0.2 }), 'no difference shown')
})

const truths = new Map<string, Truth>(sums.map((sum) => [sum.id, (steps) => checkSum(sum, steps)]))

test('the simulated judge is right as often as it is said to be, and several of its judgements more often', async () => {
  const score = async (form: string, right: number, judgements: number) => {
    const scorer = inWords(criticScorer(form, simulatedJudge(truths, right, 0), { judgements }))
    let [hits, count] = [0, 0]
    for (const sum of sums) {
      const solution = [...sum.steps.slice(0, -1), '1 + 1 = 3.', sum.answer]
      const [scored] = await scorer.score({ problem: { ...sum, image: 'not shown' }, solutions: [solution] })
      checkSum(sum, solution).forEach((isRight, i) => {
        count++
        if ((scored?.scores[i] as number) > 0.5 === isRight) hits++
      })
    }
    return hits / count
  }
  assert.is(await score('r-prm', 1, 1), 1)
  assert.is(await score('critique', 1, 1), 1)
  const [once, often] = [await score('r-prm', 0.8, 1), await score('r-prm', 0.8, 9)]
  assert.ok(once > 0.65 && once < 0.95 && often > once, `${once}, ${often}`)
})

test('the truth about a task: prefixes, whole solutions, and what stands behind an answer', () => {
  const mini = makeProblem(findFamily('balance'), 'smoke', 1)
  const truth = truthOfTask({ mini, problem: problems[0] as never })
  const steps = mini.steps.map(({ text }) => text)
  assert.ok([...truth(steps), ...truth([...steps, mini.answer])].every(Boolean))
  assert.is(truth([...steps, '-1']).indexOf(false), steps.length)
  assert.equal(truth([...steps, mini.answer, mini.answer]).slice(-2), [true, false])
  assert.equal(truth([mini.answer]), [false])
})

test('the programmed judge checks equations by code, and knows no answer', async () => {
  assert.is(checkingCode('12 * 7 = 84.', undefined), 'print(12 * 7 == 84)')
  assert.is(checkingCode('84', '12 * 7 = 84.'), 'print(84 == 84)')
  assert.is(checkingCode('it is late', '12 * 7 = 84.'), 'print(True)')
  /** Evaluates the comparisons that it was sent: the sandbox has tests of its own. */
  const runner = {
    name: 'arithmetic',
    async run({ code }: { code: string }) {
      const [, a = '', sign = '', b = '', result = ''] = /^print\((-?\d+) (?:([-+*]) (-?\d+) )?== (-?\d+)\)$/.exec(code) ?? []
      const value = { '+': +a + +b, '-': +a - +b, '*': +a * +b, '': +a }[sign]
      return { outcome: 'ended' as const, output: value === +result ? 'True\n' : 'False\n' }
    },
  }
  const scorer = criticScorer('genprm', programmedJudge(), { judgements: 1 }, runner)
  const [sum] = sums
  const solution = ['2 + 2 = 4.', '4 * 3 = 13.', '13']
  const [scored] = await scorer.score({ problem: { ...(sum as NonNullable<typeof sum>) }, solutions: [solution] })
  assert.equal(
    scored?.scores.map((score) => score > 0.5),
    [true, false, true],
  )
})

test('faulty queries are drawn by seed; results alone are watched', async () => {
  const problem = sqlProblem('smoke', 3)
  assert.equal(drawnQuery(problem, 1, 5), drawnQuery(problem, 1, 5))
  const drawn = Array.from({ length: 40 }, (_, i) => drawnQuery(problem, 1, i).join('\n'))
  const right = drawn.filter((query) => query === problem.answer).length
  assert.ok(right > 2 && right < 30, `${right} of 40 are the worked query`)
  const [scored] = await watchful.score({
    problem: { ...problem },
    solutions: [
      ['a<result>{(1,): 1}</result>', 'b<result>{}</result>', 'c<result>Total SQL result:0, Execution error: x</result>'],
    ],
  })
  assert.equal(scored?.scores, [0.8, 0.2, 0.05])
})

test('labels of what is unsure, and as many by lot', async () => {
  const solution = (sum: (typeof sums)[number], i: number, std: number): CandidateRecord => {
    const steps = [...sum.steps.slice(0, -1), '1 + 1 = 3.', sum.answer]
    return { ...candidate(sum.answer, true, ''), index: i, steps, scores: steps.map(() => 0.99), std: steps.map(() => std) }
  }
  const list = sums.map((sum, i) => ({
    problem: problems[i] as (typeof problems)[number],
    candidates: [solution(sum, 0, 0), solution(sum, 1, 0.3)],
    cost: { generated: 0, scored: 0 },
  }))
  const options = { maxStd: 0.01, sure: 0.9, budget: 100 }
  const { rows, counts } = await labelled(list, truths, options)
  assert.equal([counts.seen, counts.known, counts.asked], [24, 12, 12])
  for (const [i, { steps }] of rows.entries()) {
    const wrongAt = (sums[i]?.steps.length as number) - 1
    assert.equal(
      steps.map(({ label }) => label),
      steps.map((_, at) => (at < wrongAt ? 1 : at === wrongAt ? 0 : null)),
    )
  }
  const lot = drawnByLot(list, 7)
  assert.equal(lot, drawnByLot(list, 7))
  assert.is((await labelled(lot, truths, { ...options, maxStd: 0, sure: 1 })).counts.asked, 7)
})

test.run()
