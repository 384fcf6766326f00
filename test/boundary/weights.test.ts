/** Weight-only quantisation at opening: smaller, close to the exact scores, the same bits in any company. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const question = 'The bar chart shows 12 apples and 30 oranges. How many fruits are there?'
const solutions = [['Read the chart: 12 and 30.', '12 + 30 = 42.'], ['Read the chart: 12 and 30.', 'I guess 41.'], ['No idea.']]
/** Of these tiny random models, whose logits spread widely. */
const LIMITS = { int8: 0.03, int4: 0.35 } as const

for (const isa of loadNative().probe().isas) {
  test(`int8 and int4 on ${isa}`, async () => {
    await using exact = await Engine.open({ model: MODEL, cpu: { isa } } as never)
    const expected = await exact.scoreSteps({ question, solutions })
    for (const weights of ['int8', 'int4'] as const) {
      await using engine = await Engine.open({ model: MODEL, weights, cpu: { isa } } as never)
      assert.is(engine.info().weights, weights)
      if (isa !== 'reference') assert.ok(engine.info().weightBytes < exact.info().weightBytes)
      const scores = await engine.scoreSteps({ question, solutions })
      scores.flat().forEach((score, i) => {
        assert.ok(
          Math.abs(score - (expected.flat()[i] as number)) < LIMITS[weights],
          `${weights}: ${score} for ${expected.flat()[i]}`,
        )
      })
      for (const [i, steps] of solutions.entries()) assert.equal(await engine.scoreSteps({ question, steps }), scores[i], 'alone')
    }
  })
}

test.run()
