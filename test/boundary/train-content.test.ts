/**
 * What a resumed training began with is known by its content, wherever it lies; what became of its files is looked at
 * before it goes on; nobody else writes beside it; and a killed one leaves nothing behind.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  failure,
  metricsOf,
  PICTURE,
  prmRows,
  QUICK,
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
const pictures = join(work, 'pictures')
mkdirSync(pictures)
for (const name of ['a.png', 'b.png']) copyFileSync(PICTURE, join(pictures, name))
const rows = prmRows(8).map((row, i) => ({ ...row, image: `pictures/${i % 2 ? 'a' : 'b'}.png` }))
const data = writeRows(join(work, 'data.jsonl'), rows)
const OPTIONS = { task: 'prm', init, data, checkpointEvery: 1, keepCheckpoints: 3, epochs: 1 } as const

const folderOf = (out: string, step: number) => join(out, 'checkpoints', `step-${String(step).padStart(8, '0')}`)
/** The run as it was before its result and its last step were written. */
function stopped(out: string, name: string): string {
  const copy = join(work, name)
  cpSync(out, copy, { recursive: true })
  rmSync(join(copy, 'model.safetensors'))
  rmSync(folderOf(copy, 4), { recursive: true })
  return copy
}

const whole = join(work, 'whole')
await train({ ...OPTIONS, out: whole })
const weights = weightsOf(whole)

test('the same weights and pictures in other folders are the same run', async () => {
  const moved = join(work, 'moved')
  mkdirSync(moved)
  cpSync(pictures, join(moved, 'pictures'), { recursive: true })
  copyFileSync(data, join(moved, 'data.jsonl'))
  const out = stopped(whole, 'moved-run')
  const linked = join(work, 'linked-init')
  mkdirSync(linked)
  for (const name of readdirSync(init)) symlinkSync(join(init, name), join(linked, name))
  await train({ ...OPTIONS, init: linked, data: join(moved, 'data.jsonl'), out, resume: true })
  assert.ok(weightsOf(out).equals(weights))
})

test('another picture under the same name, or other weights in the same folder: another run', async () => {
  const out = stopped(whole, 'changed-run')
  const picture = join(pictures, 'a.png')
  const before = readFileSync(picture)
  const create = { width: 8, height: 8, channels: 3 as const, background: { r: 9, g: 90, b: 200 } }
  await sharp({ create }).png().toFile(picture)
  await failure(train({ ...OPTIONS, out, resume: true }), 'INVALID_ARGUMENT', /had other options: pictures was "[0-9a-f]+", is "/)
  writeFileSync(picture, before)
  const aside = join(work, 'init-aside')
  renameSync(init, aside)
  await tinyCheckpoint(init, { seed: 2 })
  await failure(train({ ...OPTIONS, out, resume: true }), 'INVALID_ARGUMENT', /had other options: initHash was "[0-9a-f]+", is "/)
  rmSync(init, { recursive: true })
  renameSync(aside, init)
  await train({ ...OPTIONS, out, resume: true })
  assert.ok(weightsOf(out).equals(weights))
})

test('a picture that is a pipe is refused before it is read', async () => {
  const folder = join(work, 'pipe')
  mkdirSync(folder)
  const made = spawn('mkfifo', [join(folder, 'pipe.png')])
  await once(made, 'exit')
  const file = writeRows(join(folder, 'data.jsonl'), prmRows(4, { image: 'pipe.png' }))
  await failure(
    train({ ...OPTIONS, data: file, out: join(folder, 'out') }),
    'INVALID_ARGUMENT',
    /pipe\.png: is not a regular file/,
  )
})

const DAMAGES: [string, (folder: string) => void][] = [
  ['one bit of the state', (f) => flip(join(f, 'state.safetensors'), 5000)],
  ['a state cut short', (f) => truncateSync(join(f, 'state.safetensors'), 1000)],
  ['no state', (f) => rmSync(join(f, 'state.safetensors'))],
  ['one letter of the position', (f) => flip(join(f, 'position.json'), 10)],
  ['an empty position', (f) => writeFileSync(join(f, 'position.json'), '')],
  ['one letter of the checksums', (f) => flip(join(f, 'SHA256SUMS'), 3)],
]

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.of((bytes[at] as number) ^ 1), 0, 1, at)
}

