/** Best-of-N and beam over the same contract as the tree search. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SearchEvent } from '../../../ts/contracts/events.ts'
import { seededRandom } from '../../../ts/contracts/random.ts'
import type { StepScorer } from '../../../ts/contracts/scorer.ts'
import { streamsOf } from '../../../ts/contracts/streams.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { findStrategy, STRATEGIES } from '../../../ts/search/registry.ts'
import { drawn } from '../../../ts/search/strategies/beam.ts'
import { beamWidth } from '../../../ts/search/width.ts'
import { NOTHING_KNOWN, UNLIMITED } from '../../helpers/search.ts'
import { isWrongStep, simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'

/** Knows the truth: low from the first wrong step on. */
const oracle: StepScorer = {
  name: 'oracle',
  score: async ({ solutions }) =>
    solutions.map((steps) => ({ scores: steps.map((_, i) => (steps.slice(0, i + 1).some(isWrongStep) ? 0.1 : 0.9)) })),
}

async function run(
  name: string,
  options: object,
  more: { scorer?: StepScorer; maxRollouts?: number; known?: typeof NOTHING_KNOWN } = {},
) {
  const strategy = findStrategy(name)
  const problem = simulatedProblem(4)
  const asked: number[] = []
  const policy = scriptedPolicy((request, index) => {
    asked.push(request.prefix.length)
    return simulate(request, index)
  })
  const context = {
    ...{ problem, policy, verifier: simulatedVerifier, rng: streamsOf(1, problem.id), known: more.known ?? NOTHING_KNOWN },
    budget: { ...UNLIMITED, ...(more.maxRollouts && { maxRollouts: more.maxRollouts }) },
    ...(more.scorer && { scorer: more.scorer }),
  }
  const events: SearchEvent[] = []
  for await (const event of strategy.run(context, strategy.options.parse(options))) events.push(event)
  const candidates = events.flatMap((e) => (e.type === 'candidate' ? [e.candidate] : []))
  return { events, candidates, asked }
}

test('best-of-n gives n candidates with a score per step, unparsed ones without', async () => {
  const { candidates, events } = await run('best-of-n', { n: 48 }, { scorer: oracle })
  assert.equal(
    candidates.map((c) => c.index),
    Array.from({ length: 48 }, (_, i) => i),
  )
  for (const { outcome, steps, scores, answer, correct } of candidates) {
    if (outcome === 'complete') {
      assert.is(scores?.length, steps.length)
      assert.is(correct, answer === simulatedProblem(4).answer)
    } else assert.equal([scores, answer, correct], [undefined, null, null])
  }
  assert.ok(candidates.some((c) => c.outcome !== 'complete') && candidates.some((c) => c.correct))
  assert.equal(events.at(-1), { type: 'finished', reason: 'complete', searches: 0, rollouts: 48 })
  const without = await run('best-of-n', { n: 48 })
  assert.ok(without.candidates.every((c) => c.scores === undefined))
  const known = { evaluations: events.flatMap((e) => (e.type === 'evaluated' ? [e.evaluation] : [])), verdicts: [] }
  const resumed = await run('best-of-n', { n: 48 }, { scorer: oracle, known })
  assert.equal([resumed.asked, resumed.candidates], [[], candidates])
})

test('solutions are what best-of-n samples, with their texts, neither judged nor scored', async () => {
  const { events, candidates } = await run('solutions', { n: 12 })
  const [evaluated, finished] = events
  assert.equal([events.length, candidates], [2, []])
  const { candidates: others } = await run('best-of-n', { n: 12 })
  const rollouts = finished?.type === 'finished' ? (finished.tree?.root.rollouts ?? []) : []
  assert.equal(
    rollouts.map(({ outcome, steps }) => [outcome, steps]),
    others.map(({ outcome, steps }) => [outcome, steps]),
  )
  for (const { text, answer, correct } of rollouts) {
    assert.ok(text)
    assert.equal([answer, correct], [null, null])
  }
  const known = { evaluations: evaluated?.type === 'evaluated' ? [evaluated.evaluation] : [], verdicts: [] }
  const resumed = await run('solutions', { n: 12 }, { known })
  assert.equal([resumed.asked, resumed.events], [[], [finished]])
})

test('beam keeps what the scorer prefers and asks for one step at a time', async () => {
  const { candidates, events } = await run('beam', { width: 3, branch: 6 }, { scorer: oracle })
  assert.ok(candidates.length > 0)
  const values = candidates.map((c) => c.scores?.at(-1) as number)
  assert.equal(
    values,
    [...values].sort((a, b) => b - a),
  )
  assert.is(candidates[0]?.correct, true)
  for (const event of events) {
    if (event.type === 'evaluated') assert.ok(event.evaluation.rollouts.every((r) => r.steps.length <= 1))
  }
  const again = await run('beam', { width: 3, branch: 6 }, { scorer: oracle })
  assert.equal(again.candidates, candidates)
})

