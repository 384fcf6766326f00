/** Run files that disks and people spoil, and processes that die in the middle of writing them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { seededRandom } from '../../ts/contracts/random.ts'
import { openRun } from '../../ts/store/reader.ts'
import { attack, tally } from '../helpers/attack.ts'
import { damaged } from '../helpers/damage.ts'
import { dumpRun } from '../helpers/dump-run.ts'

const WORKER = join(import.meta.dirname, '../helpers/search-worker.ts')
const NUM_PROBLEMS = '12'
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-attack-runs-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))

const start = (folder: string) =>
  spawn(process.execPath, ['--import', 'tsx', WORKER, folder, NUM_PROBLEMS], {
    stdio: 'ignore',
    env: { ...process.env, TMPDIR: join(scratch, 'tmp') },
  })
mkdirSync(join(scratch, 'tmp'))
const whole = join(scratch, 'whole')
const began = performance.now()
const [code] = await once(start(whole), 'exit')
const wholeMs = performance.now() - began
assert.is(code, 0)

async function contents(folder: string): Promise<string> {
  const reader = openRun(folder)
  try {
    const parts = [JSON.stringify(reader.summary())]
    for await (const tree of reader.trees()) parts.push(JSON.stringify(tree))
    return parts.join('\n')
  } finally {
    reader.close()
  }
}

const DAMAGES = 1000
attack(`${DAMAGES} damaged run files: cut, bytes and pages overwritten`, async () => {
  const original = readFileSync(join(whole, 'run.db'))
  const expected = await contents(whole)
  const counts = { 'refused with a typed error': 0, 'read, the damage being in nothing that counts': 0, 'read as another run': 0 }
  const folder = join(scratch, 'damaged')
  for (let seed = 1000; seed < 1000 + DAMAGES; seed++) {
    mkdirSync(folder)
    writeFileSync(join(folder, 'run.db'), damaged(original, seed))
    const read = await contents(folder).catch((error) => error)
    if (read instanceof Error) {
      assert.ok(read instanceof EngineError && read.code === 'ERR_ENGINE_STORE', `seed ${seed}: ${read.stack}`)
      counts['refused with a typed error']++
    } else counts[read === expected ? 'read, the damage being in nothing that counts' : 'read as another run']++
    rmSync(folder, { recursive: true })
  }
  assert.is(counts['read as another run'], 0)
  return tally(counts)
})

const KILLS = 15
attack(`${KILLS} kills (SIGKILL) of a search, each resumed`, async () => {
  const random = seededRandom('kills')
  const folder = join(scratch, 'killed')
  for (let kills = 0; kills < KILLS; ) {
    const child = start(folder)
    const ended = once(child, 'exit')
    const first = await Promise.race([ended, sleep(wholeMs * (0.4 + 0.5 * random()))])
    child.kill('SIGKILL')
    await ended
    if (first)
      rmSync(folder, { recursive: true }) // it was faster: another run begins
    else kills++
  }
  const [last] = await once(start(folder), 'exit')
  assert.is(last, 0)
  assert.equal(dumpRun(folder), dumpRun(whole))
  const left = readdirSync(join(scratch, 'tmp')).filter((name) => name.startsWith('mm-prm'))
  assert.equal([left, readdirSync(folder).sort()], [[], readdirSync(whole).sort()])
  return 'the same database as of a run that nobody disturbed; no temporary folder is left'
})

test.run()
