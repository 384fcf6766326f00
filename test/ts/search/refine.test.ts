/** Refine: what a judge doubts goes back to the policy with its words, and the rest stays as it is. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import type { SearchEvent } from '../../../ts/contracts/events.ts'
import type { EvaluationRecord } from '../../../ts/contracts/records.ts'
import type { KnownWork } from '../../../ts/contracts/run-store.ts'
import type { StepScorer } from '../../../ts/contracts/scorer.ts'
import { streamsOf } from '../../../ts/contracts/streams.ts'
import { type Script, scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { refine, refineOptions, withCritique } from '../../../ts/search/strategies/refine.ts'
import { NOTHING_KNOWN, UNLIMITED } from '../../helpers/search.ts'
import { simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'

const problem = simulatedProblem(4)
const answer = (isRight: boolean) => `The final answer is ${isRight ? problem.answer : '1 (!)'}`
const complete = (...steps: string[]) => ({ outcome: 'complete' as const, steps, text: steps.join('\n'), numTokens: 10 })

/** Trusts what is marked good; doubts the rest, in words. */
const judge: StepScorer = {
  name: 'judge',
  score: async ({ solutions }) =>
    solutions.map((steps) => ({
      scores: steps.map((step) => (step.includes('bad') ? 0.2 : 0.9)),
      words: `The step "${steps[0]}" is ${steps[0]?.includes('bad') ? 'wrong' : 'right'}.`,
    })),
}

/** The first draft of each odd sample is bad; an attempt that was reviewed once is still bad for sample 3. */
const script: Script = ({ problem: asked, seed }, index) => {
  const attempt = /The step "bad (\d)(.*)" is wrong/.exec(asked.question)
  if (!attempt) return index % 2 === 0 ? complete(`good ${index}`, answer(true)) : complete(`bad ${index}`, answer(false))
  assert.ok(seed > 0)
  return attempt[1] === '3' && attempt[2] === '' ? complete('bad 3 again', answer(false)) : complete('good at last', answer(true))
}

async function run(options: object, more: { scorer?: StepScorer; known?: KnownWork; maxRollouts?: number } = {}) {
  const asked: { question: string; seed: number }[] = []
  const policy = scriptedPolicy((request, index) => {
    asked.push({ question: request.problem.question, seed: request.seed })
    return script(request, index)
  })
  const context = {
    ...{ problem, policy, verifier: simulatedVerifier, rng: streamsOf(1, problem.id), known: more.known ?? NOTHING_KNOWN },
    scorer: more.scorer ?? judge,
    budget: { ...UNLIMITED, ...(more.maxRollouts && { maxRollouts: more.maxRollouts }) },
  }
  const events: SearchEvent[] = []
  for await (const event of refine.run(context, refineOptions.parse(options))) events.push(event)
  const candidates = events.flatMap((e) => (e.type === 'candidate' ? [e.candidate] : []))
  return { asked, events, finished: events.at(-1), shown: candidates.map((c) => [c.index, c.steps[0], c.correct, c.scores?.[0]]) }
}

test('what is doubted is written anew, as often as it may be; the others stay', async () => {
  const once = await run({ n: 4, rounds: 1 })
  assert.equal(once.shown, [
    [0, 'good 0', true, 0.9],
    [1, 'good at last', true, 0.9],
    [2, 'good 2', true, 0.9],
    [3, 'bad 3 again', false, 0.2],
  ])
  const twice = await run({ n: 4, rounds: 5 })
  assert.equal(twice.shown[3], [3, 'good at last', true, 0.9])
  assert.is(twice.asked.length, 4 + 2 + 1)
  assert.is(new Set(twice.asked.slice(4).map((a) => a.seed)).size, 3, 'each rewriting draws from a stream of its own')
  assert.equal((await run({ n: 4, rounds: 5, trust: 0 })).asked.length, 4)
  assert.equal((await run({ n: 4, rounds: 5 }, { maxRollouts: 6 })).finished, {
    ...{ type: 'finished', reason: 'rollouts', searches: 0, rollouts: 6 },
  })
})

test('the policy is asked with its attempt and the words; options stand in the question', () => {
  const asked = withCritique({ ...problem, question: 'Which?', choices: ['one', 'two'] }, ['a', 'b'], ' No.\n')
  assert.is(asked.choices, undefined)
  assert.match(
    asked.question,
    /^Which\?\nChoices:\n\(A\) one\n\(B\) two\n\nThis is an earlier attempt:\na\n\nb\n\n.*says of it:\nNo\.\n\nSolve/s,
  )
  assert.is(asked.id, problem.id)
})

test('a resumed search asks nothing twice and comes to the same', async () => {
  const whole = await run({ n: 4, rounds: 5 })
  const evaluations = whole.events.flatMap((e): EvaluationRecord[] => (e.type === 'evaluated' ? [e.evaluation] : []))
  assert.equal(
    evaluations.map((e) => e.occurrence),
    [0, 2, 4, 8],
  )
  const resumed = await run({ n: 4, rounds: 5 }, { known: { evaluations: evaluations.slice(0, 3), verdicts: [] } })
  assert.is(resumed.asked.length, 1)
  assert.equal(resumed.shown, whole.shown)
})

test('a scorer without words is no critic', async () => {
  const scorer: StepScorer = { name: 'prm', score: async ({ solutions }) => solutions.map((s) => ({ scores: s.map(() => 0) })) }
  const error = await run({ n: 2 }, { scorer }).catch((e) => e)
  assert.match((error as EngineError).message, /prm scores without words: refine needs a judge/)
})

test.run()
