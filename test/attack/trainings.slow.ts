/** Trainings that are killed at random moments, many of them in the middle of saving. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../ts/contracts/random.ts'
import { attack } from '../helpers/attack.ts'
import { metricsOf, PICTURE, prmRows, tinyCheckpoint, trainCli, weightsOf, workFolder, writeRows } from '../helpers/training.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const MAX_KILLS = 12
const work = workFolder()
const temporary = join(work, 'tmp')
mkdirSync(temporary)

attack('a training killed (SIGKILL) again and again, half of the time while it saves, resumed on 1 to 3 threads', async () => {
  const init = await tinyCheckpoint(join(work, 'init'))
  const data = writeRows(join(work, 'data.jsonl'), prmRows(12, { image: PICTURE }))
  const recipe = join(work, 'recipe.json')
  const options = { batchSize: 4, checkpointEvery: 1, learningRate: 1e-3, evalFraction: 0.3, evalEvery: 2, epochs: 3, freeze: [] }
  writeFileSync(recipe, JSON.stringify(options))
  const args = (out: string, threads: number) =>
    `--task prm --init ${init} --data ${data} --recipe ${recipe} --resume --out ${out} --threads ${threads}`.split(' ')
  const whole = join(work, 'whole')
  const undisturbed = trainCli(args(whole, 1))
  assert.is(undisturbed.status, 0, undisturbed.stderr)
  const random = seededRandom('trainings')
  const [out, checkpoints] = [join(work, 'killed'), join(work, 'killed/checkpoints')]
  const names = (folder: string) => (existsSync(folder) ? readdirSync(folder) : [])
  let kills = 0
  let whileSaving = 0
  while (kills < MAX_KILLS) {
    const threads = 1 + Math.floor(3 * random())
    const child = spawn(process.execPath, [MAIN, 'train', ...args(out, threads)], {
      stdio: 'ignore',
      env: { ...process.env, TMPDIR: temporary },
    })
    const ended = once(child, 'exit')
    const [whenSaving, before] = [random() < 0.5, names(checkpoints).length]
    const after = 300 + 1500 * random()
    const start = performance.now()
    while (child.exitCode === null && child.signalCode === null) {
      const isSaving = names(checkpoints).some((name) => /\.tmp-/.test(name))
      const isTime = whenSaving ? isSaving && names(checkpoints).length > before : performance.now() - start > after
      if (isTime) {
        child.kill('SIGKILL')
        if (isSaving) whileSaving++
        break
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    const [, signal] = await ended
    if (signal !== 'SIGKILL') break
    kills++
  }
  assert.ok(kills >= 4, `only ${kills} kills`)
  const last = trainCli(args(out, 2))
  assert.is(last.status, 0, last.stderr)
  assert.ok(weightsOf(out).equals(weightsOf(whole)), 'weights')
  assert.equal(metricsOf(out), metricsOf(whole))
  const left = [...names(out), ...names(checkpoints)].filter((name) => /\.tmp-/.test(name))
  assert.equal([left, names(temporary).filter((name) => name.startsWith('mm-prm'))], [[], []])
  return `${kills} kills, ${whileSaving} in the middle of saving: the same weights and metrics, bit for bit; nothing is left behind`
})

test.run()
