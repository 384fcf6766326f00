/** Solutions in few parts, by the rule of VisualPRM's Best-of-N, and scores of parts as scores of steps. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../../ts/engine/engine.ts'
import { mergedSteps } from '../../../ts/engine/merged-steps.ts'
import { pickCheckpoint } from '../../helpers/checkpoint-files.ts'
import { startCli } from '../../helpers/cli.ts'

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`)

test('chunks of ceil(n / most) neighbours, joined by a blank line', () => {
  const sizes = (n: number, most?: number) => mergedSteps(numbered(n), most).parts.map((part) => part.split('\n\n').length)
  assert.equal(sizes(12, 12), Array(12).fill(1))
  assert.equal(sizes(13, 12), [2, 2, 2, 2, 2, 2, 1])
  assert.equal(sizes(25, 12), [3, 3, 3, 3, 3, 3, 3, 3, 1])
  assert.equal(sizes(5, 1), [5])
  assert.equal(sizes(5), [1, 1, 1, 1, 1])
  assert.equal(sizes(0, 3), [])
  assert.equal(mergedSteps(numbered(5), 2).parts, ['s0\n\ns1\n\ns2', 's3\n\ns4'])
  assert.equal(mergedSteps(numbered(5), 2).spread(['a', 'b']), ['a', 'a', 'a', 'b', 'b'])
})

test('every step has the score of its part: that of the parts scored as steps; runs and blank steps say which', async () => {
  const model = pickCheckpoint({ architecture: /InternVLRewardModel/ })
  const question = 'What is 3 + 4?'
  const steps = ['We add.', '3 + 4 = 7.', 'So it is 7.', 'Really.', '7']
  await using plain = await Engine.open({ model, weights: 'f32' })
  await using merging = await Engine.open({ model, weights: 'f32', mergeSteps: 2 })
  const parts = ['We add.\n\n3 + 4 = 7.\n\nSo it is 7.', 'Really.\n\n7']
  const expected = await plain.scoreSteps({ question, steps: parts, returnLogits: true })
  const merged = await merging.scoreSteps({ question, steps, returnLogits: true })
  const spread = <T>([first, second]: T[]) => [first, first, first, second, second]
  assert.equal(merged.scores, spread(expected.scores))
  assert.equal(merged.logits, spread(expected.logits))
  assert.equal(await merging.scoreSteps({ question, solutions: [steps, [], ['7']] }), [
    merged.scores,
    [],
    await plain.scoreSteps({ question, steps: ['7'] }),
  ])
  assert.is(merging.identity(), `${plain.identity()}+merged=2`)
  const blank = await merging.scoreSteps({ question, steps: ['a', 'b', 'c', ' ', 'd'] }).catch((error: Error) => error.message)
  assert.match(String(blank), /steps\[3\]: is empty/)
})

test('from the command line; a judge in words and a server are told whose option it is', async () => {
  const model = pickCheckpoint({ architecture: /InternVLRewardModel/ })
  const score = ['score', '--model', model, '--weights', 'f32', '--input', '-', '--merge-steps', '1']
  const child = startCli(score)
  child.child.stdin.end(JSON.stringify({ id: 1, question: 'What is 3 + 4?', steps: ['We add.', '7'] }))
  const { code, stdout, stderr } = await child.ended
  assert.is(code, 0, stderr)
  const [first, second] = JSON.parse(stdout).scores
  assert.is(first, second)
  const judged = await startCli([...score, '--scoring', 'critique']).ended
  assert.match(judged.stderr, /--merge-steps is for a process reward model: critique judges in words/)
  const served = await startCli(['serve', '--model', model, '--merge-steps', '2']).ended
  assert.match(served.stderr, /--merge-steps is for --prm/)
})

test.run()
