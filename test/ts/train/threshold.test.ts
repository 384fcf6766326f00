/** The threshold of held-out steps, against every cut that there is. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../../ts/contracts/random.ts'
import { stepVerdicts, verdictFields } from '../../../ts/contracts/verdict.ts'
import { fitThreshold, type HeldOutStep } from '../../../ts/train/threshold.ts'

const step = (score: number, label: number, weight = 1): HeldOutStep => ({ score, label, weight })

/** Mean share of right steps at or above the threshold and of wrong ones below. */
function balanced(steps: readonly HeldOutStep[], threshold: number): number {
  const share = (of: HeldOutStep[], good: (s: HeldOutStep) => boolean) =>
    of.reduce((n, s) => n + (good(s) ? s.weight : 0), 0) / of.reduce((n, s) => n + s.weight, 0)
  const [right, wrong] = [steps.filter((s) => s.label > 0), steps.filter((s) => s.label === 0)]
  return (share(right, (s) => s.score >= threshold) + share(wrong, (s) => s.score < threshold)) / 2
}

test('between right and wrong where they lie apart, whatever their numbers', () => {
  const many = Array.from({ length: 50 }, (_, i) => step(0.3 + i / 100, 0.1))
  assert.is(fitThreshold([...many, step(0.1, 0)]), 0.2)
  assert.is(fitThreshold([step(0.9, 1), step(0.2, 0), step(0.4, 0.5), step(0.2, 0)]), (0.2 + 0.4) / 2)
})

test('no cut is better, on scores that overlap and repeat', () => {
  const random = seededRandom('steps')
  for (let round = 0; round < 50; round++) {
    const steps = Array.from({ length: 40 }, () => {
      const label = random() < 0.7 ? random() : 0
      return step(Math.round(10 * (0.6 * random() + 0.4 * label)) / 10, label, 1 + Math.floor(3 * random()))
    })
    const threshold = fitThreshold(steps)
    const cuts = Array.from({ length: 21 }, (_, i) => i / 20 - 0.025)
    const best = Math.max(...cuts.map((cut) => balanced(steps, cut)))
    if (best <= 0.5 + 1e-9) assert.is(threshold, undefined)
    else assert.ok(Math.abs(balanced(steps, threshold as number) - best) < 1e-9, `${threshold}`)
  }
})

test('the middle one of equals', () => {
  const steps = [step(0, 0), step(0.2, 1), step(0.4, 0), step(0.6, 1), step(0.8, 0), step(1, 1)]
  assert.is(fitThreshold(steps), 0.5)
})

test('nothing where one kind is missing, where all scores are one, or where they say the contrary', () => {
  assert.is(fitThreshold([]), undefined)
  assert.is(fitThreshold([step(0.5, 1), step(0.7, 0.2)]), undefined)
  assert.is(fitThreshold([step(0.5, 0), step(0.7, 0)]), undefined)
  assert.is(fitThreshold([step(0.5, 0), step(0.5, 1)]), undefined)
  assert.is(fitThreshold([step(0.9, 0), step(0.1, 1)]), undefined)
})

test('verdicts: drops and flags of one solution and of several, one without scores among them', () => {
  assert.equal(stepVerdicts([0.75, 0.25, 0.5], 0.5), { drop: [null, 0.5, -0.25], flagged: [false, true, false] })
  assert.equal(verdictFields([[0.75, 0.25], null, []], 0.5), {
    drop: [[null, 0.5], null, []],
    flagged: [[false, true], null, []],
    threshold: 0.5,
  })
  assert.equal(verdictFields([null], 0.5), { drop: [null], flagged: [null], threshold: 0.5 })
  assert.equal(verdictFields([0.75], undefined), {})
})

test.run()
