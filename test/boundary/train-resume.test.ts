/**
 * kill -9 at any moment and `--resume`: the same weights and metrics, bit for bit, as a run that nobody disturbed,
 * whatever the number of threads.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readJson } from '../helpers/golden.ts'
import {
  failure,
  metricsOf,
  PICTURE,
  policyRows,
  prmRows,
  READING,
  tinyCheckpoint,
  train,
  trainCli,
  weightsOf,
  workFolder,
  writeRows,
} from '../helpers/training.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const work = workFolder()
const init = await tinyCheckpoint(join(work, 'init'))
const data = writeRows(join(work, 'data.jsonl'), prmRows(20, { image: PICTURE }))
const recipe = join(work, 'recipe.json')
const RECIPE = { compute: 'bf16', batchSize: 4, learningRate: 1e-3, epochs: 3, evalFraction: 0.2, evalEvery: 4, freeze: [] }
writeFileSync(recipe, JSON.stringify({ ...RECIPE, checkpointEvery: 3, keepCheckpoints: 1 }))
const args = (out: string, threads: number) =>
  `train --task prm --init ${init} --data ${data} --recipe ${recipe} --resume --out ${out} --threads ${threads}`.split(' ')

const stepsDone = (out: string) => metricsOf(out).filter((line) => 'loss' in line).length
const filesIn = (folder: string) => (existsSync(folder) ? readdirSync(folder) : [])

/** Starts or resumes the run and kills it as soon as `moment` has come; false where it ended before. */
async function killAt(out: string, threads: number, moment: () => boolean): Promise<boolean> {
  const child = spawn(process.execPath, [MAIN, ...args(out, threads)], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  while (child.exitCode === null && child.signalCode === null) {
    if (moment()) {
      child.kill('SIGKILL')
      break
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  const [, signal] = await ended
  return signal === 'SIGKILL'
}

test('killed in the middle of everything, then resumed: the same bits and metrics', async () => {
  const undisturbed = join(work, 'undisturbed')
  const whole = trainCli(args(undisturbed, 1).slice(1))
  assert.is(whole.status, 0, whole.stderr)

  const out = join(work, 'killed')
  const checkpoints = join(out, 'checkpoints')
  const checkpoint = (step: number) => join(checkpoints, `step-${`${step}`.padStart(8, '0')}`)
  /** A file or folder of that name which was not there when the process started. */
  const appears = (folder: string, name: RegExp) => () => {
    const before = new Set(filesIn(folder))
    return () => filesIn(folder).some((file) => name.test(file) && !before.has(file))
  }
  const moments: [string, () => () => boolean][] = [
    ['before the first checkpoint', () => () => stepsDone(out) > 0 && !existsSync(checkpoint(3))],
    ['while the first checkpoint is written', appears(checkpoints, /^step-00000003\.tmp-/)],
    ['while the best weights are written', appears(checkpoints, /^best\.tmp-/)],
    ['between two checkpoints', () => () => stepsDone(out) > 3 && !existsSync(checkpoint(6))],
    ['when a checkpoint has just got its name', appears(checkpoints, /^step-\d+$/)],
    ['while a later checkpoint is written', appears(checkpoints, /^step-\d+\.tmp-/)],
    ['while the result is written', appears(out, /^mm-prm\.json$/)],
  ]
  let leftovers = 0
  for (const [i, [name, moment]] of moments.entries()) {
    assert.ok(await killAt(out, 1 + (i % 2), moment()), `the moment never came: ${name}`)
    leftovers += [...filesIn(checkpoints), ...filesIn(out)].filter((file) => /\.tmp-/.test(file)).length
    // Whatever has its final name is whole, and only the last kill can come too late for it to be missing.
    if (existsSync(join(out, 'model.safetensors')))
      assert.ok(i === moments.length - 1 && weightsOf(out).equals(weightsOf(undisturbed)))
  }
  assert.ok(leftovers > 0, 'nothing was caught in the middle of being written')
  const resumed = trainCli(args(out, 2).slice(1))
  assert.is(resumed.status, 0, resumed.stderr)
  assert.ok(weightsOf(out).equals(weightsOf(undisturbed)), 'weights')
  assert.equal(metricsOf(out), metricsOf(undisturbed))
  assert.ok(stepsDone(out) > 20, 'a run of some length')
  const { seconds, machine, ...record } = readJson(join(out, 'mm-prm.json')).training
  const { seconds: _, machine: __, ...expected } = readJson(join(undisturbed, 'mm-prm.json')).training
  assert.equal(record, expected)
  const left = [...filesIn(checkpoints), ...filesIn(out)].filter((file) => /\.tmp-/.test(file))
  assert.equal(left, [], 'what killed runs left is removed')
})

test('a run that is over, resumed: nothing more is learnt', async () => {
  const out = join(work, 'killed')
  const [weights, metrics] = [weightsOf(out), metricsOf(out)]
  const again = trainCli([...args(out, 1).slice(1), '--json'])
  assert.is(again.status, 0, again.stderr)
  assert.ok(weightsOf(out).equals(weights))
  assert.equal(metricsOf(out), metrics)
  const { loss, steps } = JSON.parse(again.stdout)
  assert.is(steps, metrics.filter((line) => 'loss' in line).length)
  assert.is(loss, metrics.filter((line) => 'loss' in line).at(-1)?.['loss'])
})

const SMALL = { task: 'prm', init, data, checkpointEvery: 2, epochs: 1 } as const

test('another option, other data, no --resume: refused before anything is touched', async () => {
  const out = join(work, 'options')
  await train({ ...SMALL, out })
  const weights = weightsOf(out)
  await failure(train({ ...SMALL, out }), 'INVALID_ARGUMENT', /holds checkpoints up to step 10.*resume/)
  const resumed = { ...SMALL, out, resume: true } as const
  await failure(train({ ...resumed, learningRate: 2e-3 }), 'INVALID_ARGUMENT', /learningRate was 0\.001, is 0\.002/)
  await failure(train({ ...resumed, seed: 9, batchSize: 8 }), 'INVALID_ARGUMENT', /seed was 0, is 9/, /batchSize was 4, is 8/)
  const other = writeRows(join(work, 'other.jsonl'), prmRows(19, { image: PICTURE }))
  await failure(train({ ...resumed, data: other }), 'INVALID_ARGUMENT', /fingerprint was/)
  assert.ok(weightsOf(out).equals(weights))
  const moved = join(work, 'moved.jsonl')
  cpSync(data, moved)
  await train({ ...resumed, data: moved, threads: 2, checkpointEvery: 5 })
  assert.ok(weightsOf(out).equals(weights), 'what does not decide the weights may change')
})

test('a checkpoint of another architecture: says which tensor does not belong', async () => {
  const start = join(work, 'start')
  cpSync(init, start, { recursive: true })
  const out = join(work, 'architecture')
  const options = { ...SMALL, init: start, out, data: writeRows(join(work, 'text.jsonl'), prmRows(8)) } as const
  await train(options)
  rmSync(start, { recursive: true })
  await tinyCheckpoint(start, { like: READING })
  const error = await failure(train({ ...options, resume: true }), 'INVALID_ARGUMENT', /state\.safetensors: value\/|m\//)
  assert.match(error.message, /does not belong to this model/)
})

test('early stopping: the best weights are kept, and a resumed run stops where the first one did', async () => {
  const out = join(work, 'early')
  // Answers that have nothing to do with the question can only be learnt by heart: the evaluation gets worse.
  const rows = policyRows(16).map((row, i) => ({ ...row, answer: String((i * 7919) % 97) }))
  const evalData = writeRows(join(work, 'eval.jsonl'), policyRows(24).slice(16))
  const options = {
    task: 'policy',
    init,
    data: writeRows(join(work, 'heart.jsonl'), rows),
    evalData,
    out,
    epochs: 100,
    learningRate: 3e-3,
    schedule: 'constant',
    evalEvery: 2,
    patience: 3,
    checkpointEvery: 1000,
  } as const
  const result = await train(options)
  assert.ok(result.stoppedEarly)
  assert.ok(result.steps < 400)
  const evaluations = metricsOf(out).filter((line) => 'evalLoss' in line)
  const best = evaluations.reduce((a, b) => ((b['evalLoss'] as number) < (a['evalLoss'] as number) ? b : a))
  assert.equal([result.bestStep, result.bestEvalLoss], [best['step'], best['evalLoss']])
  assert.is(result.steps, (result.bestStep as number) + 2 * 3)
  const weights = weightsOf(out)
  const short = join(work, 'short')
  // Schedule constant: the run to the best step is the same run, cut short.
  await train({ ...options, out: short, maxSteps: result.bestStep as number, patience: 1000 })
  assert.ok(weightsOf(short).equals(weights), 'saved are the weights of the best evaluation')

  rmSync(join(out, 'model.safetensors')) // as if killed before its result was written
  const resumed = await train({ ...options, resume: true })
  assert.equal([resumed.steps, resumed.stoppedEarly, resumed.loss], [result.steps, true, result.loss])
  assert.ok(weightsOf(out).equals(weights))
})

test('1, 2 and 3 threads: the same bits', async () => {
  const outs = [1, 2, 3].map((threads) => join(work, `threads-${threads}`))
  for (const [i, out] of outs.entries()) await train({ ...SMALL, out, compute: 'bf16', threads: i + 1 })
  const [first, ...others] = outs.map(weightsOf)
  for (const other of others) assert.ok(other.equals(first as Buffer))
})
test.run()