test('a damaged checkpoint: told, and the run goes on from the one before, to the same bits', async () => {
  for (const [i, [name, spoil]] of DAMAGES.entries()) {
    const out = stopped(whole, `damaged-${i}`)
    spoil(folderOf(out, 3))
    const warnings: string[] = []
    await train({ ...OPTIONS, out, resume: true, onWarning: (warning) => warnings.push(warning) })
    assert.is(warnings.length, 1, name)
    assert.match(warnings[0] ?? '', /step-00000003 is damaged: .*; the run goes on from step 2/, name)
    assert.ok(weightsOf(out).equals(weights), name)
    assert.equal(metricsOf(out), metricsOf(whole), name)
  }
  const out = stopped(whole, 'damaged-cli')
  flip(join(folderOf(out, 3), 'state.safetensors'), 6000)
  const recipe = join(work, 'recipe.json')
  const { threads, ...plain } = QUICK
  writeFileSync(recipe, JSON.stringify({ ...plain, checkpointEvery: 1, keepCheckpoints: 3, epochs: 1 }))
  const args = `--task prm --init ${init} --data ${data} --out ${out} --recipe ${recipe} --threads ${threads} --resume`
  const ended = trainCli(args.split(' '))
  assert.is(ended.status, 0, ended.stderr)
  assert.match(ended.stderr, /mm-prm: .*step-00000003 is damaged.*goes on from step 2/)
})

test('no checkpoint is whole, or the best weights are not: an error that says so', async () => {
  const out = stopped(whole, 'all-damaged')
  for (const step of [2, 3]) flip(join(folderOf(out, step), 'state.safetensors'), 5000)
  await failure(train({ ...OPTIONS, out, resume: true }), 'STORE', /no checkpoint is whole/, /step-00000003/, /step-00000002/)
  const evaluated = join(work, 'evaluated')
  const options = { ...OPTIONS, evalFraction: 0.3, evalEvery: 1 }
  await train({ ...options, out: evaluated })
  flip(join(evaluated, 'checkpoints/best/state.safetensors'), 5000)
  rmSync(join(evaluated, 'model.safetensors'))
  await failure(train({ ...options, out: evaluated, resume: true }), 'STORE', /best: state\.safetensors is not as it was written/)
})

test('a checkpoint of an earlier version has no checksums, and is gone on from', async () => {
  const out = stopped(whole, 'earlier')
  for (const step of [2, 3]) {
    const folder = folderOf(out, step)
    rmSync(join(folder, 'SHA256SUMS'))
    const position = JSON.parse(readFileSync(join(folder, 'position.json'), 'utf8'))
    delete position.identity.initHash
    delete position.identity.pictures
    writeFileSync(join(folder, 'position.json'), JSON.stringify(position))
  }
  await train({ ...OPTIONS, out, resume: true })
  assert.ok(weightsOf(out).equals(weights))
})

test('two trainings into one folder: the second is refused, by whatever path it comes', async () => {
  const out = join(work, 'locked')
  mkdirSync(out)
  const link = join(work, 'locked-link')
  symlinkSync(out, link)
  const refused: unknown[] = []
  const first = train({
    ...OPTIONS,
    out,
    onProgress: ({ step }) => {
      if (step === 1) refused.push(train({ ...OPTIONS, out: link, resume: true }).catch((error) => error))
    },
  })
  await first
  const error = (await refused[0]) as { code: string; message: string }
  assert.is(error.code, 'ERR_ENGINE_STORE')
  assert.match(error.message, /locked-link: another training writes into this folder/)
  assert.ok(weightsOf(out).equals(weights), 'the first one is not disturbed')
  await train({ ...OPTIONS, out, resume: true }) // free again
})

test('killed at any moment, it leaves nothing outside its folder, and the next start leaves nothing in it', async () => {
  const out = join(work, 'killed')
  const temporary = join(work, 'tmp')
  mkdirSync(temporary)
  const recipe = join(work, 'kill.json')
  writeFileSync(recipe, JSON.stringify({ ...QUICK, checkpointEvery: 1, keepCheckpoints: 3, epochs: 1, threads: 1 }))
  const args = `train --task prm --init ${init} --data ${data} --out ${out} --recipe ${recipe} --resume`.split(' ')
  const moments: (() => boolean)[] = [
    () => existsSync(out) && readdirSync(out).some((name) => /^model\.tmp-/.test(name)),
    () => existsSync(folderOf(out, 1)),
    () => existsSync(folderOf(out, 3)),
  ]
  let caught = 0
  for (const moment of moments) {
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: 'ignore',
      env: { ...process.env, TMPDIR: temporary },
    })
    const ended = once(child, 'exit')
    while (child.exitCode === null && child.signalCode === null) {
      if (moment()) {
        child.kill('SIGKILL')
        break
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    await ended
    caught += readdirSync(out).filter((name) => /\.tmp-/.test(name)).length
    const left = readdirSync(temporary).filter((name) => name.startsWith('mm-prm'))
    assert.equal(left, [], 'temporary folders')
  }
  assert.ok(caught > 0, 'nothing was caught in the middle')
  await train({ ...OPTIONS, out, resume: true })
  assert.ok(weightsOf(out).equals(weights))
  assert.equal(
    [...readdirSync(out), ...readdirSync(join(out, 'checkpoints'))].filter((name) => /\.tmp-/.test(name)),
    [],
  )
})

test.run()
