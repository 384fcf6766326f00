/** The threshold that training records beside a PRM: fitted on held-out steps, and what score, serve and kit make of it. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../ts/contracts/random.ts'
import { stepVerdicts } from '../../ts/contracts/verdict.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { openScorer } from '../../ts/kit/index.ts'
import { serve } from '../../ts/serve/index.ts'
import { startCli } from '../helpers/cli.ts'
import { readJson } from '../helpers/golden.ts'
import { metricsOf, prmRows, READING, tinyCheckpoint, train, workFolder, writeRows } from '../helpers/training.ts'

const work = workFolder()
const init = await tinyCheckpoint(join(work, 'init'), { like: READING, withMarker: false })
/** Other problems than those learnt from, some right steps and some wrong ones. */
const random = seededRandom('held out')
const HELD = prmRows(12).map((row, i) => ({
  ...row,
  id: `h${i}`,
  problemId: `h${i}`,
  labels: [random() < 0.7 ? 0.5 : 0, random() < 0.7 ? 1 : 0],
}))
const data = writeRows(join(work, 'rows.jsonl'), prmRows(8))
const evalData = writeRows(join(work, 'held.jsonl'), HELD)
const out = join(work, 'prm')
const OPTIONS = { task: 'prm', init, data, evalData, out, epochs: 4, evalEvery: 2, checkpointEvery: 2 } as const
const result = await train(OPTIONS)
const recorded = readJson(join(out, 'mm-prm.json'))
const threshold = recorded.threshold as number
const engine = await Engine.open({ model: out, weights: 'f32' })
test.after(() => engine.close())

test('what is recorded parts the held-out steps as no other threshold does, by the scores of the saved model', async () => {
  const steps: { score: number; isRight: boolean }[] = []
  for (const { question, steps: texts, labels } of HELD as { question?: string; steps?: string[]; labels: number[] }[]) {
    const scores = await engine.scoreSteps({ question: question as string, steps: texts as string[] })
    scores.forEach((score, i) => steps.push({ score, isRight: (labels[i] as number) > 0 }))
  }
  const share = (isRight: boolean, cut: number) => {
    const own = steps.filter((s) => s.isRight === isRight)
    return own.filter((s) => s.score >= cut === isRight).length / own.length
  }
  const balanced = (cut: number) => (share(true, cut) + share(false, cut)) / 2
  const best = Math.max(...steps.map(({ score }) => balanced(score)))
  assert.ok(best > 0.5, 'these steps show nothing')
  assert.ok(Math.abs(balanced(threshold) - best) < 1e-9, `${threshold}: ${balanced(threshold)}, best ${best}`)
})

test('it is that of the best evaluation, in the result, in metrics.jsonl, and after a resumed run', async () => {
  const evaluations = metricsOf(out).filter((line) => 'evalLoss' in line)
  assert.is(evaluations.find(({ step }) => step === result.bestStep)?.['threshold'], threshold)
  assert.is(result.threshold, threshold)
  const cut = join(work, 'cut')
  const stop = new AbortController()
  const stopAt = (progress: { step: number }) => progress.step === 5 && stop.abort()
  await train({ ...OPTIONS, out: cut, signal: stop.signal, onProgress: stopAt }).catch(() => {})
  assert.is((await train({ ...OPTIONS, out: cut, resume: true })).threshold, threshold)
  assert.is(readJson(join(cut, 'mm-prm.json')).threshold, threshold)
})

test('no evaluation, or none with wrong steps: nothing is recorded, and nothing is flagged', async () => {
  const rightOnly = writeRows(
    join(work, 'right.jsonl'),
    HELD.map((row) => ({ ...row, labels: [0.5, 1] })),
  )
  for (const [i, more] of [{ evalData: undefined, evalEvery: undefined }, { evalData: rightOnly }].entries()) {
    const folder = join(work, `without-${i}`)
    assert.is((await train({ ...OPTIONS, ...more, out: folder, maxSteps: 2 })).threshold, null)
    assert.not('threshold' in readJson(join(folder, 'mm-prm.json')))
    await using opened = await openScorer({ model: folder })
    assert.not('threshold' in opened)
  }
})

test('score, serve and kit use it, until another is given', async () => {
  const request = { question: 'How many?', steps: ['One and two.', 'It is 3.'] }
  const scores = await engine.scoreSteps(request)
  const expected = { scores, ...stepVerdicts(scores, threshold), threshold }
  const input = writeRows(join(work, 'in.jsonl'), [
    { id: 1, ...request },
    { id: 2, question: request.question, solutions: [request.steps, [' ']] },
  ])
  const cli = async (...args: string[]) => {
    const { code, stdout, stderr } = await startCli(['score', '--model', out, '--input', input, '--dtype', 'f32', ...args]).ended
    return {
      code,
      stderr,
      lines: stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    }
  }
  const scored = await cli()
  const { drop, flagged } = stepVerdicts(scores, threshold)
  assert.equal(scored.lines[0], { id: 1, ...expected })
  assert.equal(scored.lines[1].flagged, [flagged, null])
  assert.equal(scored.lines[1].drop, [drop, null])
  assert.equal((await cli('--threshold', '0.999')).lines[0].flagged, [true, true])
  const refused = await cli('--threshold', '0')
  assert.is(refused.code, 2)
  assert.match(refused.stderr, /--threshold/)

  await using server = await serve({ prm: engine })
  const body = JSON.stringify(request)
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${server.url}/v1/score/steps`, { method: 'POST', headers, body })
  assert.equal(await answer.json(), expected)
  await using here = await openScorer({ model: out })
  await using there = await openScorer({ server: server.url })
  assert.equal([here.threshold, there.threshold], [threshold, threshold])
})

test.run()