test('beams that are drawn in proportion to their values: by the seed alone, without repeats, as often as they are worth', async () => {
  const items = [0.6, 0.3, 0.1, 0].map((value) => ({ value }))
  const random = seededRandom('draws')
  const draws = 20_000
  const firsts = new Map<number, number>()
  let seconds = 0
  for (let i = 0; i < draws; i++) {
    const [first, second] = drawn(items, 2, random) as [{ value: number }, { value: number }]
    firsts.set(first.value, (firsts.get(first.value) ?? 0) + 1)
    if (first.value === 0.6 && second.value === 0.3) seconds++
  }
  for (const { value } of items) assert.ok(Math.abs((firsts.get(value) ?? 0) / draws - value) < 0.015, `${value}`)
  // What is left shares what is left: 0.3 of 0.4.
  assert.ok(Math.abs(seconds / (firsts.get(0.6) ?? 1) - 0.75) < 0.015)
  assert.equal(
    drawn(items, 9, random)
      .map(({ value }) => value)
      .sort(),
    [0, 0.1, 0.3, 0.6],
  )
  const worthless = [{ value: Number.NEGATIVE_INFINITY }, { value: 0 }]
  assert.equal(drawn(worthless, 1, random), worthless.slice(0, 1))

  const options = { width: 2, branch: 6, keep: 'proportional' }
  const { candidates } = await run('beam', options, { scorer: oracle })
  assert.ok(candidates.length > 0)
  assert.equal((await run('beam', options, { scorer: oracle })).candidates, candidates)
  assert.not.equal((await run('beam', { width: 2, branch: 6 }, { scorer: oracle })).candidates, candidates)
})

test('a scorer that gives another number of scores is an error', async () => {
  const short: StepScorer = {
    name: 'short',
    score: async ({ solutions }) => solutions.map(() => ({ scores: [0.5, 0.5, 0.5, 0.5] })),
  }
  const error = await run('beam', {}, { scorer: short }).catch((e) => e)
  assert.is(error.code, 'ERR_ENGINE_POLICY')
  assert.match(error.message, 'problem "sim-4": short gave 4 scores for a solution of 1 steps')
})

test('a solution that cannot be scored keeps its place without scores; the others have theirs', async () => {
  const partly: StepScorer = {
    name: 'partly',
    score: async (request) => {
      const all = await oracle.score(request)
      return all.map((scored, i) => (i % 3 === 1 ? { scores: [], error: 'too long' } : scored))
    },
  }
  const { candidates } = await run('best-of-n', { n: 9 }, { scorer: partly })
  const complete = candidates.filter((c) => c.outcome === 'complete')
  assert.ok(complete.length >= 6)
  complete.forEach((c, i) => assert.is(c.scores === undefined, i % 3 === 1, `candidate ${i}`))
  const beams = await run('beam', { width: 2, branch: 3 }, { scorer: partly })
  assert.ok(beams.candidates.length > 0)
  const firstUnscored = beams.candidates.findIndex((c) => !c.scores)
  if (firstUnscored >= 0)
    assert.ok(
      beams.candidates.slice(firstUnscored).every((c) => !c.scores),
      'they come last',
    )
})

test('a beam ends at its budget', async () => {
  const { events } = await run('beam', { width: 8, branch: 8 }, { scorer: oracle, maxRollouts: 30 })
  const last = events.at(-1)
  assert.ok(last?.type === 'finished' && last.reason === 'rollouts' && last.rollouts >= 30)
})

test('width schedules', () => {
  const o = { width: 8, minWidth: 2, widthSlope: 1.5, widthDecay: 0.5, spreadMargin: 0.25 }
  const values = [0.9, 0.8, 0.7, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
  const widths = (schedule: string) => [0, 1, 2, 3, 9].map((depth) => beamWidth(schedule, o, depth, values))
  assert.equal(widths('constant'), [8, 8, 8, 8, 8])
  assert.equal(widths('linear'), [8, 7, 5, 4, 2])
  assert.equal(widths('exponential'), [8, 4, 2, 2, 2])
  assert.equal(widths('score-spread'), [3, 3, 3, 3, 3])
})

test('the registry names its strategies', () => {
  assert.equal(
    STRATEGIES.map((s) => s.name),
    ['omega', 'best-of-n', 'beam', 'siblings', 'refine', 'solutions'],
  )
  assert.throws(() => findStrategy('omga'), /did you mean "omega"/)
})

test.run()
