/**
 * Verdicts of a public verifier's own test suite. The cases are not part of the package: the test runs where
 * the golden set holds them. At least 120 of 128, in proportion, must agree; the others are printed.
 */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { verifyAnswer } from '../../ts/verify/index.ts'
import { GOLDEN_ROOT, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('verify')

const path = join(GOLDEN_ROOT, 'verify/math-verify.json')
const REQUIRED = 120 / 128

test('verdicts of the public suite', () => {
  const cases = readJson(path)
  let agree = 0
  for (const c of cases) {
    const verdict = verifyAnswer(c.gold, c.pred, c)
    if (verdict.match === c.expected) agree++
    else
      console.log(
        `differs (${c.suite}): gold ${c.gold.slice(-60)} pred ${c.pred.slice(-60)}: expected ${c.expected}, ${verdict.method}`,
      )
  }
  console.log(`golden/verify: ${cases.length} cases ran, ${agree} agree`)
  assert.ok(cases.length > 0 && agree >= REQUIRED * cases.length)
})

test.run()
